"""Keep the last syncs fresh without being asked, while somebody is told of changes or something runs.

One gateway of all does it. It asks no more often than readers would, and its question is theirs: who reads meanwhile
asks nothing. The calls are the gateway's own, which never take a client's share of Airbyte.
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

LAST_SYNC_WATCH = "last sync watch"
"""The task that watches, as logs, /readyz and /metrics name it; also the lease of the gateway that does."""

log = structlog.get_logger()


class LastSyncWatch:
    """Refreshes every `freshness_seconds` for a webhook, each minute for what runs, and never for neither."""

    def __init__(
        self,
        store: Store,
        refresh: LastSyncRefresh,
        leadership: Leadership,
        *,
        timings: LastSyncTimings,
    ) -> None:
        self._store = store
        self._refresh = refresh
        self._leadership = leadership
        self._seconds = max(refresh.freshness_seconds, timings.shortest_watch)
        self._timings = timings
        self._idle_seconds = 0.0
        """How long nobody has been listening."""

    async def run(self, progress: Progress, *, refreshed: Callable[[], Awaitable[None]]) -> None:
        """Refresh when it is time, again and again, until cancelled; call `refreshed` after that."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                age = await self._age_if_due()
                if age is not None and await self._leads():
                    await self._refresh.refresh_if_older(age)
                    await refreshed()
            except StorageUnavailable as error:
                log.warning("last_syncs_not_watched", detail=error.detail)
            progress()

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
