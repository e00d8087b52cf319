"""Start a sync, or join the one under way.

A trigger is sent once. Whenever it is unclear what became of it, the job list tells (`reconcile.py`); when that does
not tell either, the caller learns that the outcome is unknown.
"""

import asyncio

from gateway.airbyte import Airbyte, triggered_job_from
from gateway.errors import ApiError, OutcomeUnknown, UpstreamError, UpstreamRefused
from gateway.models import Client, Job, TriggeredJob
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.best_effort import best_effort
from gateway.syncs.connections import airbyte_id_of
from gateway.syncs.last_sync_recorder import LastSyncRecorder
from gateway.syncs.reconcile import Reconciler
from gateway.syncs.trigger_audit import Claim, TriggerAudit
from gateway.syncs.trigger_request import TriggerRequest


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
        answer_seconds: float,
    ) -> None:
        """Wait `answer_seconds` for Airbyte at most before a caller is answered."""
        self._store = store
        self._airbyte = airbyte
        self._audit = audit
        self._reconciler = reconciler
        self._recorder = recorder
        self._answer_seconds = answer_seconds
        self._triggers: SingleFlight[tuple[int, str], TriggeredJob] = SingleFlight()

    async def close(self) -> None:
        """Wait for triggers under way: each may start a job that somebody must learn of."""
        await self._triggers.close(cancel=False)

    async def start_or_join(self, client: Client, connection_id: str, *, caller: str, request_id: str) -> TriggeredJob:
        """Start a sync of the client's connection, or join the one under way, and return its job.

        `caller` is the id of the key or the user who asks. Raises ConnectionNotFound, BadRequest, UpstreamError;
        OutcomeUnknown when a job may have started; StorageUnavailable when the trigger cannot be written down first,
        and then nothing is sent.
        """
        airbyte_id = await airbyte_id_of(self._store, client, connection_id)
        request = TriggerRequest(client, connection_id, airbyte_id, caller, request_id)
        try:
            async with asyncio.timeout(self._answer_seconds):
                return await self._triggers.run((client.id, airbyte_id), lambda: self._run(request))
        except TimeoutError:
            raise OutcomeUnknown(detail=f"still under way after {self._answer_seconds} s") from None

    async def _run(self, request: TriggerRequest) -> TriggeredJob:
        claim = await self._audit.claim(request)  # durable before anything is sent
        if isinstance(claim, Job):  # another gateway's
            return triggered_job_from(claim)
        try:
            job = await self._left_by_dead_gateway(claim) or await self._send(claim)
        except ApiError as error:
            await self._audit.fail(claim, error)
            raise
        await self._audit.succeed(claim, job)
        await best_effort(self._recorder.record([job]))
        return triggered_job_from(job)

    async def _left_by_dead_gateway(self, claim: Claim) -> Job | None:
        if claim.dead_since is None:
            return None
        return await self._reconciler.job_left_by(claim.request, since=claim.dead_since)

    async def _send(self, claim: Claim) -> Job:
        """Send the one POST; after an unclear answer, look for its job."""
        request = claim.request
        try:
            return await self._airbyte.create_job(request.airbyte_id, caller=request.client.slug)
        except UpstreamRefused as refusal:
            return await self._reconciler.job_after_refusal(refusal, request, since=claim.since)
        except UpstreamError as error:
            if not error.reached:
                raise
            return await self._reconciler.job_after_unclear_answer(error, request, since=claim.since)
