"""Delete rows that are older than they are kept: at the start and then once a day."""

import asyncio
from datetime import timedelta

import structlog

from gateway.background import Progress
from gateway.errors import StorageUnavailable
from gateway.store import Store
from gateway.store.leadership import Leadership, SoleLeadership
from gateway.times import Clock, format_time

TRIGGERS_KEPT = timedelta(days=90)
USAGE_KEPT = timedelta(days=40)
ACTIVITY_KEPT = timedelta(days=400)
SYNC_DAYS_KEPT = timedelta(days=40)
DAY_SECONDS = 86_400.0
RETENTION = "retention"
LEASE_SECONDS = 600.0
"""Longer than the deletions of one day take."""

log = structlog.get_logger()


class Retention:
    """Deletes old rows."""

    def __init__(
        self, store: Store, clock: Clock, *, leadership: Leadership | None = None, every_seconds: float = DAY_SECONDS
    ) -> None:
        self._store = store
        self._leadership = leadership or SoleLeadership()
        self._clock = clock
        self._every_seconds = every_seconds

    async def run(self, progress: Progress) -> None:
        """Prune at once and then every day, until cancelled."""
        while True:
            await self.prune()
            progress()
            await asyncio.sleep(self._every_seconds)

    async def prune(self) -> None:
        """Delete old rows, on one gateway. A database that is unavailable is tried again the next day."""
        now = self._clock.now()
        try:
            if not await self._leadership.acquire(
                RETENTION, seconds=LEASE_SECONDS, unless_done_within=self._every_seconds / 2
            ):
                return
            await asyncio.gather(
                self._store.triggers.prune(format_time(now - TRIGGERS_KEPT)),
                self._store.usage.prune(format_time(now - USAGE_KEPT)),
                self._store.activity.prune(format_time(now - ACTIVITY_KEPT)),
                self._store.sync_days.prune(format_time(now - SYNC_DAYS_KEPT)),
            )
            await self._leadership.complete(RETENTION)
        except StorageUnavailable as error:
            log.warning("old_rows_not_pruned", detail=error.detail)
