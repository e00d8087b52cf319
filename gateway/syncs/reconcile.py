"""Find the job that a trigger led to: the one rule, by ids, and what each unclear answer of Airbyte's means by it.

Job ids grow with time, whatever clocks and proxies say. So the newest sync is looked at just before a trigger is sent,
and the trigger's is the sync with the smallest id above that one.
"""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from gateway.airbyte import Airbyte
from gateway.errors import OutcomeUnknown, UpstreamBusy, UpstreamError, UpstreamInvalid, UpstreamRefused
from gateway.models import JOB_STATUSES, TERMINAL_STATUSES, Job
from gateway.store import Outcome, Unresolved
from gateway.syncs.refusals import ALREADY_RUNNING, STATE_CONFLICT, Refusals
from gateway.syncs.timings import TriggerTimings
from gateway.syncs.trigger_outcomes import CANNOT_BE_TOLD, NOTHING_STARTED, STARTED
from gateway.syncs.trigger_request import TriggerRequest
from gateway.times import parse_time

RECENT_JOBS = 20
"""More than can be created while a trigger is under way. A clock of Airbyte's that was set back hides no newer id."""
UNDER_WAY = frozenset(JOB_STATUSES) - TERMINAL_STATUSES
"""Not a word that is new to us: it may mean that the sync has ended, and then nothing would ever be triggered again."""

log = structlog.get_logger()


class Before(msgspec.Struct, frozen=True):
    """What Airbyte had just before a trigger: the `newest` sync's id, 0 for none; None if it could not be asked."""

    newest: int | None
    under_way: Job | None = None


def newest_before(syncs: Sequence[Job]) -> Before:
    """Return what a look at the newest syncs, in any order, tells."""
    by_id = sorted((job for job in syncs if job.job_type == "sync"), key=lambda job: job.job_id, reverse=True)
    under_way = next((job for job in by_id if job.status in UNDER_WAY), None)
    return Before(by_id[0].job_id if by_id else 0, under_way)


def job_begun_after(newest: int | None, jobs: Sequence[Job]) -> Job | None:
    """Return the sync with the smallest id above `newest`, ended or not; None if there is none, or `newest` is None."""
    if newest is None:
        return None
    syncs = [job for job in jobs if job.job_type == "sync" and job.job_id > newest]
    return min(syncs, key=lambda job: job.job_id, default=None)


def outcome_among(jobs: Sequence[Job], trigger: Unresolved, *, is_whole: bool) -> Outcome:
    """Return what came of a trigger that was sent long ago. `is_whole`: there are no jobs older than these.

    Its job was created near the trigger, either way: both are Airbyte's time, but a proxy may date it.
    """
    newest = trigger.newest_before
    if newest is None or trigger.span_seconds is None:
        return Outcome(CANNOT_BE_TOLD, None)
    if not is_whole and all(job.job_id > newest for job in jobs):
        # The first one after the trigger may be older than all of these.
        return Outcome(CANNOT_BE_TOLD, None)
    job = job_begun_after(newest, jobs)
    if job is None:
        return Outcome(NOTHING_STARTED, None)
    is_near = job.start_time is not None and _seconds_between(trigger.since, job.start_time) <= trigger.span_seconds
    return Outcome(STARTED, job.job_id) if is_near else Outcome(CANNOT_BE_TOLD, None)


def _seconds_between(one: str, other: str) -> float:
    return abs((parse_time(one) - parse_time(other)).total_seconds())


