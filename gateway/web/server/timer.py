"""One call to be made later, which may be put off or called off."""

import asyncio
from collections.abc import Callable


class Timer:
    """At most one call is due at any time. For one event loop."""

    __slots__ = ("_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        """Whether it was started and not stopped since, even if the call was made already."""
        return self._handle is not None

    def start(self, seconds: float, call: Callable[[], None]) -> None:
        """Make `call` after `seconds`, instead of what was due before."""
        self.stop()
        self._handle = self._loop.call_later(seconds, call)

    def stop(self) -> None:
        """Call nothing, if nothing was called yet."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
