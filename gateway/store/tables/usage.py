"""How keys are used: counted in memory as requests pass, written at times, and every statement about `key_usage`.

A call counts in the hour it came in. What is read here lags behind by what the next flush will write.
"""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Literal

from gateway.models import HourUsage, KeyHour, KeyUsage
from gateway.single_flight import SingleFlight
from gateway.store.database import Database, Transaction
from gateway.store.pruning import prune
from gateway.times import format_time

HOUR_SECONDS = 3600
MOST_UNWRITTEN = 10_000
"""Keys. With the counts of 50,000, as many as call in the half minute between two flushes of a busy gateway, a process
takes 15 MB more, and keeps them."""
WRITTEN_AT_ONCE = 1_000
"""Keys and counts in one transaction: a tenth of a second at most."""
ENDLESS = "9999"
"""Later than every hour."""
KEPT_HOURS = 2
RATE_LIMITED = 429
FLUSH = "flush"
SUMS = ", ".join(f"CAST(sum({column}) AS BIGINT) AS {column}" for column in ("calls", "limited", "errors"))
"""A sum of PostgreSQL's is of no integer type."""

Count = tuple[str, float, Literal["calls", "limited", "errors"]]
"""Key id, when the hour began (Unix time), and what is counted."""


class KeyUse:
    """Calls of a key since the last flush, in the hour that ends at `until`: origin of the first, time of the last."""

    __slots__ = ("address", "agent", "calls", "limited", "moment", "until")

    def __init__(self, moment: float, address: str | None, agent: str | None) -> None:
        self.address = address
        self.agent = agent
        self.calls = 1
        self.limited = 0
        self.moment = moment
        self.until = _end_of(moment // HOUR_SECONDS)


class Usage:
    """The counters of one process, and what all of them have written. For one event loop; moments are Unix time."""

    def __init__(self, database: Database, *, written_at_once: int = WRITTEN_AT_ONCE) -> None:
        self._written_at_once = written_at_once
        self._database = database
        self.has_many = asyncio.Event()
        """Set when so many keys have called since the last flush that another one is due."""
        self._uses: dict[str, KeyUse] = {}
        self._counts: Counter[Count] = Counter()
        self._unwritten_uses: dict[str, KeyUse] = {}
        self._unwritten_counts: Counter[Count] = Counter()
        self._flight: SingleFlight[str, None] = SingleFlight()
        self._written_uses: dict[str, KeyUse] = {}
        self._written_counts: dict[Count, int] = {}

    def count_again(self, key_id: str, moment: float) -> bool:
        """Count a call; False, and nothing is counted, if it is the key's first since the last flush or in its hour."""
        use = self._uses.get(key_id)
        if use is None or moment >= use.until:
            return False
        use.moment = moment
        use.calls += 1
        return True

    def count_first(self, key_id: str, moment: float, *, address: str | None, agent: str | None) -> None:
        """Count the first call since the last flush or in its hour, and remember from where it came."""
        if key_id in self._uses:
            self._sum_up(key_id, self._uses[key_id])
        self._uses[key_id] = KeyUse(moment, address, agent)
        if len(self._uses) >= MOST_UNWRITTEN:
            self.has_many.set()

    def count_failure(self, key_id: str, moment: float, status: int) -> None:
        """Count that a call, which came in at `moment`, was answered with `status`, 400 or more."""
        if status == RATE_LIMITED:
            # Whoever is limited most often is so again.
            use = self._uses.get(key_id)
            if use is not None and use.until - HOUR_SECONDS <= moment < use.until:
                use.limited += 1
                return
        self._counts[key_id, _hour(moment), "limited" if status == RATE_LIMITED else "errors"] += 1

    async def flush(self) -> None:
        """Write what was counted since the last flush. Raises StorageUnavailable; then it is kept for the next one.

        In steps: while one is written nobody else can write, and whoever waits two seconds for that is refused.
        """
        self.has_many.clear()
        for key_id, use in self._uses.items():
            self._sum_up(key_id, use)
        self._unwritten_uses |= self._uses
        self._unwritten_counts.update(self._counts)
        self._uses, self._counts = {}, Counter()
        if self._unwritten_uses or self._unwritten_counts:
            await self._flight.run(FLUSH, self._write_all)

    async def close(self) -> None:
        """Wait for the flush under way."""
        await self._flight.close(cancel=False)

    async def _write_all(self) -> None:
        while self._unwritten_uses or self._unwritten_counts:
            await self._database.write(self._write_some, housekeeping=True, committed=self._forget_written)
        # An emptied dict keeps the room of all that it held.
        self._unwritten_uses, self._unwritten_counts = {}, Counter()

    async def _write_some(self, transaction: Transaction) -> None:
        """Write what fits one transaction. Until `_forget_written` there is no other flush: it would write it too."""
        uses = self._written_uses = dict(islice(self._unwritten_uses.items(), self._written_at_once))
        counts = self._written_counts = dict(islice(self._unwritten_counts.items(), self._written_at_once))
        await transaction.executemany(
            """
            UPDATE api_keys SET last_used_at = :at, last_used_address = :address, last_used_agent = :agent
            WHERE id = :key_id AND coalesce(last_used_at, '') <= :at
            """,
            [
                {"key_id": key_id, "at": _time(use.moment), "address": use.address, "agent": use.agent}
                for key_id, use in uses.items()
            ],
        )
        # From api_keys: a client that was removed since, with its keys, is passed over.
        await transaction.executemany(
            """
            INSERT INTO key_usage (key_id, client_id, hour, calls, limited, errors)
            SELECT id, client_id, :hour, :calls, :limited, :errors FROM api_keys WHERE id = :key_id
            ON CONFLICT (key_id, hour) DO UPDATE SET
                calls = key_usage.calls + excluded.calls,
                limited = key_usage.limited + excluded.limited,
                errors = key_usage.errors + excluded.errors
            """,
            [
                {"key_id": key_id, "hour": _time(hour), "calls": 0, "limited": 0, "errors": 0, what: number}
                for (key_id, hour, what), number in counts.items()
            ],
        )

    def _sum_up(self, key_id: str, use: KeyUse) -> None:
        self._counts[key_id, use.until - HOUR_SECONDS, "calls"] += use.calls
        if use.limited:
            self._counts[key_id, use.until - HOUR_SECONDS, "limited"] += use.limited

    def _forget_written(self) -> None:
        for key_id, use in self._written_uses.items():
            # Another flush may have brought a later one meanwhile, or more calls.
            if self._unwritten_uses[key_id] is use:
                del self._unwritten_uses[key_id]
        for count, number in self._written_counts.items():
            self._unwritten_counts[count] -= number
            if not self._unwritten_counts[count]:
                del self._unwritten_counts[count]

    async def of_client(self, client_id: int, since: str, *, before: str = ENDLESS) -> list[KeyUsage]:
        """Return the calls of each key in the hours from `since` on, by key id. Raises StorageUnavailable."""
        rows = await self._database.fetch_all(
            f"""
            SELECT key_id, {SUMS} FROM key_usage
            WHERE client_id = :client_id AND hour >= :since AND hour < :before GROUP BY key_id ORDER BY key_id
            """,  # noqa: S608 - ours
            {"client_id": client_id, "since": since, "before": before},
        )
        return [KeyUsage(**dict(row)) for row in rows]

    async def hours(
        self, client_id: int, since: str, *, before: str = ENDLESS, key_id: str | None = None
    ) -> list[HourUsage]:
        """Return the hours from `since` on in which the client's keys, or one of them, were called, oldest first.

        Raises StorageUnavailable.
        """
        of_key = "" if key_id is None else "AND key_id = :key_id"
        rows = await self._database.fetch_all(
            f"""
            SELECT hour, {SUMS} FROM key_usage
            WHERE client_id = :client_id AND hour >= :since AND hour < :before {of_key} GROUP BY hour ORDER BY hour
            """,  # noqa: S608 - ours
            {"client_id": client_id, "since": since, "before": before, "key_id": key_id},
        )
        return [HourUsage(**dict(row)) for row in rows]

    async def hours_of_keys(
        self, client_id: int, *, after: tuple[str, str], before: str = ENDLESS, limit: int
    ) -> list[KeyHour]:
        """Return at most `limit` hours of single keys, oldest first, that come after an hour and a key id.

        Raises StorageUnavailable.
        """
        rows = await self._database.fetch_all(
            """
            SELECT hour, key_id, name, start, calls, limited, errors
            FROM key_usage JOIN api_keys ON api_keys.id = key_id
            WHERE key_usage.client_id = :client_id AND hour >= :hour AND (hour > :hour OR key_id > :key_id)
                AND hour < :before
            ORDER BY hour, key_id LIMIT :limit
            """,
            {"client_id": client_id, "hour": after[0], "key_id": after[1], "before": before, "limit": limit},
        )
        return [KeyHour(**dict(row)) for row in rows]

    async def prune(self, before: str) -> None:
        """Forget the hours that began earlier than `before`. Raises StorageUnavailable."""
        await prune(
            self._database,
            """
            DELETE FROM key_usage WHERE (key_id, hour) IN
                (SELECT key_id, hour FROM key_usage WHERE hour < :before LIMIT :limit) RETURNING 1
            """,
            before,
        )


@lru_cache(KEPT_HOURS)
def _end_of(hour: float) -> float:
    """Return when the hour of this number ends: one object for all keys that were called in it."""
    return (hour + 1) * HOUR_SECONDS


def _hour(moment: float) -> float:
    """Return when the hour of `moment` began."""
    return moment // HOUR_SECONDS * HOUR_SECONDS


def _time(unix_seconds: float) -> str:
    return format_time(datetime.fromtimestamp(unix_seconds, UTC))
