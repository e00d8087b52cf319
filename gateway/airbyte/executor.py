"""Execute calls to Airbyte: authorization, permit, deadline, retry, and what the breakers learn. No HTTP here."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from gateway.airbyte.bulkhead import Bulkhead, Caller, Kind, Leave, OwnCalls
from gateway.airbyte.call import Answer, Call, Fault, decode, pause_seconds
from gateway.airbyte.client import AirbyteClient
from gateway.airbyte.figures import CallFigures
from gateway.airbyte.resilience import Breakers, RetryBudget
from gateway.airbyte.timings import PauseTimings
from gateway.airbyte.token import Authorization
from gateway.airbyte.trouble import TroubleLog
from gateway.errors import UpstreamBusy, UpstreamError, UpstreamRefused, UpstreamTimeout, UpstreamUnreachable
from gateway.times import Clock

Value = TypeVar("Value")


class CallExecutor:
    """The rules under which a call is sent, and sent again."""

    def __init__(
        self,
        client: AirbyteClient,
        *,
        bulkhead: Bulkhead,
        breakers: Breakers,
        clock: Clock,
        jitter: Callable[[], float],
        count_outcome: Callable[[str], None],
        pauses: PauseTimings,
        troubles: TroubleLog,
    ) -> None:
        """`jitter` gives the seconds to wait before a retry; `count_outcome` hears how each call ended."""
        self.troubles = troubles
        self.client = client
        self._bulkhead = bulkhead
        self._breakers = breakers
        self._retries = RetryBudget()
        self._clock = clock
        self._jitter = jitter
        self._count_outcome = count_outcome
        self._pause = pauses
        self._answered_at: float | None = None
        self._failing_since: float | None = None
        self._is_credential_refused = False

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
        return self._bulkhead.in_flight

    @property
    def own_calls_at_once(self) -> int:
        """How many calls one piece of the gateway's own work may send at once."""
        return self._bulkhead.own_at_once

    def state(self) -> dict[str, object]:
        """Return whether calls are allowed, when Airbyte last answered well, and if it refuses our credential."""
        answered = self._answered_at
        age = None if answered is None else round(self._clock.monotonic() - answered, 1)
        refused = {"credential": "refused"} if self._is_credential_refused else {}
        return {"breaker": self._breakers.state, "last_answer_seconds_ago": age, **refused}

    def figures(self) -> CallFigures:
        """Return how calls are doing."""
        return CallFigures(
            permits=self._bulkhead.size,
            in_flight=self._bulkhead.in_flight,
            waiting=self._bulkhead.waiting,
            is_open=self._breakers.state == "open",
            open_clients=self._breakers.open_clients,
            is_credential_refused=self._is_credential_refused,
            without_permit=self._bulkhead.refused,
            stopped=self._breakers.refused,
            has_answered=self._answered_at is not None,
            failing_seconds=0.0 if self._failing_since is None else self._clock.monotonic() - self._failing_since,
        )

    def forget_refusal(self) -> None:
        """Note that the credential is another one now."""
        self._is_credential_refused = False

    def permit(self, kind: Kind, caller: Caller) -> AbstractAsyncContextManager[None]:
        """Return what holds one permit while it is entered, for calls that say so. Entering raises UpstreamBusy."""
        return self._bulkhead.permit(kind, caller)

    async def send(self, call: Call[Value], authorization: Authorization) -> Value:
        """Return the typed answer. Raises UpstreamError; UpstreamRefused for a 4xx, which Airbyte means.

        A read is tried twice at most. A trigger is repeated only when nothing of it was sent, or after a 401,
        which Airbyte answers before it does any work.
        """
        try:
            value = await self._send(call, authorization)
        except UpstreamError as error:
            self._count_outcome(error.outcome)
            raise
        self._count_outcome("ok")
        return value

    async def _send(self, call: Call[Value], authorization: Authorization) -> Value:
        self._retries.earn(call.caller)
        try:
            async with asyncio.timeout(call.deadline_seconds) as deadline:
                return await self._attempts(call, authorization, deadline)
        except TimeoutError:
            late = _no_answer(call)
            self._note_failure(late, None)
            self._breakers.late(self._clock.monotonic(), call.caller)
            raise late from None
        except Fault as fault:
            raise fault.error from fault.__cause__

    async def fetch(self, call: Call[Value]) -> Value:
        """Try once, without authorization; the breakers are not told. Tokens are fetched so. Raises UpstreamError.

        It takes no permit: there is one such call at a time, and all other calls wait for its token.
        """
        try:
            async with asyncio.timeout(call.deadline_seconds):
                answer = await self.client.exchange(call, None)
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                raise _too_many(pause_seconds(answer.retry_after, self._pause))
            return decode(answer, call)
        except TimeoutError:
            raise _no_answer(call) from None
        except Fault as fault:
            raise fault.error from fault.__cause__

    async def _attempts(self, call: Call[Value], authorization: Authorization, deadline: asyncio.Timeout) -> Value:
        renewed = retried = False
        while True:
            try:
                header = await authorization.header()
            except UpstreamError as error:
                self._is_credential_refused |= isinstance(error.__cause__, UpstreamRefused)
                if error.__cause__ is not None:  # else no token was asked for: the last try's failure stands
                    self.troubles.note(error, error.__cause__)
                raise _untouched(error) from error.__cause__
            try:
                return await self._attempt(call, header, deadline)
            except UpstreamRefused as refusal:
                if refusal.upstream_status != HTTPStatus.UNAUTHORIZED:
                    raise
                if not authorization.reject(header, renewed=renewed):
                    self._is_credential_refused = True
                    raise self._refused_credential(refusal) from None
                renewed = True
            except Fault as fault:
                may_repeat = fault.transient and (call.kind == "read" or not fault.error.reached)
                if retried or not may_repeat or not self._retries.spend(call.caller):
                    raise
                retried = True
                await asyncio.sleep(self._jitter())

    async def _attempt(self, call: Call[Value], header: str | None, deadline: asyncio.Timeout) -> Value:
        """Make one exchange and tell the breakers its outcome."""
        self._breakers.admit(self._clock.monotonic(), call.caller)
        try:
            async with self._permit(call, deadline):
                answer = await self.client.exchange(call, header, self._occupying(call))
            self._require_service(answer, call.caller)
        except Fault as fault:
            self._note_failure(fault.error, fault.__cause__)
            if fault.is_doubtful:
                self._breakers.doubt(self._clock.monotonic(), call.caller)
            else:
                self._breakers.fail(self._clock.monotonic(), call.caller, reached=fault.error.reached)
            raise fault from fault.__cause__
        except BaseException:
            self._breakers.abandon(call.caller)
            raise
        self._breakers.succeed(call.caller)
        value = decode(answer, call)
        self._answered_at = self._clock.monotonic()
        self._failing_since = None
        self._is_credential_refused = False
        self.troubles.clear()
        return value

    def _occupying(self, call: Call[Value]) -> Leave | None:
        """Return what takes a permit for a call that was given up: one of Airbyte's threads is busy with it.

        A trigger's or a cancel's calls take no permit beside the one that it has, but count in the client's share. One
        of the gateway's own calls must not keep its others waiting.
        """
        if call.is_of_many_threads or isinstance(call.caller, OwnCalls):
            return None
        if call.has_permit:
            return partial(self._bulkhead.count_in_share, call.caller)
        return partial(self._bulkhead.occupy, call.kind, call.caller)

    def _note_failure(self, error: UpstreamError, cause: BaseException | None) -> None:
        self.troubles.note(error, cause)
        if self._failing_since is None:
            self._failing_since = self._clock.monotonic()

    def _refused_credential(self, refusal: UpstreamRefused) -> UpstreamError:
        error = UpstreamUnreachable(detail="401: Airbyte refuses our credentials")
        error.upstream_status = refusal.upstream_status
        self.troubles.note(error)
        return _untouched(error)

    def _permit(self, call: Call[Value], deadline: asyncio.Timeout) -> AbstractAsyncContextManager[None]:
        """Return what holds a permit for the call while it is entered, if its caller holds none for it."""
        if call.has_permit:
            return nullcontext()
        if self._bulkhead.may_wait(call.kind, call.caller):
            return self._permit_in_time(call, deadline)
        return self.permit(call.kind, call.caller)

    @asynccontextmanager
    async def _permit_in_time(self, call: Call[Value], deadline: asyncio.Timeout) -> AsyncIterator[None]:
        """Hold a permit. The wait for it is not Airbyte's time: the call's deadline moves on by as much."""
        ends_at = deadline.when()
        loop = asyncio.get_running_loop()
        began = loop.time()
        deadline.reschedule(None)
        async with self.permit(call.kind, call.caller):
            if ends_at is not None:
                deadline.reschedule(ends_at + loop.time() - began)
            yield

    def _require_service(self, answer: Answer, caller: Caller) -> None:
        """Pause after a 429, for it holds for the whole credential. Raises UpstreamBusy for it, and Fault for a 5xx."""
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            seconds = pause_seconds(answer.retry_after, self._pause)
            self._breakers.pause(self._clock.monotonic(), seconds, caller)
            raise _too_many(seconds)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            unreachable = UpstreamUnreachable(detail=f"{answer.status} from Airbyte")
            unreachable.upstream_status = answer.status
            is_doubtful = answer.status == HTTPStatus.INTERNAL_SERVER_ERROR
            raise Fault(unreachable, transient=True, is_doubtful=is_doubtful)


def _no_answer(call: Call[Value]) -> UpstreamTimeout:
    return UpstreamTimeout(detail=f"no answer within {call.deadline_seconds} s")


def _too_many(seconds: int) -> UpstreamBusy:
    """Return what a 429 is: not a refusal, of what was asked for or of our credential."""
    busy = UpstreamBusy(retry_after=seconds, detail="429 from Airbyte")
    busy.upstream_status = HTTPStatus.TOO_MANY_REQUESTS
    return busy


def _untouched(error: UpstreamError) -> UpstreamError:
    """Mark a failure that came before Airbyte did any work."""
    error.reached = False
    return error
