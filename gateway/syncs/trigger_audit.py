"""The audit of triggers: each is written down before it is sent, and afterwards what came of it.

What a process that was killed left open is looked up in Airbyte's job list by the next one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec
import structlog

from gateway.airbyte import MAX_JOBS, Airbyte
from gateway.cluster.membership import Membership
from gateway.errors import ApiError, ConnectionNotFound, StorageUnavailable, UpstreamError, UpstreamRefused
from gateway.models import Job
from gateway.store import Intent, Outcome, Store, TriggerUnderWay, Unresolved
from gateway.store.leadership import Leadership
from gateway.times import Clock, format_time, parse_time

MOST_LEFT_OVER = 200
"""One call to Airbyte for each: more than these wait for the next start."""
SETTLE_SECONDS = 75.0
"""Airbyte may take 60 s to show the job of a trigger it was sent: no sooner does its absence mean anything."""
LONGEST_TRIGGER = timedelta(seconds=150)
"""From the intent to its outcome, with what gateways' clocks may differ by. Older ones nobody is at any more."""
TIDY_SECONDS = 60.0
"""How often one of several gateways looks for what a killed one left open; a gateway alone looks at its start."""
TURN_SECONDS = 300.0
WORK = "left-over triggers"
FOLLOW_SECONDS = 2.0
"""How long another gateway's trigger is watched before it is asked whether that gateway still lives."""
LOOK_SECONDS = 0.1
AGAIN_SECONDS = 1.0
"""How often an outcome is written again that could not be: until then other gateways wait for it."""
STARTED = "ok"
NOTHING_STARTED = "none"
CANNOT_BE_TOLD = "unknown"

log = structlog.get_logger()


