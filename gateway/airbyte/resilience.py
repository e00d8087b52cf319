"""What keeps one slow or broken Airbyte from hurting anybody: pure decisions and asyncio, no HTTP.

`Lane` bounds calls in flight, `SingleFlight` shares one call among its askers, `Breaker` stops asking a server
that fails, `RetryBudget` keeps retries a small share of calls.
"""

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Generic, Literal, TypeVar

from gateway.errors import UpstreamBusy

Kind = Literal["read", "trigger"]
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

LANE_WAIT_SECONDS = 1.0
"""Longer queues only move the wait: past it the caller is told when to come back."""
LEARNT_FROM = 8
"""Calls, about, whose time tells how long the next will take."""
SURE_SHARE = 0.8
"""Of the wait: who is let wait longer may well wait in vain."""
FAULTS_TO_OPEN = 5
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0
RETRY_RATIO = 0.1
"""Google SRE's retry budget: retries at most 10 % of calls (sre.google/sre-book/handling-overload)."""
RETRY_RESERVE = 10.0


class Lane:
    """At most `size` calls in flight; neither reads nor triggers, nor any one caller, can take all of them.

    Airbyte answers its public API from five threads: five hanging calls stall everybody's.
    """

    def __init__(
        self,
        size: int,
        *,
        monotonic: Callable[[], float],
        wait_seconds: float = LANE_WAIT_SECONDS,
    ) -> None:
        self._monotonic = monotonic
        self._size = size
        self._of_kind = size - 1
        self._of_caller = max(1, size // 2)
        self._wait_seconds = wait_seconds
        self._kinds: Counter[str] = Counter()
        self._callers: Counter[str] = Counter()
        self._waiting: deque[tuple[asyncio.Future[None], Kind, str]] = deque()
        self._seconds_held: dict[Kind, float] = {"read": 0.0, "trigger": 0.0}

    @property
    def in_flight(self) -> int:
        return self._kinds.total()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def place(self, kind: Kind, caller: str) -> AsyncIterator[None]:
        """Hold one of the places. Raises UpstreamBusy when none is free in time, at once when none will be."""
        if self._has_room(kind, caller):
            self._enter(kind, caller)
        elif self._expected_wait(kind, caller) > self._wait_seconds * SURE_SHARE:
            raise UpstreamBusy(detail=f"more wait for a {kind} than get a place within {self._wait_seconds} s")
        else:
            await self._wait(kind, caller)
        began = self._monotonic()
        try:
            yield
        finally:
            self._learn(kind, self._monotonic() - began)
            self._leave(kind, caller)

    def _expected_wait(self, kind: Kind, caller: str) -> float:
        """Seconds, by what calls took lately; 0 with hardly anybody waiting, as then they may have been exceptions."""
        callers = Counter(waiting_caller for _, waiting_kind, waiting_caller in self._waiting if waiting_kind == kind)
        if callers.total() < self._size:
            return 0.0
        turns = max((callers.total() + 1) / self._of_kind, (callers[caller] + 1) / self._of_caller)
        return turns * self._seconds_held[kind]

    def _learn(self, kind: Kind, seconds: float) -> None:
        """Quick to believe that Airbyte is quick: a wait in vain costs a second, a refusal in vain an answer."""
        known = self._seconds_held[kind]
        self._seconds_held[kind] += (seconds - known) / (LEARNT_FROM if seconds > known else 2)

    def _has_room(self, kind: Kind, caller: str) -> bool:
        return (
            self._kinds.total() < self._size
            and self._kinds[kind] < self._of_kind
            and self._callers[caller] < self._of_caller
        )

    def _enter(self, kind: Kind, caller: str) -> None:
        self._kinds[kind] += 1
        self._callers[caller] += 1

    def _leave(self, kind: Kind, caller: str) -> None:
        self._kinds[kind] -= 1
        self._callers[caller] -= 1
        if not self._callers[caller]:
            del self._callers[caller]
        for place in list(self._waiting):
            future, waiting_kind, waiting_caller = place
            if self._has_room(waiting_kind, waiting_caller):
                self._waiting.remove(place)
                self._enter(waiting_kind, waiting_caller)
                future.set_result(None)

    async def _wait(self, kind: Kind, caller: str) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (future, kind, caller)
        self._waiting.append(place)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await asyncio.shield(future)
        except BaseException as error:
            if future.done():
                # The place was given in the very moment the wait ended: pass it on.
                self._leave(kind, caller)
            else:
                self._waiting.remove(place)
            if isinstance(error, TimeoutError):
                raise UpstreamBusy(detail=f"no place for a {kind} within {self._wait_seconds} s") from None
            raise


class SingleFlight(Generic[Key, Value]):
    """One call for each key at a time; whoever asks meanwhile shares its result or its failure.

    The call is a task of its own: an asker that is cancelled, even the first, does not end it for the others.
    """

    def __init__(self) -> None:
        self._flights: dict[Key, asyncio.Task[Value]] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._flights

    async def run(self, key: Key, start: Callable[[], Awaitable[Value]]) -> Value:
        return await asyncio.shield(self.start(key, start))

    def start(self, key: Key, start: Callable[[], Awaitable[Value]]) -> asyncio.Task[Value]:
        """The flight for `key`, begun now if there is none."""
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.ensure_future(_as_coroutine(start))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._land(key, done))
        return flight

    def _land(self, key: Key, flight: asyncio.Task[Value]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            # Its askers may all be gone; asking here keeps asyncio from complaining about an unseen failure.
            flight.exception()

    async def close(self, *, cancel: bool) -> None:
        """End what is under way: by waiting for it, or by cancelling it."""
        flights = list(self._flights.values())
        if cancel:
            for flight in flights:
                flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)


async def _as_coroutine(start: Callable[[], Awaitable[Value]]) -> Value:
    return await start()


class Breaker:
    """Closed, it lets calls pass. After five faults in a row it opens: 5 s at first, up to 60 s; then one probe.

    `pause` closes the door for everybody as Airbyte asked by a 429, which counts against the whole credential.
    """

    def __init__(self) -> None:
        self._faults = 0
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._closed_until = 0.0
        self._probing = False

    @property
    def state(self) -> Literal["closed", "open"]:
        return "open" if self._faults >= FAULTS_TO_OPEN else "closed"

    def admit(self, now: float) -> None:
        """Raises UpstreamBusy while no call may be made. A call admitted must end in `succeed`, `fail` or `abandon`."""
        if now < self._closed_until:
            raise UpstreamBusy(retry_after=math.ceil(self._closed_until - now), detail="paused after faults")
        if self.state == "open":
            if self._probing:
                raise UpstreamBusy(detail="a probe is under way")
            self._probing = True

    def succeed(self) -> None:
        self._faults = 0
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._probing = False

    def fail(self, now: float) -> None:
        self._faults += 1
        self._probing = False
        if self.state == "open":
            self._closed_until = max(self._closed_until, now + self._pause_seconds)
            self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)

    def abandon(self) -> None:
        """The call was given up without telling anything about Airbyte."""
        self._probing = False

    def pause(self, now: float, seconds: float) -> None:
        self._probing = False
        self._closed_until = max(self._closed_until, now + seconds)


class RetryBudget:
    """Every call earns a tenth of a retry; a retry costs one. Counted before the call, so a storm cannot borrow."""

    def __init__(self) -> None:
        self._credit = RETRY_RESERVE

    def earn(self) -> None:
        self._credit = min(self._credit + RETRY_RATIO, RETRY_RESERVE)

    def spend(self) -> bool:
        """Whether a retry may be made."""
        if self._credit < 1:
            return False
        self._credit -= 1
        return True
