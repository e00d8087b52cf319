"""Limit the calls to Airbyte in flight, with a share for each kind of call and each caller."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from gateway.airbyte.timings import PERMIT_WAIT_SECONDS
from gateway.errors import UpstreamBusy

Kind = Literal["read", "trigger"]

RECENT_CALLS = 8
"""About so many calls' times tell how long the next will take."""
SURE_SHARE = 0.8
"""Part of the longest wait: a caller whose expected wait is longer may well wait in vain."""


class Bulkhead:
    """At most `size` permits are held at once. Neither reads nor triggers, nor any one caller, can hold all of them.

    Airbyte answers its public API from five threads: five hanging calls stop everybody's.
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
        """Hold one permit. Raises UpstreamBusy when none is free in time; at once when none is likely to be."""
        if self._is_free(kind, caller):
            self._grant(kind, caller)
        elif self._expected_wait(kind, caller) > self._wait_seconds * SURE_SHARE:
            raise UpstreamBusy(detail=f"more calls wait for a {kind} permit than get one within {self._wait_seconds} s")
        else:
            await self._wait(kind, caller)
        began = self._monotonic()
        try:
            yield
        finally:
            self._learn(kind, self._monotonic() - began)
            self._take_back(kind, caller)

    def _expected_wait(self, kind: Kind, caller: str) -> float:
        """Return the seconds to a permit, by recent calls; 0 while few wait, as those calls may be exceptions."""
        callers = Counter(waiting_caller for _, waiting_kind, waiting_caller in self._waiting if waiting_kind == kind)
        if callers.total() < self._size:
            return 0.0
        rounds = max((callers.total() + 1) / self._of_kind, (callers[caller] + 1) / self._of_caller)
        return rounds * self._seconds_held[kind]

    def _learn(self, kind: Kind, seconds: float) -> None:
        """Average recent calls' times, a faster call counting more: a needless wait costs less than a needless 503."""
        known = self._seconds_held[kind]
        self._seconds_held[kind] += (seconds - known) / (RECENT_CALLS if seconds > known else 2)

    def _is_free(self, kind: Kind, caller: str) -> bool:
        return (
            self._kinds.total() < self._size
            and self._kinds[kind] < self._of_kind
            and self._callers[caller] < self._of_caller
        )

    def _grant(self, kind: Kind, caller: str) -> None:
        self._kinds[kind] += 1
        self._callers[caller] += 1

    def _take_back(self, kind: Kind, caller: str) -> None:
        self._kinds[kind] -= 1
        self._callers[caller] -= 1
        if not self._callers[caller]:
            del self._callers[caller]
        for waiter in list(self._waiting):
            future, waiting_kind, waiting_caller = waiter
            if self._is_free(waiting_kind, waiting_caller):
                self._waiting.remove(waiter)
                self._grant(waiting_kind, waiting_caller)
                future.set_result(None)

    async def _wait(self, kind: Kind, caller: str) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (future, kind, caller)
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await asyncio.shield(future)
        except BaseException as error:
            if future.done():
                # The permit was granted in the very moment the wait ended: pass it on.
                self._take_back(kind, caller)
            else:
                self._waiting.remove(waiter)
            if isinstance(error, TimeoutError):
                raise UpstreamBusy(detail=f"no {kind} permit within {self._wait_seconds} s") from None
            raise
