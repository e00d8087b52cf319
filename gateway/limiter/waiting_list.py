"""Tasks that wait for something scarce, such as a permit or a slot: served in the order of a fair queue."""

import asyncio
import math
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from gateway.limiter.fair_queue import FairQueue

Owner = TypeVar("Owner", bound=Hashable)
Want = TypeVar("Want")


class _Waiter(Generic[Want]):
    """A task, and what it waits for. `is_served`: its result is False for one that gave way."""

    __slots__ = ("is_served", "want")

    def __init__(self, want: Want) -> None:
        self.want = want
        self.is_served: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class WaitingList(Generic[Owner, Want]):
    """Each owner's tasks wait in their own order. When too many wait, the newest of who has the most gives way."""

    def __init__(self, *, most: float = math.inf) -> None:
        """Let `most` tasks wait at once."""
        self._queue: FairQueue[Owner, _Waiter[Want]] = FairQueue(most=most)

    def __len__(self) -> int:
        return len(self._queue)

    def count_of(self, owner: Owner, want: Want) -> int:
        """Return how many of the owner's tasks wait for this."""
        return sum(waiter.want == want for waiter in self._queue.of(owner))

    def owners(self, want: Want) -> set[Owner]:
        """Return whose tasks wait for this."""
        return self._queue.owners(lambda waiter: waiter.want == want)

    async def wait(self, owner: Owner, want: Want, *, pass_on: Callable[[], None]) -> bool:
        """Wait, and return whether the task was served in the end: False if it gave way.

        `pass_on` is called when the wait is cancelled in the very moment in which the task is served.
        """
        waiter = _Waiter(want)
        gives_way = self._queue.join(owner, waiter)
        if gives_way is not None:
            gives_way.is_served.set_result(False)
        try:
            return await asyncio.shield(waiter.is_served)
        except BaseException:
            if waiter.is_served.done() and waiter.is_served.result():
                pass_on()
            self._queue.leave(owner, waiter)
            raise

    def serve(
        self, may_be_served: Callable[[Owner, Want], bool] = lambda _owner, _want: True
    ) -> tuple[Owner, Want] | None:
        """Let the next task that may be served go on, and return whose it is and what it waited for; None for none."""
        served = self._queue.take(lambda owner, waiter: may_be_served(owner, waiter.want))
        if served is None:
            return None
        owner, waiter = served
        waiter.is_served.set_result(True)
        return owner, waiter.want
