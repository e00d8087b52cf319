"""How the syncs of the last weeks went, day by day: read from Airbyte's job lists when somebody looks, and kept.

Airbyte has a list for each connection and no sums, so hundreds of connections cannot be asked while a page waits.
One background task asks, a call at a time, for what is new since it last did; pages show what is known by then.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice

import msgspec
import structlog
from cachetools import TTLCache

from gateway.airbyte import Airbyte
from gateway.errors import GatewayError, UpstreamInvalid
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
MOST_REMEMBERED = 100_000

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
            tell=lambda error: log.error("sync_history_not_read", exc_info=error)
        )
        self._waiting: dict[str, News] = {}
        """By Airbyte id, in the order in which they are read."""
        self._read: TTLCache[str, News] = TTLCache(MOST_REMEMBERED, timings.fresh, timer=clock.monotonic)
        """What was read not long ago, and the news of that time."""
        self._failed_at = float("-inf")

    async def of(self, client: Client, connections: Sequence[Connection]) -> History:
        """Return the last `DAYS` days of the client's `connections`, and read in the background what is old.

        Raises StorageUnavailable.
        """
        news = {each.airbyte_id: (each.last_job_id, each.last_sync_status) for each in connections if each.airbyte_id}
        due = self._due(news)
        known = await self._days.read_upto(news)
        if due and not self._is_failing:
            self._queue(self._due(news))  # without what was read since `due` was found
            flight = self._flight.start("all", self._read_waiting)
            if due.keys() - known.keys():
                await asyncio.wait({flight}, timeout=self.timings.wait)
                known = await self._days.read_upto(news)
        days: dict[str, dict[str, SyncDay]] = {airbyte_id: {} for airbyte_id in known}
        first = day_name(self._clock.now() - (DAYS - 1) * ONE_DAY)
        for day in await self._days.of_client(client.id, known, since=first):
            days[day.airbyte_id][day.day] = day
        return History(
            days, is_reading=bool(self._due(news)) and not self._is_failing, is_stale=bool(due) and self._is_failing
        )

    def _queue(self, due: dict[str, News]) -> None:
        """Put what somebody looks at now first, before it what has not waited yet; what waits keeps its order."""
        new = {airbyte_id: news for airbyte_id, news in due.items() if airbyte_id not in self._waiting}
        looked_at = {airbyte_id: due[airbyte_id] for airbyte_id in self._waiting if airbyte_id in due}
        self._waiting = dict(islice({**new, **looked_at, **self._waiting}.items(), MOST_WAITING_CONNECTIONS))

    def _due(self, news: dict[str, News]) -> dict[str, News]:
        return {airbyte_id: each for airbyte_id, each in news.items() if self._read.get(airbyte_id) != each}

    @property
    def _is_failing(self) -> bool:
        return self._clock.monotonic() - self._failed_at < self.timings.retry

    async def close(self) -> None:
        """Cancel the reading under way."""
        await self._flight.close(cancel=True)

    async def _read_waiting(self) -> None:
        """Read what waits, one connection after the other, until nothing does or Airbyte fails."""
        while self._waiting:
            airbyte_id, news = next(iter(self._waiting.items()))
            try:
                is_complete = await self._reader.read_on(airbyte_id)
            except UpstreamInvalid as error:
                # It is this connection's answer that cannot be used; the others' may.
                log.warning("sync_history_not_read", airbyte_id=airbyte_id, detail=error.detail)
                is_complete = True
            except Exception as error:
                self._failed_at = self._clock.monotonic()
                # Whatever is wrong with this one shall not keep the others from being read the next time.
                self._put_last(airbyte_id, news)
                if not isinstance(error, GatewayError):
                    raise
                log.warning("sync_history_not_read", error=str(error), detail=getattr(error, "detail", ""))
                return
            if is_complete:
                self._waiting.pop(airbyte_id, None)
                self._read[airbyte_id] = news
            else:
                self._put_last(airbyte_id, news)

    def _put_last(self, airbyte_id: str, news: News) -> None:
        self._waiting.pop(airbyte_id, None)
        self._waiting[airbyte_id] = news