class Reconciler:
    """Looks at a connection's newest syncs for a trigger, under the trigger's permit."""

    def __init__(self, airbyte: Airbyte, refusals: Refusals, timings: TriggerTimings) -> None:
        self._airbyte = airbyte
        self._refusals = refusals
        self._timings = timings

    async def look_before(self, request: TriggerRequest) -> Before:
        """Return what Airbyte has. Raises UpstreamError if it cannot be reached: nor would the trigger reach it."""
        try:
            # Not the call's own deadline: that Airbyte reads slowly must not open the breaker.
            async with asyncio.timeout(self._timings.look):
                return newest_before(await self._recent(request))
        except TimeoutError:
            detail = f"no answer within {self._timings.look} s"
        except UpstreamError as error:
            if not error.reached:
                raise
            detail = error.detail
        log.warning("trigger_without_look", connection=request.connection_id, detail=detail)
        return Before(None)

    async def job_of_outcome(self, outcome: Outcome, request: TriggerRequest) -> Job | None:
        """Return the job of another gateway's trigger that has ended; None if it led to none.

        Raises OutcomeUnknown if that gateway could not find out, or the job cannot be looked at.
        """
        if outcome.job_id is None:
            if outcome.outcome == OutcomeUnknown.outcome:
                raise OutcomeUnknown(detail="so it was for the trigger of another gateway")
            return None
        try:
            jobs = await self._airbyte.jobs.syncs(request.airbyte_id, caller=request.client.id, limit=RECENT_JOBS)
        except UpstreamError as error:
            raise OutcomeUnknown(
                detail=f"another gateway started job {outcome.job_id}; then: {error.detail}"
            ) from error
        return next((job for job in jobs if job.job_id == outcome.job_id), None)

    async def require_own(self, job: Job, request: TriggerRequest, before: Before) -> Job:
        """Return the job that Airbyte's answer to the trigger names, or the one that it should name.

        That is a sync which has not ended, or was begun after the look. Raises UpstreamBusy for a job of another type,
        which Airbyte answers while it is pending; OutcomeUnknown when looking does not tell.
        """
        if job.job_type != "sync":
            raise UpstreamBusy(retry_after=self._timings.other_job_retry, detail=f"a {job.job_type} is pending")
        if not job.is_terminal or job_begun_after(before.newest, [job]) is not None:
            return job
        cause = UpstreamInvalid(detail=f"the answer names job {job.job_id}, which has ended")
        return await self.job_after_unclear_answer(cause, request, before)

    async def job_after_refusal(self, refusal: UpstreamRefused, request: TriggerRequest, before: Before) -> Job:
        """Return the job that made Airbyte refuse the trigger. Raises ApiError: why there is none."""
        if refusal.title == ALREADY_RUNNING:
            return await self._job_under_way(request, before)
        if refusal.title != STATE_CONFLICT:
            raise await self._refusals.error_for(refusal, request.airbyte_id)
        # Either the connection is not active, or Airbyte waited 60 s for a job that may still come.
        try:
            return await self.job_after_unclear_answer(refusal, request, before)
        except OutcomeUnknown:
            await self._require_active_or_unknown(request)
            raise

    async def _require_active_or_unknown(self, request: TriggerRequest) -> None:
        try:
            await self._refusals.require_active(request.airbyte_id, caller=request.client.id)
        except UpstreamError as error:
            raise OutcomeUnknown(detail=f"state conflict; then: {error.detail}") from error

    async def _job_under_way(self, request: TriggerRequest, before: Before) -> Job:
        jobs = await self._recent(request)
        unknown_word = next((job for job in jobs if job.job_type == "sync" and not job.is_terminal), None)
        job = newest_before(jobs).under_way or job_begun_after(before.newest, jobs) or unknown_word
        if job is None:
            await self._refusals.require_active(request.airbyte_id, caller=request.client.id)
            raise UpstreamBusy(
                retry_after=self._timings.other_job_retry, detail="what is running is no sync, or has ended"
            )
        return job

    async def job_after_unclear_answer(self, cause: UpstreamError, request: TriggerRequest, before: Before) -> Job:
        """Return the job of a trigger that failed by `cause`. Raises OutcomeUnknown when looking does not tell."""
        if before.newest is None:
            raise OutcomeUnknown(detail=f"{cause.detail}; what there was before is not known") from cause
        try:
            job = job_begun_after(before.newest, await self._recent(request))
        except UpstreamError as error:
            raise OutcomeUnknown(detail=f"{cause.detail}; then: {error.detail}") from cause
        if job is None:
            raise OutcomeUnknown(detail=cause.detail) from cause
        log.info("trigger_reconciled", connection=request.connection_id, job=job.job_id, cause=cause.detail)
        return job

    async def _recent(self, request: TriggerRequest) -> list[Job]:
        return await self._airbyte.jobs.newest_syncs(request.airbyte_id, caller=request.client.id, limit=RECENT_JOBS)
