"""Limit the calls to Airbyte in flight, with a share for each kind of call, each client and the gateway itself."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import Enum
from types import TracebackType
from typing import Literal, Protocol

from cachetools import LRUCache

from gateway.errors import UpstreamBusy

Kind = Literal["read", "trigger"]


class OwnCalls(Enum):
    """The gateway's own calls. A type of its own: whatever a client is called or numbered, it is none of these."""

    ROUTINE = "routine"
    HISTORY = "history"
    """Reads page after page, so that it would otherwise be ahead of the rest."""


Caller = int | OwnCalls
"""Whose share a call takes: a client, by its id, or the gateway."""

Leave = Callable[[], Callable[[], None] | None]
"""Hears that a call was given up; what it returns is called when Airbyte is done with it, which None does not await."""

MOST_WAITING_CALLS = 128
"""Calls that wait for a permit. Far more than get one in time: it only bounds the memory."""
RECENT_CALLS = 8
"""About so many calls' times tell how long the next of the same caller will take."""
MOST_TIMED = 2_000
"""Callers whose calls' times are known: who called longest ago is forgotten first."""
SURE_SHARE = 0.8
"""Part of the longest wait: a caller whose expected wait is longer may well wait in vain."""
OWN_RESERVE_FROM = 5
"""So many permits there must be for one to stay free for the gateway's own calls beside one for the other kind. Of
fewer, reads would lose a third to it: they may borrow it, as they end soon, and the next that comes free is its own.
"""
TRIGGERS_LEAVE_TWO_FROM = 4
"""So many permits there must be for triggers, which may take a minute each, to leave two. Of three, a slow trigger of
one client would otherwise be all that there may be of any.
"""
LONGEST_RETRY_SECONDS = 60
"""A longer pause is not foretold: most of what waits now will have given up by then."""


class PermitQueue(Protocol):
    """Calls that wait for a permit. None is served twice while another caller's waits."""

    def __len__(self) -> int: ...

    def count_of(self, owner: Caller, want: Kind, /) -> int: ...

    def owners(self, want: Kind, /) -> set[Caller]: ...

    async def wait(self, owner: Caller, want: Kind, /, *, pass_on: Callable[[], None]) -> bool: ...

    def serve(self, may_be_served: Callable[[Caller, Kind], bool], /) -> tuple[Caller, Kind] | None: ...


class NewQueue(Protocol):
    """Makes an empty queue for `most` calls."""

    def __call__(self, *, most: int) -> PermitQueue: ...


class _Permit:
    """One permit, held while it is entered. A class: for each call to Airbyte a generator would cost as much again."""

    __slots__ = ("_bulkhead", "_caller", "_had_since", "_kind")

    def __init__(self, bulkhead: "Bulkhead", kind: Kind, caller: Caller) -> None:
        self._bulkhead = bulkhead
        self._kind: Kind = kind
        self._caller = caller
        self._had_since = 0.0

    async def __aenter__(self) -> None:
        self._had_since = await self._bulkhead.take(self._kind, self._caller)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bulkhead.give_back(self._kind, self._caller, had_since=self._had_since)


