"""Share one call among all who ask for the same thing at the same time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class SingleFlight(Generic[Key, Value]):
    """One call for each key at a time; whoever asks meanwhile shares its result or its failure.

    The call is a task of its own: an asker that is cancelled does not end it, nor does the last one. What was sent to
    Airbyte keeps one of its threads busy whether or not somebody still waits, so its permit is held until its answer.
    """

    def __init__(self, *, tell: Callable[[BaseException], None] | None = None, is_for_all: bool = False) -> None:
        """`tell` is called with the failure of a call for which nobody waits at its end: nobody else would tell.

        A call has the context of who asked first: it is a part of his trace, and reads in his turn. One that
        `is_for_all` has an empty one, so that it neither waits for its first asker's other reads nor tells of him.
        """
        self._tell = tell
        self._is_for_all = is_for_all
        self._flights: dict[Key, asyncio.Task[Value]] = {}
        self._askers: Counter[asyncio.Task[Value]] = Counter()
        """Counted where a failure is told for which nobody waits."""

    def __contains__(self, key: Key) -> bool:
        return key in self._flights

    async def run(self, key: Key, start: Callable[[], Awaitable[Value]]) -> Value:
        """Return the result of the call for `key`, begun now if there is none. Raises what the call raises."""
        flight = self.start(key, start)
        if self._tell is None:
            return await _outcome(flight)
        with self._asking(flight):
            return await _outcome(flight)

    async def run_for(self, key: Key, start: Callable[[], Awaitable[Value]], *, seconds: float) -> None:
        """Wait for the call for `key`, begun now if there is none, but no longer. Raises what it raises until then."""
        flight = self.start(key, start)
        with self._asking(flight):
            await asyncio.wait({flight}, timeout=seconds)
            if flight.done() and not flight.cancelled():
                flight.result()

    @contextmanager
    def _asking(self, flight: asyncio.Task[Value]) -> Iterator[None]:
        self._askers[flight] += 1
        try:
            yield
        finally:
            self._askers[flight] -= 1
            if not self._askers[flight]:
                del self._askers[flight]

    def start(self, key: Key, start: Callable[[], Awaitable[Value]]) -> asyncio.Task[Value]:
        """Return the call for `key`, begun now if there is none."""
        flight = self._flights.get(key)
        # One that has ended is forgotten only in the loop's next round. Who asks until then, and again because the
        # result is too old for him, would be handed the same one for ever without a round in between.
        if flight is None or flight.done():
            context = Context() if self._is_for_all else None
            flight = asyncio.get_running_loop().create_task(_as_coroutine(start), context=context)
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._land(key, done))
        return flight

    def _land(self, key: Key, flight: asyncio.Task[Value]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        # Asking for the failure here keeps asyncio from complaining that nobody did.
        failure = None if flight.cancelled() else flight.exception()
        if failure is not None and self._tell is not None and not self._askers[flight]:
            self._tell(failure)

    async def close(self, *, cancel: bool) -> None:
        """End the calls under way: wait for them, or cancel them."""
        flights = list(self._flights.values())
        if cancel:
            for flight in flights:
                flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)


async def _outcome(flight: asyncio.Task[Value]) -> Value:
    """Wait for a call and return its result, or raise its failure. It goes on if the wait is cancelled.

    As `asyncio.shield`, without the second callback, which takes a round of the loop for each asker.
    """
    landing = flight.get_loop().create_future()

    def wake(_flight: asyncio.Task[Value]) -> None:
        if not landing.done():
            landing.set_result(None)

    flight.add_done_callback(wake)
    try:
        await landing
    finally:
        flight.remove_done_callback(wake)
    return flight.result()


async def _as_coroutine(start: Callable[[], Awaitable[Value]]) -> Value:
    return await start()
