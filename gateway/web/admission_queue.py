"""Let requests begin: by class, within a bounded time in each round of the event loop, groups in turns."""

import asyncio
from collections.abc import Callable

from gateway.limiter.fair_queue import FairQueue
from gateway.web.fair_share import GREED, Group, has_share
from gateway.web.timings import Terms

FIRST_COST = 0.0002
"""Seconds that a request is held to cost until some were begun."""
LEAST_COST = 0.000001
WEIGHT = 1 / 16


class RequestClass:
    """The requests of a class that are on their way or wait, and what one costs. For one event loop."""

    __slots__ = ("_all_expected", "_expected", "_queue", "begun", "seconds_each", "slice", "terms")

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.slice = terms.slice
        self.seconds_each = FIRST_COST
        self.begun = 0
        """In this round."""
        self._queue: FairQueue[Group, asyncio.Future[None]] = FairQueue()
        self._expected: dict[Group, int] = {}
        self._all_expected = 0
        """Requests on their way. What is read in one round joins the queue in the next, and would all fit in."""

    @property
    def wait_seconds(self) -> float:
        """How long a request would wait that joined now."""
        return (self._queue.length + self._all_expected) * self.seconds_each

    @property
    def is_short(self) -> bool:
        """Whether there is room for any group, whatever a request costs."""
        return self._queue.length + self._all_expected <= self.terms.short_queue

    def has_room(self, group: Group, patience: float = 1) -> bool:
        """Return whether a request of the group would begin soon; `patience` multiplies the longest wait.

        Groups take turns. So one that has less than its equal part of what begins soon need not wait longer, whatever
        others have waiting: a queue that was let in when requests were cheap, or as patient ones, is not the group's.
        """
        soon = max(self.terms.short_queue, self.terms.longest_wait * patience / self.seconds_each)
        own = self._queue.length_of(group) + self._expected.get(group, 0)
        groups = self._queue.owner_count + len(self._expected) + (not own)
        if (own + 1) * groups <= soon:
            return True
        return has_share(own, self._queue.length + self._all_expected, soon * (1 + 1 / GREED))

    @property
    def has_turn(self) -> bool:
        """Whether a request that joined now would begin at once."""
        return not self._queue.length and self.begun * self.seconds_each < self.slice

    def expect(self, group: Group) -> None:
        """Count a request on its way."""
        self._expected[group] = self._expected.get(group, 0) + 1
        self._all_expected += 1

    def expect_none(self) -> None:
        """Begin a round: what was on its way has joined."""
        self._expected.clear()
        self._all_expected = 0

    def join(self, group: Group, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None] | None:
        """Count a request as begun and return None, or return what it has to wait for."""
        if self.has_turn:
            self.begun += 1
            return None
        waiter = loop.create_future()
        self._queue.join(group, waiter)
        return waiter

    def begin_waiting(self) -> None:
        """Let as many begin as a round is to have."""
        while self._queue.length and self.begun * self.seconds_each < self.slice and (served := self._queue.take()):
            _, waiter = served
            if not waiter.done():
                waiter.set_result(None)
                self.begun += 1


class AdmissionQueue:
    """The rounds in which requests begin: those of the first class first. For one event loop.

    What is limited is the wait to begin. A request waiting for Airbyte or the disk keeps no other from beginning, so a
    cap on requests in flight would let a slow Airbyte shed what needs none. And the right length of the queue depends
    on what a request costs (50 of 2 ms, 800 of 0.12 ms), which is measured here: the seconds of a round, shared out
    among the requests that were begun in it.
    """

    __slots__ = (
        "_are_expected",
        "_classes",
        "_is_open",
        "_loop",
        "_monotonic",
        "_round_began",
        "_shared_seconds",
        "_shared_until",
    )

    def __init__(self, monotonic: Callable[[], float], *classes: RequestClass, shared_seconds: float) -> None:
        """`shared_seconds`: how long the others leave room for the first class after a request of it."""
        self._shared_seconds = shared_seconds
        self._monotonic = monotonic
        self._classes = classes
        # Kept: until Python 3.12 asking for the running loop costs a system call.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._are_expected = False
        self._is_open = False
        self._round_began = 0.0
        self._shared_until = 0.0

    def expect(self, request_class: RequestClass, group: Group) -> None:
        """Count a request that will join in the next round."""
        if not self._are_expected:
            self._are_expected = True
            self._running_loop().call_soon(self._expect_none)
        request_class.expect(group)

    def join(self, request_class: RequestClass, group: Group) -> asyncio.Future[None] | None:
        """Return None if the request may begin, else what it has to wait for: a later round, in the group's turn."""
        loop = self._running_loop()
        if not self._is_open:
            self._is_open = True
            self._round_began = self._monotonic()
            loop.call_soon(self._next_round, loop)
        return request_class.join(group, loop)

    def _expect_none(self) -> None:
        self._are_expected = False
        for each in self._classes:
            each.expect_none()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def _next_round(self, loop: asyncio.AbstractEventLoop) -> None:
        now = self._monotonic()
        self._learn(now - self._round_began)
        self._round_began = now
        if self._classes[0].begun:
            self._shared_until = now + self._shared_seconds
        begun = 0
        for each in self._classes:
            each.begun = 0
            each.slice = each.terms.slice if now < self._shared_until else each.terms.slice_alone
            each.begin_waiting()
            begun += each.begun
        self._is_open = begun > 0
        if begun:
            loop.call_soon(self._next_round, loop)

    def _learn(self, seconds: float) -> None:
        """Correct what a request of each class is held to cost, by the step that would explain the round if repeated.

        With one class that is an average; with several, the class that began most has most of the correction
        (normalised least mean squares).
        """
        squares = 0
        for each in self._classes:
            seconds -= each.begun * each.seconds_each
            squares += each.begun * each.begun
        if not squares:
            return
        step = WEIGHT * seconds / squares
        for each in self._classes:
            if each.begun:
                each.seconds_each = max(LEAST_COST, each.seconds_each + step * each.begun)
