"""Events that time brings by itself: a sync is late, a key ends soon. Looked for while figures are current."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from gateway.background import Progress
from gateway.errors import StorageUnavailable
from gateway.models import ApiKey, Connection, ConnectionRow, LateConnectionRow
from gateway.store import NewEvent, Store, key_event
from gateway.syncs.schedule import ExpectedSync, expected_syncs
from gateway.times import Clock, format_time, later, parse_time
from gateway.webhooks.timings import DueTimings

EXPIRY_NOTICES = (timedelta(days=14), timedelta(days=3))
"""How long before a key's end it is told."""

DUE_EVENTS = "due events"
"""The task that looks for them, as logs, /readyz and /metrics name it."""

IsCurrent = Callable[[Sequence[str]], bool]
"""Whether what is stored of these workspaces' connections is current: otherwise a sync may have begun."""

log = structlog.get_logger()


class DueEvents:
    """Writes such events, once each. Of several gateways the one that watches Airbyte wakes it.

    It has a task of its own: callers that wait for a job do not wait for it too, whatever it meets.
    """

    def __init__(
        self, store: Store, clock: Clock, is_current: IsCurrent, *, grace: timedelta, timings: DueTimings
    ) -> None:
        """Call a sync late that has not begun within `grace` of its time."""
        self._store = store
        self._clock = clock
        self._is_current = is_current
        self._grace = grace
        self._timings = timings
        self._woken = asyncio.Event()
        self._looked_at = float("-inf")
        self._written: frozenset[tuple[int, str, str]] = frozenset()
        """What was found last: it is written already, and the database need not say so each time."""

    async def wake(self) -> None:
        """Have it look: figures are current."""
        self._woken.set()

    async def run(self, progress: Progress) -> None:
        """Look whenever it is woken, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self.look()
            except StorageUnavailable as error:
                log.warning("due_events_not_written", detail=error.detail)
            progress()

    async def look(self) -> None:
        """Write what has become due, unless it was looked for just now. Raises StorageUnavailable."""
        now = self._clock.monotonic()
        if now - self._looked_at < self._timings.late:
            return
        self._looked_at = now
        found = await self._found()
        keys = {each: (each.client_id, each.type, each.subject) for each in found}
        oldest = format_time(self._clock.now() - self._timings.told)
        news = [each for each in found if keys[each] not in self._written and each.at >= oldest]
        if news:
            await self._store.events.add(news)
        self._written = frozenset(keys.values())

    async def _found(self) -> list[NewEvent]:
        clients = await self._store.webhooks.listening_clients()
        if not clients:
            return []
        now = self._clock.now()
        found: list[NewEvent] = []
        for client_id in clients:
            found += await self._late_ones(client_id, now)
        ending = await self._store.api_keys.ending(
            clients, after=format_time(now), until=format_time(later(now, max(EXPIRY_NOTICES)))
        )
        return found + [event for key in ending for event in _expiry_events(key, now)]

    async def _late_ones(self, client_id: int, now: datetime) -> list[NewEvent]:
        connections = await self._store.connections.of_client(client_id)
        current = [
            each
            for each in connections.rows
            if each.schedule is not None and each.workspace_id and self._is_current([each.workspace_id])
        ]
        expected = await expected_syncs(current, now=now, grace=self._grace)
        return list(_late_events(zip(current, expected, strict=True), self._grace))


def _late_events(expected: Iterable[tuple[Connection, ExpectedSync]], grace: timedelta) -> Iterable[NewEvent]:
    for connection, sync in expected:
        if not sync.is_late or sync.at is None:
            continue
        due, since = format_time(sync.at), format_time(later(sync.at, grace))
        yield NewEvent(
            client_id=connection.client_id,
            type="connection.late",
            subject=f"{connection.airbyte_id} {due}",
            at=since,
            data=LateConnectionRow(**msgspec.structs.asdict(ConnectionRow.of(connection)), next_sync_at=due),
            connection_id=connection.id,
        )


def _expiry_events(key: ApiKey, now: datetime) -> Iterable[NewEvent]:
    """Yield the last notice that is due: a key that was made at its time or later ends as soon as its maker wanted."""
    ends = parse_time(key.expires_at or "")
    for notice in sorted(EXPIRY_NOTICES):
        since = format_time(ends - notice)
        if since > format_time(now):
            continue
        if since > key.created_at:
            days = f"{notice.days} days"
            yield key_event("key.expiring", key, at=since, subject=f"{key.expires_at} {days}")
        return
