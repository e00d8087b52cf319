"""Look up what came of the triggers that a killed gateway left open, in Airbyte's job list."""

import asyncio

import structlog

from gateway.airbyte import MAX_JOBS, Airbyte, OwnCalls
from gateway.background import Progress
from gateway.errors import StorageUnavailable, UpstreamBusy, UpstreamError, UpstreamRefused
from gateway.store import Outcome, Store, Unresolved
from gateway.store.leadership import Leadership
from gateway.syncs.backoff import Backoff
from gateway.syncs.reconcile import outcome_among
from gateway.syncs.timings import TriggerTimings
from gateway.syncs.trigger_outcomes import CANNOT_BE_TOLD, NOTHING_STARTED, TriggerOutcomes
from gateway.times import Clock, parse_time

MOST_LEFT_OVER = 200
"""One call to Airbyte for each: more than these wait for the next start."""
LEFT_OVER_TRIGGERS = "left-over triggers"

log = structlog.get_logger()


class LeftOverTriggers:
    """Triggers without an outcome that no living gateway is at."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        outcomes: TriggerOutcomes,
        clock: Clock,
        *,
        leadership: Leadership,
        timings: TriggerTimings,
    ) -> None:
        self._triggers = store.triggers
        self._is_shared = store.is_shared
        self._airbyte = airbyte
        self._outcomes = outcomes
        self._clock = clock
        self._leadership = leadership
        self._timings = timings
        self._failed: Backoff[int] = Backoff(clock, timings.backoff)

    async def read(self) -> list[Unresolved]:
        """Return what earlier processes left unresolved. To be read before this one triggers anything."""
        try:
            return await self._triggers.unresolved(MOST_LEFT_OVER, young_since=self._outcomes.under_way_since())
        except StorageUnavailable as error:
            log.warning("triggers_left_over_not_read", detail=error.detail)
            return []

    async def run(self, found: list[Unresolved], progress: Progress) -> None:
        """Look `found` up until nothing is left; beside other gateways read and look up until cancelled."""
        while not self._is_shared:
            found = await self.look_up(found)
            progress()
            if not found:
                return
            await asyncio.sleep(self._timings.look_up_interval)
        while True:
            await self._look_up_as_leader()
            progress()
            await asyncio.sleep(self._timings.look_up_interval)

    async def _look_up_as_leader(self) -> None:
        try:
            if await self._leadership.acquire(
                LEFT_OVER_TRIGGERS,
                seconds=self._timings.look_up_lease,
                unless_done_within=self._timings.look_up_interval / 2,
            ):
                await self.look_up(await self.read())
                await self._leadership.complete(LEFT_OVER_TRIGGERS)
        except StorageUnavailable as error:
            log.warning("triggers_left_over_not_read", detail=error.detail)

    async def look_up(self, found: list[Unresolved]) -> list[Unresolved]:
        """Write what came of each trigger found; return those that Airbyte does not tell of now. Never fail.

        One that could not be looked up is passed over for a while, so that it holds up no other.
        """
        if not found:
            return []
        await asyncio.sleep(self._seconds_to_settle(found))
        self._failed.keep_only(trigger.number for trigger in found)
        left: list[Unresolved] = []
        for index, trigger in enumerate(found):
            try:
                if not self._failed.is_due(trigger.number) or not await self._resolve(trigger):
                    left.append(trigger)
            except UpstreamBusy as error:
                # This says nothing about the trigger: no other one could be looked up either.
                log.warning("triggers_left_unresolved", error=error.message, detail=error.detail)
                return left + found[index:]
        return left

    async def _resolve(self, trigger: Unresolved) -> bool:
        """Write what came of the trigger; return False if Airbyte does not tell. Raises UpstreamBusy."""
        try:
            outcome = await self._outcome(trigger)
        except UpstreamBusy:
            raise
        except UpstreamError as error:
            log.warning(
                "trigger_left_unresolved", connection=trigger.connection_id, error=error.message, detail=error.detail
            )
            self._failed.fail(trigger.number)
            return False
        except Exception:
            # Whatever is wrong with this one, the others are looked up.
            log.exception("trigger_left_unresolved", connection=trigger.connection_id)
            self._failed.fail(trigger.number)
            return False
        await self._outcomes.write(trigger.client_id, trigger.number, outcome.outcome, outcome.job_id)
        log.info("trigger_reconciled", connection=trigger.connection_id, outcome=outcome.outcome, job=outcome.job_id)
        return True

    def _seconds_to_settle(self, found: list[Unresolved]) -> float:
        """Return how long to wait: never more than `settle`, however the wall clock jumped since."""
        newest = parse_time(max(trigger.created_at for trigger in found))
        age_seconds = (self._clock.now() - newest).total_seconds()
        return min(max(self._timings.settle - age_seconds, 0.0), self._timings.settle)

    async def _outcome(self, trigger: Unresolved) -> Outcome:
        """Return what came of the trigger. Raises UpstreamError when Airbyte cannot be asked now."""
        if trigger.span_seconds is None:  # it was never sent
            return Outcome(NOTHING_STARTED, None)
        if trigger.newest_before is None:
            return Outcome(CANNOT_BE_TOLD, None)
        try:
            jobs = await self._airbyte.jobs.syncs(
                trigger.airbyte_id, caller=OwnCalls.ROUTINE, limit=MAX_JOBS, drop_odd=False
            )
        except UpstreamRefused:
            return Outcome(CANNOT_BE_TOLD, None)
        return outcome_among(jobs, trigger, is_whole=len(jobs) < MAX_JOBS)
