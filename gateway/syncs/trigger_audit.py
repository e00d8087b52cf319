"""The audit of triggers: each is written down before it is sent, and afterwards what came of it."""

import asyncio
from datetime import timedelta

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
from gateway.syncs.reconcile import Reconciler
from gateway.syncs.timings import TriggerTimings
from gateway.syncs.trigger_outcomes import STARTED, TriggerOutcomes
from gateway.syncs.trigger_request import TriggerRequest
from gateway.times import Clock, format_time

CLOCK_MARGIN = timedelta(seconds=2)
"""Airbyte's clock is known to the second it answered in."""


class Claim(msgspec.Struct, frozen=True):
    """The right to send one trigger: its intent is durable as row `number`."""

    request: TriggerRequest
    number: int
    since: str
    """Airbyte's time from which on a new job is this trigger's."""
    dead_since: str | None
    """As `since`, of a trigger that a gateway was at when it died: its job may be there already."""


class OtherTrigger(msgspec.Struct, frozen=True):
    """A trigger of the same connection that another living gateway is at."""

    number: int
    since: str


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
        self._triggers = store.triggers
        self._airbyte = airbyte
        self._reconciler = reconciler
        self._outcomes = outcomes
        self._clock = clock
        self._member = member
        self._timings = timings

    async def claim(self, request: TriggerRequest) -> Claim | Job:
        """Write the intent down once no other gateway is at a trigger of this connection, for two would be two jobs.

        Wait for another gateway's trigger, and return its job if it leads to one. Nothing may be sent if this raises:
        StorageUnavailable; ConnectionNotFound if the connection was removed or mapped anew in this very moment;
        UpstreamBusy if the others do not end; OutcomeUnknown if one of them does not know; UpstreamError.
        """
        give_up_at = self._clock.monotonic() + self._timings.claim
        dead_since: str | None = None
        while not isinstance(begun := await self._begin(request, dead_since), Claim):
            outcome = await self._follow(request, begun)
            if outcome is not None:
                job = await self._reconciler.job_of_outcome(outcome, request)
                if job is not None:
                    return job
            if self._clock.monotonic() > give_up_at:
                raise UpstreamBusy(detail="another gateway's trigger does not end")
            dead_since = begun.since if outcome is None else None
        return begun

    async def _begin(self, request: TriggerRequest, dead_since: str | None) -> Claim | OtherTrigger:
        intent = self._intent(request)
        try:
            number = await self._triggers.begin(
                intent,
                young_since=self._outcomes.under_way_since(),
                silence_seconds=self._member.silence_seconds(),
            )
        except TriggerUnderWay as other:
            return OtherTrigger(other.number, other.since)
        except StorageUnavailable:
            # A server that was lost in that moment may have committed it, and nothing will be sent.
            self._outcomes.withdraw(intent)
            raise
        if number is None:
            raise ConnectionNotFound(detail=f"{intent.connection_id} is no longer mapped to {intent.airbyte_id}")
        return Claim(request, number, intent.since, dead_since)

    def _intent(self, request: TriggerRequest) -> Intent:
        return Intent(
            client_id=request.client.id,
            connection_id=request.connection_id,
            airbyte_id=request.airbyte_id,
            caller=request.caller,
            request_id=request.request_id,
            created_at=format_time(self._clock.now()),
            since=format_time(self._airbyte.now() - CLOCK_MARGIN),
            gateway_id=self._member.id,
        )

    async def _follow(self, request: TriggerRequest, other: OtherTrigger) -> Outcome | None:
        """Return what came of the other gateway's trigger; None if that has not been written for a while."""
        for _ in range(int(self._timings.follow / self._timings.poll_interval)):
            outcome = await self._triggers.outcome(request.client.id, other.number)
            if outcome is not None:
                return outcome
            await asyncio.sleep(self._timings.poll_interval)
        return None

    async def succeed(self, claim: Claim, job: Job) -> None:
        """Write that the claim led to `job`. A failed write is retried, or left to the next start."""
        await self._outcomes.write(claim.request.client.id, claim.number, STARTED, job.job_id)

    async def fail(self, claim: Claim, error: ApiError) -> None:
        """Write why the claim led to no job. A failed write is retried, or left to the next start."""
        outcome = error.outcome if isinstance(error, UpstreamError) else UpstreamRefused.outcome
        await self._outcomes.write(claim.request.client.id, claim.number, outcome)