class Bulkhead:
    """At most `size` permits are held at once. Neither reads nor triggers, nor any one client, can hold all of them.

    Airbyte answers its public API from five threads: five hanging calls stop everybody's. Permits that come free go
    first to the gateway's own calls, which hold few, then to the client that has waited longest for one.
    """

    def __init__(
        self,
        size: int,
        *,
        new_queue: NewQueue,
        monotonic: Callable[[], float],
        wait_seconds: float,
        most_waiting: int = MOST_WAITING_CALLS,
    ) -> None:
        """Let a call wait `wait_seconds` for a permit at most."""
        self._monotonic = monotonic
        self.size = size
        self._of_kind = max(1, size - 1)
        self._of_clients: dict[Kind, int] = {
            "read": size - 2 if size >= OWN_RESERVE_FROM else self._of_kind,
            "trigger": size - 2 if size >= TRIGGERS_LEAVE_TWO_FROM else self._of_kind,
        }
        self._of_caller = max(1, size // 2)
        # Never all of a kind: half of four permits are two, and so are all that triggers may have of four.
        self._of_caller_in: dict[Kind, int] = {
            kind: min(self._of_caller, max(1, most - 1)) for kind, most in self._of_clients.items()
        }
        self._wait_seconds = wait_seconds
        self._clients: Counter[Kind] = Counter()
        self._callers: Counter[Caller] = Counter()
        self._in_flight = self._own = 0
        """Permits held: all of them, and those of the gateway's own calls."""
        self._callers_in: Counter[tuple[Kind, Caller]] = Counter()
        self._left, self._most_left = 0, size - 2
        """Permits of reads that were given up: one more than they take is left for reads, and one for a trigger."""
        self._own_waiting = new_queue(most=most_waiting)
        self._waiting = new_queue(most=most_waiting)
        # By caller: whoever has quick connections is not refused because another's are slow.
        self._seconds_held: LRUCache[tuple[Kind, Caller], float] = LRUCache(MOST_TIMED)
        self.refused = 0
        """Calls that got no permit, since the process began."""

    @property
    def in_flight(self) -> int:
        """How many permits are held."""
        return self._in_flight

    @property
    def own_at_once(self) -> int:
        """How many calls of the gateway's own one piece of its work may send at once, so that another does not wait."""
        return max(1, self._of_caller - 1)

    @property
    def waiting(self) -> int:
        """How many calls wait for a permit."""
        return len(self._waiting) + len(self._own_waiting)

    def may_wait(self, kind: Kind, caller: Caller) -> bool:
        """Return whether a permit that is asked for now may have to be waited for."""
        return not self._is_free(kind, caller)

    def permit(self, kind: Kind, caller: Caller) -> AbstractAsyncContextManager[None]:
        """Return what holds one permit while it is entered.

        Entering raises UpstreamBusy when none is free in time; at once when none is likely to be.
        """
        return _Permit(self, kind, caller)

    async def take(self, kind: Kind, caller: Caller) -> float:
        """Take a permit, and return when it was had, for `give_back`. Raises UpstreamBusy as entering `permit` does."""
        if self._is_free(kind, caller):
            self._grant(kind, caller)
        elif self._expected_wait(kind, caller) > self._wait_seconds * SURE_SHARE:
            raise self._busy(
                kind, caller, f"more calls wait for a {kind} permit than get one in {self._wait_seconds} s"
            )
        else:
            await self._wait(kind, caller)
        return self._monotonic()

    def give_back(self, kind: Kind, caller: Caller, *, had_since: float) -> None:
        """Give back a permit that was had since then; whoever is next has it."""
        self._learn((kind, caller), self._monotonic() - had_since)
        self._take_back(kind, caller)

    def occupy(self, kind: Kind, caller: Caller) -> Callable[[], None] | None:
        """Keep a permit for what Airbyte is still busy with though nobody waits for it, and return what gives it back.

        It is taken over from who gave up, so it is not waited for. Returns None when as many are kept as may be: others
        and the gateway itself need what is left.
        """
        if self._left >= self._most_left:
            return None
        self._left += 1
        self._grant(kind, caller)

        def give_back() -> None:
            self._left -= 1
            self._take_back(kind, caller)

        return give_back

    def count_in_share(self, caller: Caller) -> Callable[[], None]:
        """Count what Airbyte is still busy with in the caller's share alone; return what ends that.

        The permit that it was made under serves the caller's next call. So it takes none of the whole, but the caller
        cannot leave one after the other behind.
        """
        self._callers[caller] += 1

        def end() -> None:
            self._leave_share(caller)
            self._serve()

        return end

    def _expected_wait(self, kind: Kind, caller: Caller) -> float:
        """Return the seconds to a permit, by the caller's own queue and recent calls.

        It is 0 while as few wait as may be in flight: those calls may be exceptions.
        """
        ahead = self._queue_of(caller).count_of(caller, kind)
        return 0.0 if ahead < self._of_caller else self._seconds_to_a_permit(kind, caller, ahead)

    def _seconds_to_a_permit(self, kind: Kind, caller: Caller, ahead: int) -> float:
        """Return how long `ahead` calls and one more take, when all callers that wait are served in turn."""
        competing = self._queue_of(caller).owners(kind) | {caller}
        permits = min(self._of_caller_in[kind], self._of_clients[kind] / len(competing))
        return (ahead + 1) / permits * self._seconds_held.get((kind, caller), 0.0)

    def _busy(self, kind: Kind, caller: Caller, detail: str) -> UpstreamBusy:
        """Return the error that says when the caller's queue is likely to be done."""
        self.refused += 1
        ahead = self._queue_of(caller).count_of(caller, kind)
        seconds = math.ceil(self._seconds_to_a_permit(kind, caller, ahead))
        return UpstreamBusy(retry_after=min(max(1, seconds), LONGEST_RETRY_SECONDS), detail=detail)

    def _learn(self, whose: tuple[Kind, Caller], seconds: float) -> None:
        """Average recent calls' times, a faster call counting more: a needless wait costs less than a needless 503."""
        known = self._seconds_held.get(whose, 0.0)
        self._seconds_held[whose] = known + (seconds - known) / (RECENT_CALLS if seconds > known else 2)

    def _queue_of(self, caller: Caller) -> PermitQueue:
        return self._own_waiting if isinstance(caller, OwnCalls) else self._waiting

    def _is_free(self, kind: Kind, caller: Caller) -> bool:
        if self._in_flight >= self.size:
            return False
        if kind == "read" and self._clients["read"] + self._own >= self._of_kind:
            return False  # the last one is for a trigger
        if isinstance(caller, OwnCalls):
            return self._own < self._of_caller
        # Not by index: for whoever has none, Counter would call Python to say so.
        is_within_share = self._callers.get(caller, 0) < self._of_caller
        is_within_kind = self._callers_in.get((kind, caller), 0) < self._of_caller_in[kind]
        return self._clients[kind] < self._of_clients[kind] and is_within_share and is_within_kind

    def _grant(self, kind: Kind, caller: Caller) -> None:
        self._in_flight += 1
        self._callers[caller] += 1
        if isinstance(caller, OwnCalls):
            self._own += 1
        else:
            self._clients[kind] += 1
            self._callers_in[kind, caller] += 1

    def _take_back(self, kind: Kind, caller: Caller) -> None:
        self._in_flight -= 1
        self._leave_share(caller)
        if isinstance(caller, OwnCalls):
            self._own -= 1
        else:
            self._clients[kind] -= 1
            self._callers_in[kind, caller] -= 1
            if not self._callers_in[kind, caller]:
                del self._callers_in[kind, caller]
        self._serve()

    def _leave_share(self, caller: Caller) -> None:
        self._callers[caller] -= 1
        if not self._callers[caller]:
            del self._callers[caller]

    def _serve(self) -> None:
        """Grant what has come free to those who wait."""
        for queue in (self._own_waiting, self._waiting):
            while len(queue) and (served := queue.serve(lambda owner, wanted: self._is_free(wanted, owner))):
                owner, wanted = served
                self._grant(wanted, owner)

    async def _wait(self, kind: Kind, caller: Caller) -> None:
        try:
            async with asyncio.timeout(self._wait_seconds):
                is_granted = await self._queue_of(caller).wait(
                    caller, kind, pass_on=lambda: self._take_back(kind, caller)
                )
        except TimeoutError:
            raise self._busy(kind, caller, f"no {kind} permit within {self._wait_seconds} s") from None
        if not is_granted:
            raise self._busy(kind, caller, "too many calls wait for a permit, most of them this client's")
