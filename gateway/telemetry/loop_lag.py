"""Notices when the event loop stood still: everything that blocks it delays everybody."""

import asyncio
from collections.abc import Callable

BEAT_SECONDS = 0.1


class LoopLag:
    """A heartbeat; how late its latest beat ever came."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._longest_seconds = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            asleep = self._monotonic()
            await asyncio.sleep(BEAT_SECONDS)
            self._longest_seconds = max(self._longest_seconds, self._monotonic() - asleep - BEAT_SECONDS)

    def take_longest_seconds(self) -> float:
        """The longest stand-still since this was asked last."""
        longest, self._longest_seconds = self._longest_seconds, 0.0
        return longest
