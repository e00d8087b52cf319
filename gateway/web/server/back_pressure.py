"""Back-pressure on callers who are shed and return at once: they are not read from for a moment."""

import asyncio
import math
from collections import deque
from dataclasses import dataclass
from typing import Protocol

TICK_SECONDS = 0.01
SHED_EACH_TICK = 35
"""Without holding anybody; and released, when some are held. At some 23 µs for each a twelfth of a core."""
LONGEST_HOLD_SECONDS = 0.15


@dataclass(frozen=True)
class Pace:
    """How many are shed, in a tick of some seconds, without being held; and released, when some are held."""

    tick: float = TICK_SECONDS
    each_tick: int = SHED_EACH_TICK
    longest_hold: float = LONGEST_HOLD_SECONDS
    most_ticks: float = math.inf
    """Made up for at once, where a busy loop has missed some."""


KNOWN_PACE = Pace()
OTHERS_PACE = Pace(tick=0.005, each_tick=10, longest_hold=math.inf, most_ticks=2)
"""Of unauthenticated clients, whatever they number: a thousand that connected together would all return together, and
who then has a good key would wait for a thousand refusals."""

COSTLY_PACE = Pace(tick=0.005, each_tick=2, longest_hold=math.inf, most_ticks=2)
"""Of those whom the application refuses, because a body is still to come for instance: each costs some five times as
much."""

PROBES_PACE = Pace(tick=0.005, each_tick=20, longest_hold=math.inf, most_ticks=2)
"""Of those whose probe is answered for the application, and who paused before it."""


class HeldConnection(Protocol):
    """What can be told that it may read again."""

    def release(self) -> None: ...


class BackPressure:
    """Socket connections that are not read from for a moment: their callers wait in TCP, at no cost to us.

    Shedding a request costs a hundredth of answering it, but who comes back at once is shed again at once: a thousand
    such callers would keep the core busy with that. So when there are many, those shed are read from again at a bounded
    pace. What it may cost others:
    - Who has a key waits for at most a sixth of what Retry-After asks for: who obeys it never feels it. A proxy may
      send another caller's request over the socket connection; it is delayed by that at most, as one in the queue is.
    - First held is first released. Who opens more socket connections has more of them held.
    - A caller who leaves is noticed when his socket connection is released. No deadline runs out meanwhile.
    """

    def __init__(self, pace: Pace = KNOWN_PACE) -> None:
        self._pace = pace
        self._held: deque[tuple[float, HeldConnection]] = deque()
        self._shed = 0
        self._ticked_at = 0.0

    def holds(self, connection: HeldConnection, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether the socket connection that just shed a request is to stop reading until it is released."""
        now = loop.time()
        if not self._held:
            if now - self._ticked_at >= self._pace.tick:
                self._ticked_at = now
                self._shed = 0
            self._shed += 1
            if self._shed <= self._pace.each_tick:
                return False
            loop.call_later(self._pace.tick, self._tick, loop)
        self._held.append((now + self._pace.longest_hold, connection))
        return True

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        # The ticks of a busy loop come late; the pace is kept all the same.
        ticks = min((now - self._ticked_at) / self._pace.tick, self._pace.most_ticks)
        self._ticked_at = now
        allowed = self._pace.each_tick * ticks
        while self._held and (allowed >= 1 or self._held[0][0] <= now):
            _, connection = self._held.popleft()
            connection.release()
            allowed -= 1
        if self._held:
            loop.call_later(self._pace.tick, self._tick, loop)


class BackPressures:
    """One for callers with a known key and for whoever comes through a trusted proxy, two for all others.

    The last is for those who probe.
    """

    def __init__(self) -> None:
        self.known = BackPressure()
        self.others = BackPressure(OTHERS_PACE)
        self.costly = BackPressure(COSTLY_PACE)
        self.probes = BackPressure(PROBES_PACE)
