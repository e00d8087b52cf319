"""From where and by what keys are called: noted in memory as requests pass, and every statement about `key_callers`.

A caller is an address with a program. One that is noted is passed over for the rest of the hour, so a busy key costs no
write more than a quiet one, and what is read here may be an hour old.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from gateway.models import KeyCaller
from gateway.single_flight import SingleFlight
from gateway.store.database import Database, Transaction
from gateway.store.pruning import prune
from gateway.store.tables.usage import HOUR_SECONDS
from gateway.times import format_time

MOST_KEY_CALLERS = 50
"""Of one key: noted in an hour, and kept. The newest are kept."""
CALLERS_WRITTEN_AT_ONCE = 500
"""Callers in one transaction: a tenth of a second at most."""
FLUSH = "flush"

Origin = tuple[str, bytes]
"""Address and program as a request brings them: compared on each call, so nothing is made of them."""
Noticed = tuple[str, str, float, float]
"""Address and program, and when that caller was noted first and last, of what is not written yet."""


class KeyCallers:
    """What one process noted, and what all have written. For one event loop; moments are Unix time."""

    def __init__(self, database: Database, *, written_at_once: int = CALLERS_WRITTEN_AT_ONCE) -> None:
        self._database = database
        self._written_at_once = written_at_once
        self._until = 0.0
        """The end of the hour in which origins are passed over."""
        self._origins: dict[str, tuple[Origin, ...]] = {}
        """Those noted in this hour, by key id. Most keys have one: a set each would take three times as much."""
        self._same: dict[tuple[Origin], tuple[Origin]] = {}
        """The first of all equal ones of this hour: many keys are called from one place alone."""
        self._unwritten: dict[str, tuple[Noticed, ...]] = {}
        """By key id."""
        self._flight: SingleFlight[str, None] = SingleFlight()
        self._being_written: list[tuple[str, Noticed]] = []

    def is_noted(self, key_id: str, origin: Origin, moment: float) -> bool:
        """Return whether the key's caller was noted in this hour, or so many others that it is passed over."""
        if moment >= self._until:
            return False
        origins = self._origins.get(key_id)
        return origins is not None and (origin in origins or len(origins) >= MOST_KEY_CALLERS)

    def note(self, key_id: str, origin: Origin, moment: float, *, agent: str | None) -> None:
        """Note a caller of the key; `agent` is its program as it is to be kept."""
        if moment >= self._until:
            self._until = moment // HOUR_SECONDS * HOUR_SECONDS + HOUR_SECONDS
            self._origins, self._same = {}, {}
        origins = self._origins.get(key_id, ())
        if origin not in origins:
            alone = self._same.setdefault((origin,), (origin,))
            self._origins[key_id] = (*origins, *alone) if origins else alone
        self._keep_unwritten(key_id, origin[0], sys.intern(agent or ""), moment)

    def _keep_unwritten(self, key_id: str, address: str, agent: str, moment: float) -> None:
        first, others = moment, list[Noticed]()
        for each in self._unwritten.get(key_id, ()):
            if each[:2] == (address, agent):
                first = each[2]
            else:
                others.append(each)
        if len(others) < MOST_KEY_CALLERS:
            self._unwritten[key_id] = (*others, (address, agent, first, moment))

    async def flush(self) -> None:
        """Write what was noted since the last flush. Raises StorageUnavailable; then it is kept for the next one."""
        if self._unwritten:
            await self._flight.run(FLUSH, self._write_all)

    async def close(self) -> None:
        """Wait for the flush under way."""
        await self._flight.close(cancel=False)

    async def of_key(self, client_id: int, key_id: str, *, since: str) -> list[KeyCaller]:
        """Return who called the client's key from `since` on, the newest first. Raises StorageUnavailable."""
        rows = await self._database.fetch_all(
            """
            SELECT address, agent, first_at, last_at FROM key_callers
            WHERE client_id = :client_id AND key_id = :key_id AND last_at >= :since
            ORDER BY last_at DESC, address, agent LIMIT :limit
            """,
            {"client_id": client_id, "key_id": key_id, "since": since, "limit": MOST_KEY_CALLERS},
        )
        return [KeyCaller(**dict(row)) for row in rows]

    async def prune(self, before: str) -> None:
        """Forget who called last earlier than `before`. Raises StorageUnavailable."""
        await prune(
            self._database,
            """
            DELETE FROM key_callers WHERE (key_id, address, agent) IN
                (SELECT key_id, address, agent FROM key_callers WHERE last_at < :before LIMIT :limit) RETURNING 1
            """,
            before,
        )

    async def _write_all(self) -> None:
        while self._unwritten:
            await self._database.write(self._write_some, housekeeping=True, committed=self._forget_written)
        # An emptied dict keeps the room of all that it held.
        self._unwritten = {}

    async def _write_some(self, transaction: Transaction) -> None:
        """Write what fits one transaction. Until `_forget_written` there is no other flush: it would write it too."""
        self._being_written = list(islice(self._all_unwritten(), self._written_at_once))
        # From api_keys: a client that was removed since, with its keys, is passed over.
        await transaction.executemany(
            """
            INSERT INTO key_callers (key_id, client_id, address, agent, first_at, last_at)
            SELECT id, client_id, :address, :agent, :first_at, :last_at FROM api_keys WHERE id = :key_id
            ON CONFLICT (key_id, address, agent) DO UPDATE SET last_at = CASE
                WHEN excluded.last_at > key_callers.last_at THEN excluded.last_at ELSE key_callers.last_at END
            """,
            [
                {
                    "key_id": key_id,
                    "address": address,
                    "agent": agent,
                    "first_at": _time(first),
                    "last_at": _time(last),
                }
                for key_id, (address, agent, first, last) in self._being_written
            ],
        )
        await transaction.executemany(
            """
            DELETE FROM key_callers WHERE key_id = :key_id AND (address, agent) NOT IN (
                SELECT address, agent FROM key_callers WHERE key_id = :key_id
                ORDER BY last_at DESC, address, agent LIMIT :most)
            """,
            [
                {"key_id": key_id, "most": MOST_KEY_CALLERS}
                for key_id in sorted({each[0] for each in self._being_written})
            ],
        )

    def _all_unwritten(self) -> Iterator[tuple[str, Noticed]]:
        for key_id, callers in self._unwritten.items():
            for noticed in callers:
                yield key_id, noticed

    def _forget_written(self) -> None:
        """Forget what is written, but for what was noted again meanwhile."""
        for key_id, written in self._being_written:
            left = tuple(each for each in self._unwritten[key_id] if each != written)
            if left:
                self._unwritten[key_id] = left
            else:
                del self._unwritten[key_id]


def _time(unix_seconds: float) -> str:
    return format_time(datetime.fromtimestamp(unix_seconds, UTC))
