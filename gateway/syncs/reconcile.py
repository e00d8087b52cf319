"""Find the job that a trigger led to, when Airbyte's answer to the trigger does not name it."""

from collections.abc import Sequence

import structlog

from gateway.airbyte import Airbyte
from gateway.errors import OutcomeUnknown, UpstreamBusy, UpstreamError, UpstreamRefused
from gateway.models import Job
from gateway.store import Outcome
from gateway.syncs.refusals import ALREADY_RUNNING, STATE_CONFLICT, Refusals
from gateway.syncs.trigger_request import TriggerRequest

RECENT_JOBS = 5
"""Enough to find the one under way; Airbyte runs one job of a connection at a time."""
OTHER_JOB_RETRY_SECONDS = 30

log = structlog.get_logger()


def job_of_trigger(
    jobs: Sequence[Job], *, since: str, or_active: bool = False, any_type: bool = False, oldest: bool = False
) -> Job | None:
    """Return the job among `jobs`, newest first, that a trigger led to: the newest sync created at or after `since`.

    `or_active`: rather one that has not ended, whenever it was created: Airbyte joins a trigger to it.
    `any_type`: a job of any type, such as a reset.
    `oldest`: of those created since, the one with the lowest id: later ones may belong to later triggers.
    """
    candidates = [job for job in jobs if any_type or job.job_type == "sync"]
    active = [job for job in candidates if or_active and not job.is_terminal]
    created = created_since(candidates, since)
    if oldest:
        created.sort(key=lambda job: job.job_id)
    return next(iter([*active, *created]), None)


def created_since(jobs: Sequence[Job], since: str) -> list[Job]:
    """Return those that were created at or after `since`, in their order; a job that does not say when is left out."""
    return [job for job in jobs if job.start_time is not None and job.start_time >= since]


class Reconciler:
    """Looks at a connection's newest jobs to find the one of a trigger. Every method raises UpstreamError."""

    def __init__(self, airbyte: Airbyte, refusals: Refusals) -> None:
        self._airbyte = airbyte
        self._refusals = refusals

    async def job_of_outcome(self, outcome: Outcome, request: TriggerRequest) -> Job | None:
        """Return the job of another gateway's trigger that has ended; None if it led to none.

        Raises OutcomeUnknown if that gateway could not find out.
        """
        if outcome.job_id is None:
            if outcome.outcome == OutcomeUnknown.outcome:
                raise OutcomeUnknown(detail="so it was for the trigger of another gateway")
            return None
        return next((job for job in await self._recent(request) if job.job_id == outcome.job_id), None)

    async def job_left_by(self, request: TriggerRequest, *, since: str) -> Job | None:
        """Return the job that a gateway which died after `since` has started; None if there is none."""
        return job_of_trigger(await self._recent(request), since=since)

    async def job_after_refusal(self, refusal: UpstreamRefused, request: TriggerRequest, *, since: str) -> Job:
        """Return the job that made Airbyte refuse the trigger. Raises ApiError: why there is none."""
        if refusal.title == ALREADY_RUNNING:
            return await self._job_under_way(request, since)
        if refusal.title == STATE_CONFLICT:
            await self._refusals.require_active(request.airbyte_id)
            return await self.job_after_unclear_answer(refusal, request, since=since)
        raise await self._refusals.error_for(refusal, request.airbyte_id)

    async def _job_under_way(self, request: TriggerRequest, since: str) -> Job:
        job = job_of_trigger(await self._recent(request), since=since, or_active=True, any_type=True)
        if job is None:
            await self._refusals.require_active(request.airbyte_id)
            raise UpstreamBusy(detail="Airbyte said a sync was running, but it has ended")
        if job.job_type != "sync" and not job.is_terminal:
            raise UpstreamBusy(retry_after=OTHER_JOB_RETRY_SECONDS, detail=f"a {job.job_type} is running")
        return job

    async def job_after_unclear_answer(self, cause: UpstreamError, request: TriggerRequest, *, since: str) -> Job:
        """Return the job of a trigger that failed by `cause`. Raises OutcomeUnknown when looking does not tell."""
        try:
            jobs = await self._recent(request)
        except UpstreamError as error:
            raise OutcomeUnknown(detail=f"{cause.detail}; then: {error.detail}") from cause
        job = job_of_trigger(jobs, since=since, or_active=True)
        if job is None:
            raise OutcomeUnknown(detail=cause.detail) from cause
        log.info("trigger_reconciled", connection=request.connection_id, job=job.job_id, cause=cause.detail)
        return job

    async def _recent(self, request: TriggerRequest) -> list[Job]:
        return await self._airbyte.jobs(
            request.airbyte_id, caller=request.client.slug, limit=RECENT_JOBS, sync_only=False, reconciling=True
        )
