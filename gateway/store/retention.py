"""Delete rows that are older than they are kept: at the start and then once a day."""

import asyncio

import structlog

from gateway.background import Progress
from gateway.errors import StorageUnavailable
from gateway.store import Store
from gateway.store.leadership import Leadership, SoleLeadership
from gateway.store.timings import RetentionTimings
from gateway.times import Clock, format_time

RETENTION = "retention"

log = structlog.get_logger()


class Retention:
    """Deletes old rows."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        leadership: Leadership | None = None,
        timings: RetentionTimings | None = None,
    ) -> None:
        self._store = store
        self._leadership = leadership or SoleLeadership()
        self._clock = clock
        self.timings = timings or RetentionTimings()

    async def run(self, progress: Progress) -> None:
        """Prune at once and then every day, until cancelled."""
        while True:
            await self.prune()
            progress()
            await asyncio.sleep(self.timings.every)

    async def prune(self) -> None:
        """Delete old rows, on one gateway. A database that is unavailable is tried again the next day."""
        now, kept = self._clock.now(), self.timings
        try:
            if not await self._leadership.acquire(RETENTION, seconds=kept.lease, unless_done_within=kept.every / 2):
                return
            await asyncio.gather(
                self._store.triggers.prune(format_time(now - kept.triggers)),
                self._store.cancellations.prune(format_time(now - kept.triggers)),
                self._store.usage.prune(format_time(now - kept.usage)),
                self._store.key_callers.prune(format_time(now - kept.key_callers)),
                self._store.api_keys.prune(format_time(now - kept.ended_keys)),
                self._store.activity.prune(format_time(now - kept.activity)),
                self._store.sync_days.prune(format_time(now - kept.sync_days)),
                self._store.events.prune(format_time(now - kept.events)),
            )
            await self._store.deliveries.release_orphans(now=now)
            await self._leadership.complete(RETENTION)
        except StorageUnavailable as error:
            log.warning("old_rows_not_pruned", detail=error.detail)
