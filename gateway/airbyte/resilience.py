"""Stop asking an Airbyte that fails (`Breaker`) and keep retries a small share of calls (`RetryBudget`). Pure."""

import math
from typing import Literal

from gateway.errors import UpstreamBusy

FAULTS_TO_OPEN = 5
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0
RETRY_RATIO = 0.1
"""Google SRE's retry budget: retries at most 10 % of calls (sre.google/sre-book/handling-overload)."""
RETRY_RESERVE = 10.0


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
