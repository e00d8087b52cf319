"""The bulkhead, alone."""

import asyncio
from contextlib import AsyncExitStack
from typing import Self

import pytest

from gateway.airbyte.bulkhead import Bulkhead, Kind
from gateway.errors import UpstreamBusy
from tests.support import HandClock

Holder = tuple[Kind, str]


async def acquire(stack: AsyncExitStack, bulkhead: Bulkhead, *holders: Holder) -> None:
    for kind, caller in holders:
        await stack.enter_async_context(bulkhead.permit(kind, caller))


@pytest.mark.parametrize(
    ("taken", "kind", "caller"),
    [
        ([("read", "a"), ("read", "b"), ("read", "c")], "read", "d"),
        ([("trigger", "a"), ("trigger", "b"), ("trigger", "c")], "trigger", "d"),
        ([("read", "a"), ("read", "a")], "read", "a"),
        ([("read", "a"), ("trigger", "a")], "read", "a"),
        ([("read", "a"), ("read", "b"), ("read", "c"), ("trigger", "d")], "trigger", "e"),
    ],
)
async def test_neither_a_kind_nor_a_caller_takes_the_permits_of_others(
    taken: list[Holder], kind: Kind, caller: str
) -> None:
    bulkhead = Bulkhead(4, wait_seconds=0, monotonic=HandClock().monotonic)
    async with AsyncExitStack() as stack:
        await acquire(stack, bulkhead, *taken)

        with pytest.raises(UpstreamBusy):
            await acquire(stack, bulkhead, (kind, caller))

        assert bulkhead.in_flight == len(taken)
        assert bulkhead.waiting == 0
    assert bulkhead.in_flight == 0


async def test_a_trigger_gets_a_permit_beside_as_many_reads_as_may_be() -> None:
    bulkhead = Bulkhead(4, wait_seconds=0, monotonic=HandClock().monotonic)
    async with AsyncExitStack() as stack:
        await acquire(stack, bulkhead, ("read", "a"), ("read", "b"), ("read", "c"), ("trigger", "d"))

        assert bulkhead.in_flight == 4


async def test_a_waiting_caller_gets_the_first_permit_that_it_may_have() -> None:
    bulkhead = Bulkhead(4, wait_seconds=5, monotonic=HandClock().monotonic)
    order: list[str] = []

    async def read(caller: str) -> None:
        async with bulkhead.permit("read", caller):
            order.append(caller)

    async with AsyncExitStack() as stack:
        await acquire(stack, bulkhead, ("read", "a"), ("read", "a"))
        async with bulkhead.permit("read", "b"):
            tasks = [asyncio.create_task(read("a")), asyncio.create_task(read("c"))]
            await asyncio.sleep(0)
            assert bulkhead.waiting == 2
        await tasks[1]
        assert order == ["c"]
    await tasks[0]

    assert order == ["c", "a"]
    assert bulkhead.in_flight == 0


WAIT_SECONDS = 60.0
"""Longer than an overloaded machine pauses: no wait ends while others still come."""
CALL_SECONDS = WAIT_SECONDS / 10
ENDLESS = 60 * WAIT_SECONDS


async def learnt(clock: HandClock, *calls: float) -> Bulkhead:
    """Return a bulkhead of four permits that saw calls take so long."""
    bulkhead = Bulkhead(4, wait_seconds=WAIT_SECONDS, monotonic=clock.monotonic)
    for seconds in calls:
        async with bulkhead.permit("read", "before"):
            clock.advance(seconds)
    return bulkhead


class Queue:
    """Callers that wait at a bulkhead where readers `a` and `b` hold all permits that reads may have."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead = bulkhead
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self, caller: str, kind: Kind = "read") -> bool:
        """Return whether the caller gets a permit or may wait for one."""
        task = asyncio.create_task(acquire(self._stack, self._bulkhead, (kind, caller)))
        self._tasks.append(task)
        await asyncio.sleep(0)
        return not (task.done() and isinstance(task.exception(), UpstreamBusy))

    async def join_all(self, caller: str, *, most: int = 100) -> int:
        """Return how many of the caller's calls may wait."""
        return sum([await self.join(caller) for _ in range(most)])

    async def __aenter__(self) -> Self:
        self._stack = await AsyncExitStack().__aenter__()
        await acquire(self._stack, self._bulkhead, ("read", "a"), ("read", "a"), ("read", "b"))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()


async def test_who_would_wait_in_vain_is_told_at_once(clock: HandClock) -> None:
    """Three permits, each held for a tenth of the longest wait: in that time some 30 callers get one."""
    bulkhead = await learnt(clock, *[CALL_SECONDS] * 50)
    async with Queue(bulkhead) as queue:
        may_wait = [await queue.join(f"caller-{number}") for number in range(60)]

    assert may_wait == [True] * sum(may_wait) + [False] * (60 - sum(may_wait))
    assert 20 <= sum(may_wait) <= 27


async def test_one_caller_s_queue_is_as_long_as_its_own_permits_serve_and_keeps_no_other_out(clock: HandClock) -> None:
    bulkhead = await learnt(clock, *[CALL_SECONDS] * 50)
    async with Queue(bulkhead) as queue:
        of_one = await queue.join_all("a")

        assert 12 <= of_one <= 18
        assert await queue.join("c")


async def test_reads_that_wait_keep_no_trigger_out(clock: HandClock) -> None:
    bulkhead = await learnt(clock, *[CALL_SECONDS] * 50)
    async with Queue(bulkhead) as queue:
        for number in range(60):
            await queue.join(f"caller-{number}")

        assert [await queue.join(caller, "trigger") for caller in ("d", "e", "f")] == [True] * 3


@pytest.mark.parametrize("calls", [(), (CALL_SECONDS / 1000,) * 50, (ENDLESS,) * 50 + (CALL_SECONDS / 1000,) * 16])
async def test_times_that_are_not_known_or_long_past_keep_nobody_out(
    clock: HandClock, calls: tuple[float, ...]
) -> None:
    bulkhead = await learnt(clock, *calls)
    async with Queue(bulkhead) as queue:
        assert await queue.join_all("c") == 100


async def test_a_few_may_wait_whatever_the_last_calls_took(clock: HandClock) -> None:
    bulkhead = await learnt(clock, *[ENDLESS] * 50)
    async with Queue(bulkhead) as queue:
        assert await queue.join_all("c") == 4


async def test_cancelled_waiters_leave_no_permit_held() -> None:
    bulkhead = Bulkhead(2, wait_seconds=5, monotonic=HandClock().monotonic)

    async def read() -> None:
        async with bulkhead.permit("read", "a"):
            await asyncio.sleep(0)

    for spins in range(40):
        tasks = [asyncio.create_task(read()) for _ in range(20)]
        for _ in range(spins):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert bulkhead.in_flight == 0
        assert bulkhead.waiting == 0
