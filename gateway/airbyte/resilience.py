"""Stop calling an Airbyte that fails (`Breakers`); keep retries a small share of calls (`RetryBudget`). No I/O."""

import math
from typing import Literal

from cachetools import LRUCache

from gateway.airbyte.bulkhead import Caller, OwnCalls
from gateway.airbyte.timings import BreakerTimings
from gateway.errors import UpstreamBusy

FAULTS_TO_OPEN = 5
SEVERAL = 3
"""Callers. Two may have trouble of their own at the same time."""
RETRY_RATIO = 0.1
"""Google SRE's retry budget: retries at most 10 % of calls (sre.google/sre-book/handling-overload)."""
RETRY_RESERVE = 10.0
RETRY_RESERVE_OF_CALLER = 5.0
MOST_BUDGETS = 2_000
"""Callers whose budget is known: who called longest ago is forgotten first."""


class Breaker:
    """A circuit breaker. Closed, it allows calls; after five faults in a row it is open, then it allows one probe.

    Each failed probe doubles the time that it is open. `pause` stops every call as long as Airbyte asked in a 429,
    which counts against the whole credential.
    """

    def __init__(self, timings: BreakerTimings) -> None:
        self._timings = timings
        self._faults = 0
        self._open_seconds = timings.first
        self._paused_until = 0.0
        self._probing = False

    @property
    def state(self) -> Literal["closed", "open"]:
        """`open` once there were too many faults in a row, until a call succeeds."""
        return "open" if self._faults >= FAULTS_TO_OPEN else "closed"

    def admit(self, now: float) -> None:
        """Allow a call, which must end in `succeed`, `fail`, `abandon` or `pause`. Raises UpstreamBusy to stop it."""
        if now < self._paused_until:
            raise UpstreamBusy(retry_after=math.ceil(self._paused_until - now), detail="paused after faults")
        if self.state == "open":
            if self._probing:
                raise UpstreamBusy(detail="a probe is under way")
            self._probing = True

    def succeed(self) -> None:
        """Close: Airbyte answered."""
        self._faults = 0
        self._open_seconds = self._timings.first
        self._probing = False

    def fail(self, now: float, faults: int = 1) -> None:
        """Count faults, and open after the fifth in a row."""
        self._faults += faults
        self._probing = False
        if self.state == "open":
            self._paused_until = max(self._paused_until, now + self._open_seconds)
            self._open_seconds = min(2 * self._open_seconds, self._timings.longest)

    def abandon(self) -> None:
        """End a call that was given up and told nothing about Airbyte."""
        self._probing = False

    def pause(self, now: float, seconds: float) -> None:
        """Stop all calls for `seconds`."""
        self._probing = False
        self._paused_until = max(self._paused_until, now + seconds)


