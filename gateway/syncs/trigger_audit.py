"""The audit of triggers: each is written down before it is sent, and afterwards what came of it."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from gateway.airbyte import Airbyte
from gateway.cluster.membership import Membership
from gateway.errors import (
    ApiError,
    ConnectionNotFound,
    StorageUnavailable,
    UpstreamBusy,
    UpstreamError,
    UpstreamRefused,
)
from gateway.models import Job
from gateway.store import Intent, Outcome, Store, TriggerUnderWay
from gateway.syncs.connections import require_still_mapped
from gateway.syncs.reconcile import Reconciler
from gateway.syncs.timings import TriggerTimings
from gateway.syncs.trigger_outcomes import CANNOT_BE_TOLD, NOTHING_STARTED, STARTED, TriggerOutcomes
from gateway.syncs.trigger_request import Triggered, TriggerRequest
from gateway.times import Clock, format_time


class Claim(msgspec.Struct, frozen=True):
    """The right to send one trigger: its intent is durable as row `number`."""

    request: TriggerRequest
    number: int


class OtherTrigger(msgspec.Struct, frozen=True):
    """A trigger of the same connection that another living gateway is at; `is_sent` to Airbyte or not yet."""

    number: int
    is_sent: bool


class TriggerAudit:
    """Claims triggers and writes what came of them, beside other gateways that do the same."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        reconciler: Reconciler,
        outcomes: TriggerOutcomes,
        clock: Clock,
        *,
        member: Membership,
        timings: TriggerTimings,
    ) -> None:
        """Write intents in the name of `member`, this gateway."""
        self._store = store
        self._triggers = store.triggers
        self._airbyte = airbyte
        self._reconciler = reconciler
        self._outcomes = outcomes
        self._clock = clock
        self._member = member
        self._timings = timings

    async def claim(self, request: TriggerRequest) -> Claim | Triggered:
        """Write the intent down once no other gateway is at a trigger of this connection, for two would be two jobs.

        Wait for another gateway's trigger, and return its job if it serves this caller. Nothing may be sent if this
        raises: StorageUnavailable; ConnectionNotFound if the connection was removed or mapped anew in this very
        moment; UpstreamBusy if the others do not end; OutcomeUnknown if one of them does not know.
        """
        came_at = self._clock.monotonic()
        first: OtherTrigger | None = None
        while not isinstance(begun := await self._begin(request), Claim):
            first = first or begun
            # What was sent before this caller came may have led to a job that ended before he came.
            is_late = first.is_sent and first.number == begun.number
            outcome = await self._follow(request, begun)
            if outcome is not None:
                looked_at = self._clock.monotonic()
                job = await self._reconciler.job_of_outcome(outcome, request)
                if job is not None and not (is_late and job.is_terminal):
                    return Triggered(job, came_at if job.is_terminal else looked_at, was_joined=True)
            if self._clock.monotonic() > came_at + self._timings.claim:
                raise UpstreamBusy(detail="another gateway's trigger does not end")
        return begun

    async def _begin(self, request: TriggerRequest) -> Claim | OtherTrigger:
        intent = self._intent(request)
        try:
            number = await self._triggers.begin(
                intent,
                young_since=self._outcomes.under_way_since(),
                silence_seconds=self._member.silence_seconds(),
            )
        except TriggerUnderWay as other:
            return OtherTrigger(other.number, other.is_sent)
        except BaseException:
            # A server that was lost in that moment may have committed it, and nothing will be sent.
            self._outcomes.withdraw(intent)
            raise
        if number is None:
            raise ConnectionNotFound(detail=f"{intent.connection_id} is no longer mapped to {intent.airbyte_id}")
        return Claim(request, number)

    def _intent(self, request: TriggerRequest) -> Intent:
        return Intent(
            client_id=request.client.id,
            connection_id=request.connection_id,
            airbyte_id=request.airbyte_id,
            caller=request.caller,
            request_id=request.request_id,
            created_at=format_time(self._clock.now()),
            since=format_time(self._airbyte.now()),
            gateway_id=self._member.id,
        )

    async def mark_sent(self, claim: Claim, *, newest_before: int | None) -> None:
        """Commit that the trigger is sent now. Nothing may be sent if this raises.

        Raises StorageUnavailable; ConnectionNotFound if the connection changed hands since the claim; UpstreamBusy if
        other gateways take, or have taken, this one for dead.
        """
        if self._store.is_shared and not self._member.is_sure:
            raise UpstreamBusy(detail="this gateway stood still: another may be at this trigger by now")
        request = claim.request
        if not await self._triggers.mark_sent(
            request.client.id,
            claim.number,
            newest_before=newest_before,
            since=format_time(self._airbyte.now()),
            span_seconds=math.ceil(self._timings.answer),
        ):
            await require_still_mapped(self._store, request.client, request.connection_id, request.airbyte_id)
            raise UpstreamBusy(detail="another gateway has taken over this trigger")

    async def _follow(self, request: TriggerRequest, other: OtherTrigger) -> Outcome | None:
        """Return what came of the other gateway's trigger; None if that has not been written for a while."""
        for _ in range(int(self._timings.follow / self._timings.poll_interval)):
            outcome = await self._triggers.outcome(request.client.id, other.number)
            if outcome is not None:
                return outcome
            await asyncio.sleep(self._timings.poll_interval)
        return None

    async def succeed(self, claim: Claim, job: Job) -> None:
        """Write that the claim led to `job`. A failed write is retried."""
        await self._outcomes.write(claim.request.client.id, claim.number, STARTED, job.job_id)

    @asynccontextmanager
    async def failure_of(self, claim: Claim) -> AsyncIterator[None]:
        """Write why the claim led to no job, whatever is raised within. A failed write is retried."""
        try:
            yield
        except BaseException as error:
            await self._outcomes.write(claim.request.client.id, claim.number, _word_for(error))
            raise


def _word_for(error: BaseException) -> str:
    if isinstance(error, UpstreamError):
        return error.outcome
    if isinstance(error, StorageUnavailable):  # as it is raised before anything is sent only
        return NOTHING_STARTED
    return UpstreamRefused.outcome if isinstance(error, ApiError) else CANNOT_BE_TOLD
