"""Decide which API requests are shed because they could not be answered soon, and when the others begin.

Without it an overload outlives its cause: all wait, all give up, and answers are computed for nobody.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from gateway.errors import Overloaded
from gateway.web.early_responses import EarlyResponses, ResponseObserver
from gateway.web.router import ApiRoute, ApiRoutes

LONGEST_WAIT_SECONDS = 0.1
"""A wait callers do not feel, and far below the second or two after which they give up."""
SHORT_QUEUE = 32
"""So few are a burst and no overload, whatever each seems to cost: where the machine stood still for a moment, or its
cores have other work, each looks dear, and refusing them would make nobody's answer quicker.
"""
TRIGGER_PATIENCE = 2
"""Triggers are few and matter most: they are shed at twice the wait, so reads cannot crowd them out."""
SLICE_SECONDS = 0.005
"""Work begun in one round of the event loop. Between rounds socket connections are accepted (libuv: one at a time) and
read, and health is answered; without it a round under load takes 100 ms and the queue is the kernel's, unseen."""
FIRST_GUESS_SECONDS = 0.0002
WEIGHT = 1 / 16
SHED_KEY = "gateway.shed"


class AdmissionQueue:
    """Requests that wait to begin. For one event loop.

    What is limited is the wait to begin. A request waiting for Airbyte or the disk keeps no other from beginning, so a
    cap on requests in flight would let a slow Airbyte shed what needs none. And the right length of the queue depends
    on what a request costs (50 of 2 ms, 800 of 0.12 ms), which is measured here: seconds of a round by requests begun.
    """

    __slots__ = ("_begun", "_expected", "_loop", "_monotonic", "_queue", "_round_began", "_seconds_each")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        # Kept: until Python 3.12 asking for the running loop costs a system call.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seconds_each = FIRST_GUESS_SECONDS
        self._queue: deque[asyncio.Future[None]] = deque()
        self._begun = 0
        self._expected = 0
        self._round_began = 0.0

    @property
    def wait_seconds(self) -> float:
        return self._waiting * self._seconds_each

    @property
    def _waiting(self) -> int:
        return len(self._queue) + self._expected

    def is_longer_than(self, seconds: float) -> bool:
        """Return whether the wait is, in a queue that is none of the short ones."""
        return self._waiting > SHORT_QUEUE and self.wait_seconds > seconds

    def expect(self) -> None:
        """Count a request on its way. What is read in one round joins the queue in the next, and would all fit in."""
        if not self._expected:
            self._running_loop().call_soon(self._expect_none)
        self._expected += 1

    def _expect_none(self) -> None:
        self._expected = 0

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    async def wait(self) -> None:
        """Return at once, unless this round of the event loop has begun enough: then in one of the next, in order."""
        loop = self._running_loop()
        if self._begun == 0:
            self._round_began = self._monotonic()
            loop.call_soon(self._next_round, loop)
        if not self._queue and self._begun * self._seconds_each < SLICE_SECONDS:
            self._begun += 1
            return
        waiter = loop.create_future()
        self._queue.append(waiter)
        await waiter

    def _next_round(self, loop: asyncio.AbstractEventLoop) -> None:
        now = self._monotonic()
        if self._begun:
            self._seconds_each += ((now - self._round_began) / self._begun - self._seconds_each) * WEIGHT
        self._begun = 0
        self._round_began = now
        while self._queue and self._begun * self._seconds_each < SLICE_SECONDS:
            waiter = self._queue.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._begun += 1
        if self._begun:
            loop.call_soon(self._next_round, loop)


class Gate:
    """Says which of the API's requests are shed; health and metrics answer under any load.

    Asked once for each request, by its socket connection, as soon as the head has come in: before the request has cost
    more than its parsing.
    """

    def __init__(self, *, routes: ApiRoutes, monotonic: Callable[[], float], observer: ResponseObserver) -> None:
        self.queue = AdmissionQueue(monotonic)
        self.early_responses = EarlyResponses(observer)
        self._routes = routes
        self._all_routes = f"{routes.prefix}/*"
        self._observer = observer

    def sheds(self, method: str, path: str) -> bool:
        """Return whether a request is to be refused now. It is counted either way: as shed, or as on its way."""
        if not self._routes.covers(path):
            return False
        route, _ = self._routes.find(path)
        if self._has_room(route):
            self.queue.expect()
            return False
        self._observer.observe(method, self._all_routes, Overloaded.status, 0.0)
        return True

    def _has_room(self, route: ApiRoute | None) -> bool:
        is_trigger = route is not None and route.is_trigger
        longest = LONGEST_WAIT_SECONDS * TRIGGER_PATIENCE if is_trigger else LONGEST_WAIT_SECONDS
        return not self.queue.is_longer_than(longest)


def mark_shed(state: MutableMapping[str, Any]) -> None:
    """Have the application refuse a request whose socket connection could not answer it. `state` is the request's."""
    state[SHED_KEY] = True


def is_shed(scope: Mapping[str, Any]) -> bool:
    """Return whether the socket connection decided that the request is shed."""
    return SHED_KEY in scope.get("state", ())
