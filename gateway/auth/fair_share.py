"""Share the one thread that hashes passwords: each group has one password in work, the longest-waiting group is next.

A group is an address, a person who is signed in, or a link. A flood from one group so costs others one hash. Too many
are refused; in the queue for Airbyte (`airbyte/fair_queue.py`) the newest of the fullest gives way instead.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.auth.timings import BUSY_RETRY_SECONDS
from gateway.errors import Overloaded

MOST_OF_GROUP = 8
"""A quarter of a second's work."""
MOST_GROUPS = 32
"""A second's work until each had one."""


class GroupQueue:
    """Those of one group, the one in work among them."""

    __slots__ = ("length", "lock")

    def __init__(self) -> None:
        self.length = 0
        self.lock = asyncio.Lock()


class FairShare:
    """One slot for each group. What is done in slots comes first in, first out to the thread."""

    def __init__(self) -> None:
        self._queues: dict[str, GroupQueue] = {}

    @asynccontextmanager
    async def slot(self, group: str) -> AsyncIterator[None]:
        """Hold the group's slot. Raises Overloaded when too many of the group wait, or too many groups."""
        queue = self._join(group)
        queue.length += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.length -= 1
            if not queue.length:
                del self._queues[group]

    def _join(self, group: str) -> GroupQueue:
        queue = self._queues.get(group)
        if queue.length >= MOST_OF_GROUP if queue else len(self._queues) >= MOST_GROUPS:
            raise Overloaded(retry_after=BUSY_RETRY_SECONDS)
        return queue or self._queues.setdefault(group, GroupQueue())
