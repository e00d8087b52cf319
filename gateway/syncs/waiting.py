"""Count the callers that wait for Airbyte, by client: each holds memory and a socket, whatever call it waits for."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from gateway.errors import CallerLeft, UpstreamBusy
from gateway.limiter.fair_queue import FairQueue
from gateway.models import Client
from gateway.syncs.timings import WaitingTimings

Value = TypeVar("Value")

MOST_CALLERS = 512
"""A rested key may call a hundred times at once: so many are several keys' worst."""


class WaitingCallers:
    """Callers of all clients, after authentication. When there are too many, the client with the most gives way."""

    def __init__(self, timings: WaitingTimings, *, most: int = MOST_CALLERS) -> None:
        self._timings = timings
        self._callers: FairQueue[int, asyncio.Future[None]] = FairQueue(most=most)

    def __len__(self) -> int:
        return len(self._callers)

    async def wait(
        self, client: Client, answer: Coroutine[Any, Any, Value], *, left: Callable[[], Awaitable[None]]
    ) -> Value:
        """Return the answer that one of the client's callers waits for; `left` returns once that caller has gone.

        Raises what the answer raises; UpstreamBusy at once when this caller gives way; CallerLeft. Its share in a call
        to Airbyte ends with it, as if it had been cancelled.
        """
        gives_way: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        newest = self._callers.join(client.id, gives_way)
        if newest is not None:
            newest.set_result(None)
        if gives_way.done():
            answer.close()
            raise self._busy()
        task = asyncio.ensure_future(answer)
        leaving = asyncio.ensure_future(left())
        try:
            ends: set[asyncio.Future[Any]] = {task, gives_way, leaving}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise self._busy() if gives_way.done() else CallerLeft
        finally:
            self._callers.leave(client.id, gives_way)
            task.cancel()
            leaving.cancel()

    def _busy(self) -> UpstreamBusy:
        return UpstreamBusy(
            retry_after=self._timings.retry, detail="too many callers wait for Airbyte, most of them this client's"
        )


async def wait_unless_left(end: asyncio.Future[Any], *, seconds: float, left: Callable[[], Awaitable[None]]) -> None:
    """Wait for `end`, for so long at most. Raises CallerLeft once `left` returns: the caller has gone."""
    if end.done() or seconds <= 0:
        return
    leaving = asyncio.ensure_future(left())
    try:
        ends: set[asyncio.Future[Any]] = {end, leaving}
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done() and not end.done():
            raise CallerLeft
    finally:
        leaving.cancel()
