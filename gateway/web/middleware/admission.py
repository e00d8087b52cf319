"""Sheds API requests that could not be answered soon, before anything is spent on them.

Without it an overload outlives its cause: all wait, all give up, and answers are computed for nobody.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import Overloaded
from gateway.web.early_responses import EarlyResponses, RefusalObserver

LONGEST_WAIT_SECONDS = 0.1
"""A wait callers do not feel, and far below the second or two after which they give up."""
SHORT_QUEUE = 32
"""So few are a burst and no overload, whatever each seems to cost: where the machine stood still for a moment, or its
cores have other work, each looks dear, and refusing them would make nobody's answer quicker.
"""
TRIGGER_PATIENCE = 2
"""Triggers are few and matter most: they are shed at twice the wait, so reads cannot crowd them out."""
UPSTREAM_READS = 128
"""Requests waiting for Airbyte. Its bulkhead gives each up after a second; more only make the bulkhead's queue slow."""
UPSTREAM_ALL = 160
"""With triggers: the places above the reads' are theirs alone."""
SLICE_SECONDS = 0.005
"""Work begun in one round of the event loop. Between rounds connections are accepted (libuv: one at a time) and
read, and health is answered; without it a round under load takes 100 ms and the queue is the kernel's, unseen."""
TRIGGER = "/sync"
JOBS = "/jobs"
FIRST_GUESS_SECONDS = 0.0002
WEIGHT = 1 / 16


class Admission:
    """A queue of requests before their turn, and how many wait for Airbyte. For one event loop.

    What is limited is the wait for a turn. One waiting for Airbyte or the disk takes no turn from others, so a cap on
    requests in flight would let a slow Airbyte shed what needs none. And the right length of the queue depends on
    what a request costs (50 of 2 ms, 800 of 0.12 ms), which is measured here: seconds of a round by requests begun.
    """

    __slots__ = ("_begun", "_expected", "_loop", "_monotonic", "_queue", "_round_began", "_seconds_each", "upstream")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        # Kept: until Python 3.12 asking for the running loop costs a system call.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seconds_each = FIRST_GUESS_SECONDS
        self._queue: deque[asyncio.Future[None]] = deque()
        self._begun = 0
        self._expected = 0
        self._round_began = 0.0
        self.upstream = 0

    @property
    def wait_seconds(self) -> float:
        return self._waiting * self._seconds_each

    @property
    def _waiting(self) -> int:
        return len(self._queue) + self._expected

    def is_longer_than(self, seconds: float) -> bool:
        """Whether the wait is, in a queue that is none of the short ones."""
        return self._waiting > SHORT_QUEUE and self.wait_seconds > seconds

    def expect(self) -> None:
        """One more is on its way. What is read in one round joins the queue in the next, and would all find room."""
        if self._queue and self._loop is not None:
            if not self._expected:
                self._loop.call_soon(self._expect_none)
            self._expected += 1

    def _expect_none(self) -> None:
        self._expected = 0

    async def turn(self) -> None:
        """Return at once, unless this round of the event loop has begun enough: then in one of the next, in order."""
        place = self.place()
        if place is not None:
            await place

    def place(self) -> asyncio.Future[None] | None:
        """Where to wait for a turn; None if it has come at once."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        if self._begun == 0:
            self._round_began = self._monotonic()
            loop.call_soon(self._next_round, loop)
        if not self._queue and self._begun * self._seconds_each < SLICE_SECONDS:
            self._begun += 1
            return None
        place = loop.create_future()
        self._queue.append(place)
        return place

    def _next_round(self, loop: asyncio.AbstractEventLoop) -> None:
        now = self._monotonic()
        if self._begun:
            self._seconds_each += ((now - self._round_began) / self._begun - self._seconds_each) * WEIGHT
        self._begun = 0
        self._round_began = now
        while self._queue and self._begun * self._seconds_each < SLICE_SECONDS:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                self._begun += 1
        if self._begun:
            loop.call_soon(self._next_round, loop)

    @contextmanager
    def waiting_for_airbyte(self) -> Iterator[None]:
        self.upstream += 1
        try:
            yield
        finally:
            self.upstream -= 1


class Gate:
    """Who is shed, of the requests below `prefix`; health and metrics answer under any load.

    Asked twice: by the connection, before a request costs more than its parsing, and by the middleware for the
    requests that the connection leaves to it.
    """

    def __init__(self, *, prefix: str, monotonic: Callable[[], float], observer: RefusalObserver) -> None:
        self.admission = Admission(monotonic)
        self.refusals = EarlyResponses(observer)
        self._prefix = f"{prefix}/"
        self._route = f"{prefix}/*"
        self._observer = observer

    @property
    def is_pressed(self) -> bool:
        admission = self.admission
        return admission.upstream >= UPSTREAM_READS or admission.is_longer_than(LONGEST_WAIT_SECONDS)

    def expect(self) -> None:
        self.admission.expect()

    def guards(self, path: str) -> bool:
        return path.startswith(self._prefix)

    def sheds(self, method: str, path: str) -> bool:
        """Whether a guarded request is to be refused now."""
        is_trigger = path.endswith(TRIGGER)
        longest = LONGEST_WAIT_SECONDS * TRIGGER_PATIENCE if is_trigger else LONGEST_WAIT_SECONDS
        most = UPSTREAM_ALL if is_trigger else UPSTREAM_READS
        admission = self.admission
        has_place = admission.upstream < most or not waits_for_airbyte(path)
        if has_place and not admission.is_longer_than(longest):
            return False
        self._observer.observe(method, self._route, Overloaded.status, 0.0)
        return True


def waits_for_airbyte(path: str) -> bool:
    return path.endswith((TRIGGER, JOBS))


class AdmissionMiddleware:
    """Outermost: lets a request through when it is its turn."""

    def __init__(self, app: ASGIApp, *, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        gate = self._gate
        if scope["type"] != "http" or not gate.guards(scope["path"]):
            return self._app(scope, receive, send)
        path: str = scope["path"]
        if gate.is_pressed and gate.sheds(scope["method"], path):
            return gate.refusals.shed_answer()(scope, receive, send)
        if waits_for_airbyte(path):
            return self._go_to_airbyte(scope, receive, send)
        place = gate.admission.place()
        return self._app(scope, receive, send) if place is None else self._go_later(place, scope, receive, send)

    async def _go_later(self, place: asyncio.Future[None], scope: Scope, receive: Receive, send: Send) -> None:
        await place
        await self._app(scope, receive, send)

    async def _go_to_airbyte(self, scope: Scope, receive: Receive, send: Send) -> None:
        admission = self._gate.admission
        await admission.turn()
        with admission.waiting_for_airbyte():
            await self._app(scope, receive, send)