class TriggerAudit:
    """Rows of the table `triggers`, and when they are written."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        clock: Clock,
        *,
        leadership: Leadership,
        member: Membership,
    ) -> None:
        """`member`: as which gateway, if there are others."""
        self._triggers = store.triggers
        self._is_shared = store.is_shared
        self._leadership = leadership
        self._member = member
        self._owed: list[Callable[[], Awaitable[None]]] = []
        self._has_debts = asyncio.Event()
        self._airbyte = airbyte
        self._clock = clock

    async def begin(self, intent: Intent) -> int:
        """The number under which the intent is now durable.

        Raises StorageUnavailable, or ConnectionNotFound if the connection was removed or mapped anew in this very
        moment: then nothing may be sent. TriggerUnderWay if another gateway is at a trigger of the same connection.
        """
        intent = msgspec.structs.replace(intent, gateway_id=self._member.id)
        try:
            number = await self._triggers.begin(
                intent, young_since=self._young_since(), silence_seconds=self._member.silence_seconds()
            )
        except StorageUnavailable:
            # A server that was lost in that moment may have committed it, and nothing will be sent.
            now = format_time(self._clock.now())
            self._owe(lambda: self._triggers.withdraw(intent, outcome=NOTHING_STARTED, at=now))
            raise
        if number is None:
            raise ConnectionNotFound(detail=f"{intent.connection_id} is no longer mapped to {intent.airbyte_id}")
        return number

    async def follow(self, client_id: int, other: TriggerUnderWay) -> Outcome | None:
        """What came of the other gateway's trigger; None if that has not been written for a while."""
        for _ in range(int(FOLLOW_SECONDS / LOOK_SECONDS)):
            outcome = await self._triggers.outcome(client_id, other.number)
            if outcome is not None:
                return outcome
            await asyncio.sleep(LOOK_SECONDS)
        return None

    def _young_since(self) -> str | None:
        return format_time(self._clock.now() - LONGEST_TRIGGER) if self._is_shared else None

    async def succeed(self, client_id: int, number: int, job_id: int) -> None:
        await self._resolve(client_id, number, STARTED, job_id)

    async def fail(self, client_id: int, number: int, error: ApiError) -> None:
        outcome = error.outcome if isinstance(error, UpstreamError) else UpstreamRefused.outcome
        await self._resolve(client_id, number, outcome)

    async def _resolve(self, client_id: int, number: int, outcome: str, job_id: int | None = None) -> None:
        """A caller whose job has started must have his answer: what cannot be written now, the next start looks up.

        Beside other gateways, which wait for it, it is written as soon as it can be.
        """
        now = format_time(self._clock.now())

        async def write() -> None:
            await self._triggers.resolve(client_id, number, outcome=outcome, job_id=job_id, at=now)

        try:
            await write()
        except StorageUnavailable as error:
            log.warning("trigger_outcome_not_written", number=number, outcome=outcome, job=job_id, detail=error.detail)
            self._owe(write)

    def _owe(self, write: Callable[[], Awaitable[None]]) -> None:
        if self._is_shared:
            self._owed.append(write)
            self._has_debts.set()

    async def left_over(self) -> list[Unresolved]:
        """What earlier processes left unresolved. To be read before this one triggers anything."""
        try:
            return await self._triggers.unresolved(MOST_LEFT_OVER, young_since=self._young_since())
        except StorageUnavailable as error:
            log.warning("triggers_left_over_not_read", detail=error.detail)
            return []

    async def keep_tidy(self, left_over: list[Unresolved]) -> None:
        """`tidy`, and beside other gateways again and again, on one of them at a time. Until cancelled."""
        if not self._is_shared:
            await self.tidy(left_over)
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_looking())
            group.create_task(self._keep_paying())

    async def _keep_paying(self) -> None:
        """What is owed, in its order."""
        while True:
            await self._has_debts.wait()
            try:
                while self._owed:
                    await self._owed[0]()
                    del self._owed[0]
                self._has_debts.clear()
            except StorageUnavailable:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _keep_looking(self) -> None:
        while True:
            try:
                if await self._leadership.acquire(WORK, seconds=TURN_SECONDS, unless_done_within=TIDY_SECONDS / 2):
                    await self.tidy(await self.left_over())
                    await self._leadership.complete(WORK)
            except StorageUnavailable as error:
                log.warning("triggers_left_over_not_read", detail=error.detail)
            await asyncio.sleep(TIDY_SECONDS)

    async def tidy(self, left_over: list[Unresolved]) -> None:
        """Find out about `left_over`. Never fails: the next start tries again."""
        if not left_over:
            return
        try:
            await self._reconcile(left_over)
        except UpstreamError as error:
            log.warning("triggers_left_unresolved", error=error.message, detail=error.detail)

    async def _reconcile(self, left_over: list[Unresolved]) -> None:
        await asyncio.sleep(self._seconds_to_settle(left_over))
        for trigger in left_over:
            outcome, job_id = await self._outcome(trigger)
            await self._resolve(trigger.client_id, trigger.number, outcome, job_id)
            log.info("trigger_reconciled", connection=trigger.connection_id, outcome=outcome, job=job_id)

    def _seconds_to_settle(self, left_over: list[Unresolved]) -> float:
        """Within bounds however the wall clock jumped since."""
        newest = parse_time(max(trigger.created_at for trigger in left_over))
        age_seconds = (self._clock.now() - newest).total_seconds()
        return min(max(SETTLE_SECONDS - age_seconds, 0.0), SETTLE_SECONDS)

    async def _outcome(self, trigger: Unresolved) -> tuple[str, int | None]:
        """Raises UpstreamError when Airbyte cannot be asked now."""
        try:
            jobs = await self._airbyte.jobs(trigger.airbyte_id, caller="gateway", limit=MAX_JOBS)
        except UpstreamRefused:
            return CANNOT_BE_TOLD, None
        since = [job for job in jobs if job.start_time is not None and job.start_time >= trigger.since]
        if not since:
            return NOTHING_STARTED, None
        if len(since) == MAX_JOBS:
            # The first one after the trigger may be older than all of these.
            return CANNOT_BE_TOLD, None
        return STARTED, min(since, key=_number).job_id


def _number(job: Job) -> int:
    return job.job_id
