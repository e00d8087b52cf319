"""Write what came of each trigger, and retry what could not be written."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from gateway.background import Progress
from gateway.errors import StorageUnavailable
from gateway.store import Intent, Store
from gateway.syncs.timings import TriggerTimings
from gateway.times import Clock, format_time

STARTED = "ok"
NOTHING_STARTED = "none"
CANNOT_BE_TOLD = "unknown"

Write = Callable[[], Awaitable[None]]

log = structlog.get_logger()


class TriggerOutcomes:
    """Outcomes in the table `triggers`. What this gateway fails to write, and stops before, the next start looks up."""

    def __init__(self, store: Store, clock: Clock, timings: TriggerTimings) -> None:
        self._triggers = store.triggers
        self._is_shared = store.is_shared
        self._clock = clock
        self._timings = timings
        self._unwritten: asyncio.Queue[Write] = asyncio.Queue()

    def under_way_since(self) -> str | None:
        """Return since when an unresolved trigger may still be another gateway's work; None if there is no other."""
        if not self._is_shared:
            return None
        return format_time(self._clock.now() - timedelta(seconds=self._timings.longest))

    async def write(self, client_id: int, number: int, outcome: str, job_id: int | None = None) -> None:
        """Write the outcome of trigger `number`; never fail: a caller whose job has started must get his answer.

        A failed write is retried as soon as storage is available.
        """
        at = format_time(self._clock.now())

        async def write() -> None:
            await self._triggers.resolve(client_id, number, outcome=outcome, job_id=job_id, at=at)

        try:
            await write()
        except StorageUnavailable as error:
            log.warning("trigger_outcome_not_written", number=number, outcome=outcome, job=job_id, detail=error.detail)
            self._unwritten.put_nowait(write)

    def withdraw(self, intent: Intent) -> None:
        """Note, later, that nothing was sent for an intent that storage may have committed without telling."""
        at = format_time(self._clock.now())
        self._unwritten.put_nowait(lambda: self._triggers.withdraw(intent, outcome=NOTHING_STARTED, at=at))

    async def run_retries(self, progress: Progress) -> None:
        """Write what could not be written, in its order, until cancelled."""
        while True:
            await self._retry(await self._unwritten.get())
            progress()

    async def _retry(self, write: Write) -> None:
        while True:
            try:
                return await write()
            except StorageUnavailable:
                await asyncio.sleep(self._timings.retry_interval)
