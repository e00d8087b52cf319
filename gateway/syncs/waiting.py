"""Count the callers that wait for Airbyte, by client: each holds memory and a socket, whatever call it waits for."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar, cast

from gateway.errors import ApiError, CallerLeft, UpstreamBusy
from gateway.models import Client
from gateway.syncs.timings import WaitingTimings

Value = TypeVar("Value")

MOST_CALLERS = 512
"""A rested key may call a hundred times at once: so many are several keys' worst."""


class _Caller:
    """One who waits. Its answer is awaited by its own task, which is cancelled when the wait is to end sooner."""

    __slots__ = ("_gives_way", "_leaving", "_left", "_reason", "_task")

    def __init__(self, left: Callable[[], Awaitable[None]], gives_way: Callable[[], ApiError]) -> None:
        """`gives_way` makes what it is told when it gives way."""
        self._left = left
        self._gives_way = gives_way
        self._leaving: asyncio.Future[None] | None = None
        self._reason: Exception | None = None
        """Why the wait was ended from outside."""

    async def run(self, answer: Coroutine[Any, Any, Value], *, watch_after: float) -> Value:
        """Return the answer, or raise why the wait was ended. From `watch_after` seconds on the caller is watched."""
        self._task = cast("asyncio.Task[Any]", asyncio.current_task())
        cancelling = self._task.cancelling()
        watch = self._task.get_loop().call_later(watch_after, self._begin_to_watch)
        try:
            return await answer
        except asyncio.CancelledError:
            # As asyncio.timeout has it: who else cancels the task is obeyed.
            if self._reason is None or self._task.uncancel() > cancelling:
                raise
            raise self._reason from None
        finally:
            watch.cancel()
            if self._leaving is not None:
                self._leaving.cancel()

    def give_way(self) -> None:
        """End the wait for another caller's sake."""
        self._stop(self._gives_way())

    def _stop(self, reason: Exception) -> None:
        """End the wait, for a reason that its task raises."""
        if self._reason is None:
            self._reason = reason
            self._task.cancel()

    def _begin_to_watch(self) -> None:
        self._leaving = asyncio.ensure_future(self._left())
        self._leaving.add_done_callback(self._on_left)

    def _on_left(self, leaving: asyncio.Future[None]) -> None:
        if not leaving.cancelled():
            self._stop(CallerLeft())


class CallerQueue(Protocol):
    """Callers by their client's id. `join` returns who gives way: the newest caller of the client with the most."""

    def __len__(self) -> int: ...

    def join(self, owner: int, item: _Caller, /) -> _Caller | None: ...

    def leave(self, owner: int, item: _Caller, /) -> None: ...


class WaitingCallers:
    """Callers of all clients, after authentication. When there are too many, the client with the most gives way."""

    def __init__(self, callers: CallerQueue, timings: WaitingTimings) -> None:
        """Keep them in `callers`, which is empty and takes MOST_CALLERS."""
        self._callers = callers
        self._timings = timings

    def __len__(self) -> int:
        return len(self._callers)

    async def wait(
        self,
        client: Client,
        answer: Coroutine[Any, Any, Value],
        *,
        left: Callable[[], Awaitable[None]],
        goes_on: Callable[[], ApiError] | None = None,
    ) -> Value:
        """Return the answer that one of the client's callers waits for; `left` returns once that caller has gone.

        Raises what the answer raises; UpstreamBusy when this caller gives way, which may be at once; CallerLeft. Its
        share in a call to Airbyte ends with it, as if it had been cancelled. Where what was begun goes on without its
        caller, as a trigger does, `goes_on` makes what is raised instead of UpstreamBusy.
        """
        caller = _Caller(left, goes_on or self._busy)
        newest = self._callers.join(client.id, caller)
        if newest is caller:
            answer.close()
            raise self._busy()
        if newest is not None:
            newest.give_way()
        try:
            return await caller.run(answer, watch_after=self._timings.watch)
        finally:
            self._callers.leave(client.id, caller)

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
