"""Sheds API requests that could not be answered soon, before anything is spent on them.

Without it an overload outlives its cause: all wait, all give up, and answers are computed for nobody.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import Overloaded
from gateway.refusals import RefusalObserver, Refusals

LONGEST_WAIT_SECONDS = 0.1
"""A wait callers do not feel, and far below the second or two after which they give up."""
TRIGGER_PATIENCE = 2
"""Triggers are few and matter most: they are shed at twice the wait, so reads cannot crowd them out."""
UPSTREAM_READS = 128
"""Requests waiting for Airbyte. Its lane gives each up after a second; more only make the lane's queue slow."""
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

    __slots__ = ("_begun", "_loop", "_monotonic", "_queue", "_round_began", "_seconds_each", "upstream")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        # Kept: until Python 3.12 asking for the running loop costs a system call.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seconds_each = FIRST_GUESS_SECONDS
        self._queue: deque[asyncio.Future[None]] = deque()
        self._begun = 0
        self._round_began = 0.0
        self.upstream = 0

    @property
    def wait_seconds(self) -> float:
        return len(self._queue) * self._seconds_each

    async def turn(self) -> None:
        """Return at once, unless this round of the event loop has begun enough: then in one of the next, in order."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        if self._begun == 0:
            self._round_began = self._monotonic()
            loop.call_soon(self._next_round, loop)
        if self._queue or self._begun * self._seconds_each >= SLICE_SECONDS:
            place = loop.create_future()
            self._queue.append(place)
            await place
        else:
            self._begun += 1

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
        self.refusals = Refusals(observer)
        self._prefix = f"{prefix}/"
        self._route = f"{prefix}/*"
        self._observer = observer

    def guards(self, path: str) -> bool:
        return path.startswith(self._prefix)

    def sheds(self, method: str, path: str) -> bool:
        """Whether a guarded request is to be refused now."""
        is_trigger = path.endswith(TRIGGER)
        longest = LONGEST_WAIT_SECONDS * TRIGGER_PATIENCE if is_trigger else LONGEST_WAIT_SECONDS
        most = UPSTREAM_ALL if is_trigger else UPSTREAM_READS
        admission = self.admission
        if admission.wait_seconds <= longest and (admission.upstream < most or not waits_for_airbyte(path)):
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._gate.guards(scope["path"]):
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if self._gate.sheds(scope["method"], path):
            await self._gate.refusals.shed_answer()(scope, receive, send)
            return
        admission = self._gate.admission
        await admission.turn()
        if waits_for_airbyte(path):
            with admission.waiting_for_airbyte():
                await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, send)
