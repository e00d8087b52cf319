"""Measure how long the event loop stands still: whatever blocks it delays everybody."""

import asyncio
from collections.abc import Callable


class LoopLag:
    """Sleeps again and again, and keeps how much later than asked it ever woke up."""

    def __init__(self, monotonic: Callable[[], float], *, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._monotonic = monotonic
        self._longest_seconds = 0.0

    async def run(self, progress: Callable[[], None]) -> None:
        """Measure until cancelled."""
        while True:
            asleep = self._monotonic()
            await asyncio.sleep(self._interval_seconds)
            lag = self._monotonic() - asleep - self._interval_seconds
            self._longest_seconds = max(self._longest_seconds, lag)
            progress()

    def take_longest_seconds(self) -> float:
        """Return the longest stand-still since this was asked last."""
        longest, self._longest_seconds = self._longest_seconds, 0.0
        return longest
