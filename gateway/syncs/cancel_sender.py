"""Send the cancelling of one job to Airbyte: once at a time, and only if the job is what its connection is doing.

Airbyte cancels what the connection of a job is doing, whichever job is named, and ignores it while the job is pending.
So the connection is looked at just before.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import structlog

from gateway.airbyte import Airbyte
from gateway.errors import (
    JobNotFound,
    OtherJobRunning,
    UpstreamBusy,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRefused,
)
from gateway.models import Job
from gateway.store import CancelWish, OpenWish, Store
from gateway.syncs.best_effort import best_effort
from gateway.syncs.timings import CancelTimings
from gateway.times import Clock, format_time

PENDING = "pending"
"""The status in which Airbyte ignores that a job is cancelled."""
BUSY = frozenset({"running", "incomplete"})
"""A connection with such a job does no other; `incomplete`: it waits for its next attempt."""
RECENT = 20
"""Jobs of a connection that are looked at: what it is doing is among the newest."""

CancelOutcome = Literal["sent", "ended", "refused", "gone", "withdrawn", "expired"]

log = structlog.get_logger()


class CancelSender:
    """Looks at jobs, and sends what is to be cancelled."""

    def __init__(self, store: Store, airbyte: Airbyte, clock: Clock, timings: CancelTimings) -> None:
        self._cancellations = store.cancellations
        self._airbyte = airbyte
        self._clock = clock
        self._timings = timings

    @property
    def sent_before(self) -> str:
        """When a gateway that is still sending began at the earliest: what was begun before, it died at."""
        return format_time(self._clock.now() - timedelta(seconds=self._timings.sending))

    async def look(self, client_id: int, airbyte_id: str, job_id: int, *, has_permit: bool = False) -> Job:
        """Return the job, which has ended or is what its connection is doing, or waits for nothing else.

        With `has_permit` the calls are made under a trigger's permit. Raises JobNotFound; OtherJobRunning if it has not
        ended and the connection does another one; UpstreamError.
        """
        job: Job | None = await self._airbyte.jobs.of_connection(
            airbyte_id, job_id, caller=client_id, has_permit=has_permit
        )
        if job is None:
            raise JobNotFound
        if job.is_terminal:
            return job
        recent = await self._airbyte.jobs.newest(airbyte_id, caller=client_id, limit=RECENT, has_permit=has_permit)
        if is_another_running(job_id, recent):
            raise OtherJobRunning
        # It may have ended before the list was made.
        return next((newer for newer in recent if newer.job_id == job_id), job)

    async def send(self, wish: CancelWish | OpenWish, number: int) -> Job | None:
        """Cancel the job if it runs, and return it as it stands then; None if it is to be tried again.

        The permit is had before the look: while it is waited for, the job may end and another begin. Raises
        JobNotFound; UpstreamInvalid if Airbyte refuses, and then the wish is no more; OtherJobRunning, UpstreamBusy,
        StorageUnavailable, and then nothing was sent.
        """
        async with self._airbyte.trigger_permit(wish.client_id):
            try:
                job = await self.look(wish.client_id, wish.airbyte_id, wish.job_id, has_permit=True)
            except JobNotFound:
                await self.resolve(wish, number, "gone")
                raise
            except UpstreamBusy:
                raise
            except UpstreamError as error:
                log.warning("cancel_not_sent", job=wish.job_id, error=error.message, detail=error.detail)
                return None
            looked_at = self._clock.monotonic()
            if job.is_terminal:
                await self.resolve(wish, number, "ended")
                return job
            if job.status == PENDING or not await self._claim(wish, number, looked_at):
                return None
            return await self._send(wish, number)

    async def _claim(self, wish: CancelWish | OpenWish, number: int, looked_at: float) -> bool:
        """Return whether the job may be cancelled now: what was seen at `looked_at` is not old."""
        now = format_time(self._clock.now())
        if not await self._cancellations.claim(wish.client_id, number, at=now, sent_before=self.sent_before):
            return False
        if self._clock.monotonic() - looked_at <= self._timings.look_age:
            return True
        await self._release(wish, number)
        return False

    async def _send(self, wish: CancelWish | OpenWish, number: int) -> Job | None:
        """Cancel the job, which was just seen to run. Raises as `send`."""
        try:
            told = await self._airbyte.jobs.cancel(wish.airbyte_id, wish.job_id, caller=wish.client_id)
            job = await self._job_after(wish, told)
        except UpstreamRefused:
            await self.resolve(wish, number, "refused")
            raise
        except UpstreamError as error:
            log.warning("cancel_not_sent", job=wish.job_id, error=error.message, detail=error.detail)
            if not error.reached:
                await self._release(wish, number)
            # Else Airbyte may be at it still: it is sent again as if this gateway had died.
            return None
        if job is None:
            await self.resolve(wish, number, "gone")
            raise JobNotFound
        return await self._conclude(wish, number, job, was_refused=told is None)

    async def _conclude(self, wish: CancelWish | OpenWish, number: int, job: Job, *, was_refused: bool) -> Job | None:
        if was_refused and not job.is_terminal:
            await self.resolve(wish, number, "refused")
            raise UpstreamInvalid(detail=f"Airbyte does not cancel job {wish.job_id}")
        if job.status == PENDING:
            await self._release(wish, number)
            return None
        await self.resolve(wish, number, "sent")
        return job

    async def _release(self, wish: CancelWish | OpenWish, number: int) -> None:
        await best_effort(self._cancellations.release(wish.client_id, number))

    async def _job_after(self, wish: CancelWish | OpenWish, told: Job | None) -> Job | None:
        """Return the job as a read gives it: the answer to a cancel has no counts."""
        try:
            return await self._airbyte.jobs.of_connection(
                wish.airbyte_id, wish.job_id, caller=wish.client_id, has_permit=True
            )
        except UpstreamError:
            if told is None:
                raise
            return told

    async def resolve(self, wish: CancelWish | OpenWish, number: int, outcome: CancelOutcome) -> None:
        """Write what came of a wish; never fail: who cannot write it now looks at the job again later."""
        log.info("cancel_resolved", connection=wish.connection_id, job=wish.job_id, outcome=outcome)
        at = format_time(self._clock.now())
        await best_effort(self._cancellations.resolve(wish.client_id, number, outcome=outcome, at=at))


def is_another_running(job_id: int, jobs: Sequence[Job]) -> bool:
    """Return whether the connection of these jobs is doing another one than `job_id`: the newest that is busy.

    Airbyte may leave an older one at `incomplete` for ever.
    """
    return max((job.job_id for job in jobs if job.status in BUSY), default=job_id) != job_id
