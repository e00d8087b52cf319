"""Back-pressure on callers who are shed and return at once: they are not read from for a moment."""

import asyncio
from collections import deque
from typing import Protocol

from gateway.web.timings import BackPressureTimings, Pace


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

    def __init__(self, pace: Pace) -> None:
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

    def __init__(self, timings: BackPressureTimings | None = None) -> None:
        paces = timings or BackPressureTimings()
        self.known = BackPressure(paces.known)
        self.others = BackPressure(paces.others)
        self.costly = BackPressure(paces.costly)
        self.probes = BackPressure(paces.probes)
