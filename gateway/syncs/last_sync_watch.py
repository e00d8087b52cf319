"""Keep the last syncs fresh without being asked: for callers that wait for a job, for webhooks, while something runs.

The one loop that watches Airbyte. Its question is everybody's, pages and programs that ask again and again included:
who reads meanwhile asks nothing. For webhooks and what runs one gateway of all asks, no more often than readers would.
For callers that wait each gateway asks that has some, and one of these for all. The calls are the gateway's own, but
for those about a single job that no change tells of: these take its client's share.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from gateway.background import Progress
from gateway.errors import StorageUnavailable
from gateway.store import Store
from gateway.store.leadership import Leadership
from gateway.syncs.last_sync import LastSyncRefresh
from gateway.syncs.timings import LastSyncTimings
from gateway.syncs.watcher import Watcher

LAST_SYNC_WATCH = "last sync watch"
"""The task that watches, as logs, /readyz and /metrics name it; also the lease of the gateway that does."""

log = structlog.get_logger()


class LastSyncWatch:
    """Refreshes each second for callers that wait, every `freshness_seconds` for a webhook, each minute for what runs.

    Never for none of them.
    """

    def __init__(
        self,
        store: Store,
        refresh: LastSyncRefresh,
        leadership: Leadership,
        callers: Watcher,
        *,
        timings: LastSyncTimings,
    ) -> None:
        """`callers` are those that wait for jobs."""
        self._store = store
        self._refresh = refresh
        self._leadership = leadership
        self._callers = callers
        self._seconds = max(refresh.freshness_seconds, timings.shortest_watch)
        self._timings = timings
        self._idle_seconds = 0.0
        """How long nobody has been listening."""

    async def run(self, progress: Progress, *, refreshed: Callable[[], Awaitable[None]]) -> None:
        """Refresh when it is time, again and again, until cancelled; call `refreshed` after each round.

        Callers that wait are looked after between rounds too.
        """
        now = asyncio.get_running_loop().time
        due = now() + self._seconds
        while True:
            await self._callers.rest(due - now())
            await self._callers.look()
            if now() >= due:
                await self._round(refreshed)
                due = now() + self._seconds
            progress()

    async def _round(self, refreshed: Callable[[], Awaitable[None]]) -> None:
        """Refresh for webhooks or what runs, if this gateway leads."""
        try:
            age = await self._age_if_due()
            if age is not None and await self._leads():
                await self._refresh.refresh_if_older(age)
                await refreshed()
        except StorageUnavailable as error:
            log.warning("last_syncs_not_watched", detail=error.detail)

    async def _leads(self) -> bool:
        """Return whether this gateway watches, until after its next round."""
        return await self._leadership.acquire(LAST_SYNC_WATCH, seconds=self._timings.watch_lease + self._seconds)

    async def _age_if_due(self) -> float | None:
        """Return how old the last refresh may be for whoever listens, or for what runs; None for neither."""
        if await self._store.webhooks.is_any_listening():
            return self._seconds
        self._idle_seconds += self._seconds
        if self._idle_seconds < self._timings.idle_watch:
            return None
        self._idle_seconds = 0.0
        return self._timings.idle_watch if await self._store.connections.is_any_syncing() else None
