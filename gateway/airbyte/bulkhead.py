"""Bound the calls to Airbyte in flight, with a share for each kind of call and each caller."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from gateway.errors import UpstreamBusy

Kind = Literal["read", "trigger"]

PERMIT_WAIT_SECONDS = 1.0
"""Longer queues only move the wait: past it the caller is told when to come back."""
LEARNT_FROM = 8
"""Calls, about, whose time tells how long the next will take."""
SURE_SHARE = 0.8
"""Of the wait: who is let wait longer may well wait in vain."""


class Bulkhead:
    """At most `size` calls in flight; neither reads nor triggers, nor any one caller, can take all of them.

    Airbyte answers its public API from five threads: five hanging calls stall everybody's.
    """

    def __init__(
        self,
        size: int,
        *,
        monotonic: Callable[[], float],
        wait_seconds: float = PERMIT_WAIT_SECONDS,
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
    async def permit(self, kind: Kind, caller: str) -> AsyncIterator[None]:
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
