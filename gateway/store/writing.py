"""What both kinds of database do around their work: finish what was begun, and let one write after another."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from gateway.store.sqlite.file_format import BUSY_TIMEOUT_SECONDS

LEAST_PATIENCE_SECONDS = 0.1
"""Enough for our own reader to let a commit pass."""

T = TypeVar("T")


class Writing:
    """Of one database of one process. For one event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it to its end, even when the caller is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """The right to write among our own writes, and how many seconds of patience waiting for it has left.

        Raises TimeoutError.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + BUSY_TIMEOUT_SECONDS
        async with asyncio.timeout_at(end):
            await self._turn.acquire()
        try:
            yield max(LEAST_PATIENCE_SECONDS, end - loop.time())
        finally:
            self._turn.release()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # A caller that was cancelled no longer asks; asking here keeps asyncio from complaining.
            task.exception()
