"""How the syncs of the last weeks went, day by day: read from Airbyte's job lists when somebody looks, and kept.

Airbyte has a list for each connection and no sums, so hundreds of connections cannot be asked while a page waits.
One background task asks, a call at a time and a connection of each client in turn, for what is new since it last did;
pages show what is known by then.
"""

import asyncio
from collections.abc import Sequence
from itertools import filterfalse, islice

import msgspec
import structlog
from cachetools import TTLCache

from gateway.airbyte import Airbyte
from gateway.errors import (
    GatewayError,
    StorageUnavailable,
    UpstreamBusy,
    UpstreamError,
    UpstreamInvalid,
)
from gateway.models import Client, Connection, SyncDay
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.day_reader import ONE_DAY, DayReader, day_name
from gateway.syncs.timings import HistoryTimings
from gateway.times import Clock

DAYS = 30
DAYS_READ = 62
"""How far back days are read, at the first time or after a long pause: this month and the one before."""
MOST_WAITING_CONNECTIONS = 500
"""Of one client."""
MOST_REMEMBERED = 100_000
ALL_CLIENTS = None
"""In place of a client: Airbyte tells nobody anything."""

log = structlog.get_logger()

News = tuple[int | None, str | None]
"""Id and status of a connection's last sync: while they are the same, so are its days."""


class History(msgspec.Struct, frozen=True):
    """What is known. `is_reading`: soon there will be more; `is_stale`: Airbyte could not be asked."""

    days: dict[str, dict[str, SyncDay]]
    """By Airbyte connection and day; a connection that was never read is missing."""
    is_reading: bool
    is_stale: bool


class SyncHistory:
    """Reads days when a page asks for them; nothing happens when nobody looks."""

    def __init__(self, store: Store, airbyte: Airbyte, clock: Clock, timings: HistoryTimings) -> None:
        self.timings = timings
        self._days = store.sync_days
        self._reader = DayReader(store, airbyte, days=DAYS_READ)
        self._clock = clock
        self._flight: SingleFlight[str, None] = SingleFlight(
            tell=lambda error: log.error("sync_history_not_read", exc_info=error), is_for_all=True
        )
        self._waiting: dict[int, dict[str, News]] = {}
        """By client and Airbyte id, in the order in which they are read: of each client one, then the next of each."""
        self._read: TTLCache[str, News] = TTLCache(MOST_REMEMBERED, timings.fresh, timer=clock.monotonic)
        """What was read not long ago, and the news of that time."""
        self._failing: TTLCache[int | None, bool] = TTLCache(MOST_REMEMBERED, timings.retry, timer=clock.monotonic)
        """For whom nothing is read for a while, because a reading failed."""

    async def of(self, client: Client, connections: Sequence[Connection]) -> History:
        """Return the last `DAYS` days of the client's `connections`, and read in the background what is old.

        Raises StorageUnavailable.
        """
        news = {each.airbyte_id: (each.last_job_id, each.last_sync_status) for each in connections if each.airbyte_id}
        due = self._due(news)
        known = await self._days.read_upto(news)
        if due and not self._is_failing(client.id):
            self._queue(client.id, self._due(news))  # without what was read since `due` was found
            flight = self._flight.start("all", self._read_waiting)
            if due.keys() - known.keys():
                await asyncio.wait({flight}, timeout=self.timings.wait)
                known = await self._days.read_upto(news)
        days: dict[str, dict[str, SyncDay]] = {airbyte_id: {} for airbyte_id in known}
        first = day_name(self._clock.now() - (DAYS - 1) * ONE_DAY)
        for day in await self._days.of_client(client.id, known, since=first):
            days[day.airbyte_id][day.day] = day
        is_failing = self._is_failing(client.id)
        return History(days, is_reading=bool(self._due(news)) and not is_failing, is_stale=bool(due) and is_failing)

    def _queue(self, client_id: int, due: dict[str, News]) -> None:
        """Put what somebody looks at now first, before it what has not waited yet; what waits keeps its order."""
        waiting = self._waiting.get(client_id, {})
        new = {airbyte_id: news for airbyte_id, news in due.items() if airbyte_id not in waiting}
        looked_at = {airbyte_id: due[airbyte_id] for airbyte_id in waiting if airbyte_id in due}
        ordered = {**new, **looked_at, **waiting}
        if ordered:
            self._waiting[client_id] = dict(islice(ordered.items(), MOST_WAITING_CONNECTIONS))

    def _due(self, news: dict[str, News]) -> dict[str, News]:
        return {airbyte_id: each for airbyte_id, each in news.items() if self._read.get(airbyte_id) != each}

    def _is_failing(self, client_id: int) -> bool:
        return client_id in self._failing or ALL_CLIENTS in self._failing

    async def close(self) -> None:
        """Cancel the reading under way."""
        await self._flight.close(cancel=True)

    async def _read_waiting(self) -> None:
        """Read what waits, one connection after the other, until nothing does or nobody is told anything."""
        while (client_id := next(filterfalse(self._is_failing, self._waiting), None)) is not None:
            airbyte_id, news = next(iter(self._waiting[client_id].items()))
            try:
                is_complete = await self._reader.read_on(airbyte_id)
            except UpstreamInvalid as error:
                # It is this connection's answer that cannot be used; the others' may.
                log.warning("sync_history_not_read", airbyte_id=airbyte_id, detail=error.detail)
                is_complete = True
            except Exception as error:  # noqa: BLE001 - whatever is wrong with this one, other clients' are read
                self._fail(client_id, error)
                is_complete = False
            if is_complete:
                self._read[airbyte_id] = news
                self._leave(client_id, airbyte_id)
            else:
                self._put_last(client_id, airbyte_id, news)
            if client_id in self._waiting:
                self._waiting[client_id] = self._waiting.pop(client_id)  # after all other clients

    def _fail(self, client_id: int, error: Exception) -> None:
        """Read nothing for the client for a while, or for anybody: what failed may be the client's connection alone."""
        is_of_whole = isinstance(error, StorageUnavailable | UpstreamBusy) or (
            isinstance(error, UpstreamError) and not error.reached
        )
        self._failing[ALL_CLIENTS if is_of_whole else client_id] = True
        unknown = None if isinstance(error, GatewayError) else error
        log.warning("sync_history_not_read", error=str(error), detail=getattr(error, "detail", ""), exc_info=unknown)

    def _leave(self, client_id: int, airbyte_id: str) -> None:
        waiting = self._waiting[client_id]
        waiting.pop(airbyte_id, None)
        if not waiting:
            del self._waiting[client_id]

    def _put_last(self, client_id: int, airbyte_id: str, news: News) -> None:
        waiting = self._waiting[client_id]
        waiting.pop(airbyte_id, None)
        waiting[airbyte_id] = news
