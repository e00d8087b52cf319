"""Start a sync, or join the one under way.

A trigger is sent once, after a look at the newest sync. Whenever it is unclear what became of it, the job list tells by
ids (`reconcile.py`); when that does not tell either, the caller learns that the outcome is unknown.
"""

import asyncio
from asyncio import get_running_loop

from gateway.airbyte import Airbyte, triggered_job_from
from gateway.errors import BadRequest, OutcomeUnknown, StorageUnavailable, UpstreamError, UpstreamRefused
from gateway.models import Client, Job
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.best_effort import best_effort
from gateway.syncs.connections import airbyte_id_of, require_still_mapped
from gateway.syncs.last_sync_recorder import LastSyncRecorder
from gateway.syncs.reconcile import Before, Reconciler
from gateway.syncs.timings import TriggerTimings
from gateway.syncs.trigger_audit import Claim, TriggerAudit
from gateway.syncs.trigger_request import StartedSync, Triggered, TriggerRequest
from gateway.times import Clock


class Trigger:
    """Starts syncs for clients; simultaneous triggers of one connection share one call and one audit row."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        audit: TriggerAudit,
        reconciler: Reconciler,
        recorder: LastSyncRecorder,
        *,
        clock: Clock,
        timings: TriggerTimings,
    ) -> None:
        self._store = store
        self._airbyte = airbyte
        self._audit = audit
        self._reconciler = reconciler
        self._recorder = recorder
        self._clock = clock
        self._timings = timings
        self._triggers: SingleFlight[tuple[int, str], Triggered] = SingleFlight()

    async def close(self) -> None:
        """Wait for triggers under way: each may start a job that somebody must learn of."""
        await self._triggers.close(cancel=False)

    async def start_or_join(self, client: Client, connection_id: str, *, caller: str, request_id: str) -> StartedSync:
        """Start a sync of the client's connection, or join the one under way.

        `caller` is the id of the key or the user who asks. Raises ConnectionNotFound, BadRequest, UpstreamError;
        OutcomeUnknown when a job may have started; StorageUnavailable when the trigger cannot be written down first,
        and then nothing is sent.
        """
        airbyte_id = await airbyte_id_of(self._store, client, connection_id)
        request = TriggerRequest(client, connection_id, airbyte_id, caller, request_id)
        try:
            async with asyncio.timeout(self._timings.answer):
                triggered = await self._job_for(request)
        except TimeoutError:
            raise OutcomeUnknown(detail=f"still under way after {self._timings.answer} s") from None
        except BadRequest:  # it tells the status of the connection
            await require_still_mapped(self._store, client, connection_id, airbyte_id)
            raise
        try:
            await require_still_mapped(self._store, client, connection_id, airbyte_id)
        except StorageUnavailable as error:
            raise OutcomeUnknown(detail=f"job {triggered.job.job_id}, but whose it is cannot be read") from error
        return StartedSync(triggered_job_from(triggered.job), triggered.was_joined, triggered.job)

    async def _job_for(self, request: TriggerRequest) -> Triggered:
        """Return the job of the trigger under way; of one after it, if this caller came when that was sent already.

        Its job may have ended before he came.
        """
        came_at = self._clock.monotonic()
        while True:
            triggered = await self._triggers.run((request.client.id, request.airbyte_id), lambda: self._run(request))
            if came_at <= triggered.serves_until:
                return triggered

    async def _run(self, request: TriggerRequest) -> Triggered:
        ends_at = get_running_loop().time() + self._timings.answer
        claim = await self._audit.claim(request)  # durable before anything is sent
        if isinstance(claim, Triggered):  # another gateway's
            return claim
        async with self._audit.failure_of(claim), self._airbyte.trigger_permit(request.client.id):
            try:
                async with asyncio.timeout_at(ends_at):
                    triggered = await self._join_or_send(claim, ends_at)
            except TimeoutError:
                raise OutcomeUnknown(detail=f"still under way after {self._timings.answer} s") from None
            await self._audit.succeed(claim, triggered.job)
        await best_effort(self._recorder.record([triggered.job]))
        return triggered

    async def _join_or_send(self, claim: Claim, ends_at: float) -> Triggered:
        """Return the job that is under way already, or send the trigger."""
        looked_at = self._clock.monotonic()
        before = await self._reconciler.look_before(claim.request)
        if before.under_way is not None:
            return Triggered(before.under_way, looked_at, was_joined=True)
        await self._audit.mark_sent(claim, newest_before=before.newest)
        sent_at = self._clock.monotonic()
        job = await self._send(claim.request, before, ends_at)
        # Airbyte itself joins a job that came between the look and the trigger, if that is queued.
        return Triggered(job, sent_at, was_joined=job.job_id <= (before.newest or 0))

    async def _send(self, request: TriggerRequest, before: Before, ends_at: float) -> Job:
        """Send the one POST; after an unclear answer, look for its job."""
        within_seconds = ends_at - self._timings.reconcile - get_running_loop().time()
        try:
            job = await self._airbyte.jobs.create(
                request.airbyte_id, caller=request.client.id, within_seconds=within_seconds
            )
        except UpstreamRefused as refusal:
            return await self._reconciler.job_after_refusal(refusal, request, before)
        except UpstreamError as error:
            if not error.reached:
                raise
            return await self._reconciler.job_after_unclear_answer(error, request, before)
        return await self._reconciler.require_own(job, request, before)
