"""What both kinds of database do around their work: finish what was begun, and let one write after another."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

LEAST_WAIT_SECONDS = 0.1
"""Enough for our own reader to let a commit pass."""

T = TypeVar("T")


class Writing:
    """The work of one process on one database, which ends whole. For one event loop."""

    def __init__(self, lock_seconds: float) -> None:
        """`lock_seconds` is the longest wait for the write lock."""
        self._lock_seconds = lock_seconds
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end, even when the caller is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    @asynccontextmanager
    async def write_lock(self) -> AsyncIterator[float]:
        """Hold the lock among this process's writes; give the seconds left to wait for other processes'.

        Raises TimeoutError.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self._lock_seconds
        async with asyncio.timeout_at(end):
            await self._lock.acquire()
        try:
            yield max(LEAST_WAIT_SECONDS, end - loop.time())
        finally:
            self._lock.release()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # A caller that was cancelled no longer asks; asking here keeps asyncio from complaining.
            task.exception()
