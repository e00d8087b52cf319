"""Share the connections that read: whoever has most reads waiting, as by many pages at once, keeps nobody else waiting.

A search looks at thousands of rows. First in, first out, a hundred of them would come before the look-up of a key.
"""

from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import Protocol

reading_for: ContextVar[Hashable] = ContextVar("reading_for", default=None)
"""For whom the present task reads: a client whose member looks at pages, another visitor, an address; None for the API
and the gateway itself."""


class ReadQueue(Protocol):
    """Tasks that wait for a slot: each owner's in their own order, owners in turn."""

    async def wait(self, owner: Hashable, want: None, /, *, pass_on: Callable[[], None]) -> bool: ...

    def serve(self) -> tuple[Hashable, None] | None: ...


class ReadSlots:
    """So many reads at once; the others wait. For one event loop."""

    def __init__(self, at_once: int, queue: ReadQueue | None) -> None:
        """Without a `queue`, as in commands, nobody is told to wait here."""
        self._free = at_once
        self._queue = queue

    async def take(self) -> None:
        """Take a slot, once it is the reader's turn."""
        if self._queue is None:
            return
        if self._free:
            self._free -= 1
        else:
            await self._queue.wait(reading_for.get(), None, pass_on=self.give_back)

    def give_back(self) -> None:
        """Give the slot to whoever is next."""
        if self._queue is not None and self._queue.serve() is None:
            self._free += 1