class Breakers:
    """The breaker of Airbyte as a whole, and one for each client whose own calls may be all that fails.

    A fault tells of what was asked for as much as of Airbyte: a connection whose jobs cannot be read answers so for
    ever, while all others are sound. So it counts against the client that asks. The gateway's own calls have back-offs
    for what fails alone. It is Airbyte as a whole when nothing of it can be reached, or when several callers meet a cut
    connection or a 502 to 504, and nobody an answer. The gateway is one of them, whatever its calls are for: all of
    those may be about the one connection that a client meets it at.
    """

    def __init__(self, timings: BreakerTimings, *, opens_when_late: bool = False) -> None:
        """`opens_when_late`: the first answer that does not come in time opens the breaker, as for five faults.

        For answers that can be done without: nobody shall wait for them again and again.
        """
        self._timings = timings
        self._opens_when_late = opens_when_late
        self._whole = Breaker(timings)
        self._of_clients: dict[int, Breaker] = {}
        self._failing: set[int | type[OwnCalls]] = set()
        """Whose calls failed since the last answer to anybody."""
        self._uncounted = 0
        """Faults since then that may be of what was asked for."""
        self.refused = 0
        """Calls that were stopped, since the process began."""

    @property
    def open_clients(self) -> int:
        """How many clients' own calls are stopped, because they alone fail."""
        return sum(breaker.state == "open" for breaker in self._of_clients.values())

    @property
    def state(self) -> Literal["closed", "open"]:
        """The state of the breaker that counts all calls."""
        return self._whole.state

    def admit(self, now: float, caller: Caller) -> None:
        """Allow a call, which must end in one of the methods below. Raises UpstreamBusy to stop it."""
        try:
            if isinstance(caller, int) and caller in self._of_clients:
                self._of_clients[caller].admit(now)
            self._admit_to_whole(now, caller)
        except UpstreamBusy:
            self.refused += 1
            raise

    def _admit_to_whole(self, now: float, caller: Caller) -> None:
        try:
            self._whole.admit(now)
        except UpstreamBusy:
            self._abandon_client(caller)
            raise

    def succeed(self, caller: Caller) -> None:
        """Close: Airbyte answered."""
        self._whole.succeed()
        self._failing.clear()
        self._uncounted = 0
        if isinstance(caller, int):
            self._of_clients.pop(caller, None)

    def fail(self, now: float, caller: Caller, *, reached: bool) -> None:
        """Count a fault of Airbyte as a whole, if it was not even reached or fails for several callers."""
        self._failing.add(_who_met_it(caller))
        self._uncounted += 1
        if not reached or len(self._failing) >= SEVERAL:
            self._abandon_client(caller)
            self._whole.fail(now, self._uncounted)
            self._uncounted = 0
        else:
            self.doubt(now, caller)

    def doubt(self, now: float, caller: Caller, faults: int = 1) -> None:
        """Count faults that may be of what was asked for."""
        self._whole.abandon()
        if not isinstance(caller, OwnCalls):
            self._of_clients.setdefault(caller, Breaker(self._timings)).fail(now, faults)

    def late(self, now: float, caller: Caller) -> None:
        """Count an answer that did not come in time: it may be of what was asked for."""
        if not self._opens_when_late:
            self.doubt(now, caller)
            return
        self._failing.add(_who_met_it(caller))
        if len(self._failing) >= SEVERAL:
            self._abandon_client(caller)
            self._whole.fail(now, FAULTS_TO_OPEN)
        else:
            self.doubt(now, caller, FAULTS_TO_OPEN)

    def abandon(self, caller: Caller) -> None:
        """End a call that was given up and told nothing about Airbyte."""
        self._abandon_client(caller)
        self._whole.abandon()

    def pause(self, now: float, seconds: float, caller: Caller) -> None:
        """Stop all calls for `seconds`."""
        self._abandon_client(caller)
        self._whole.pause(now, seconds)

    def _abandon_client(self, caller: Caller) -> None:
        if isinstance(caller, int) and caller in self._of_clients:
            self._of_clients[caller].abandon()


def _who_met_it(caller: Caller) -> int | type[OwnCalls]:
    return OwnCalls if isinstance(caller, OwnCalls) else caller


class RetryBudget:
    """Every call earns a tenth of a retry; a retry costs one. Counted before the call, so a retry never goes unpaid.

    Each caller has a budget within that of all: who fails again and again leaves others their retries.
    """

    def __init__(self) -> None:
        self._credit = RETRY_RESERVE
        self._of_callers: LRUCache[Caller, float] = LRUCache(MOST_BUDGETS)

    def earn(self, caller: Caller) -> None:
        """Add what a call earns."""
        self._credit = min(self._credit + RETRY_RATIO, RETRY_RESERVE)
        self._of_callers[caller] = min(self._credit_of(caller) + RETRY_RATIO, RETRY_RESERVE_OF_CALLER)

    def spend(self, caller: Caller) -> bool:
        """Return whether a retry may be made, and count it."""
        own = self._credit_of(caller)
        if self._credit < 1 or own < 1:
            return False
        self._credit -= 1
        self._of_callers[caller] = own - 1
        return True

    def _credit_of(self, caller: Caller) -> float:
        return self._of_callers.get(caller, RETRY_RESERVE_OF_CALLER)
