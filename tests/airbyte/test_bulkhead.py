"""The bulkhead, alone."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Self

import pytest

from gateway.airbyte import Deadlines
from gateway.airbyte.bulkhead import Bulkhead, Caller, Kind, OwnCalls
from gateway.errors import UpstreamBusy
from gateway.limiter.waiting_list import WaitingList
from tests.support import HandClock
from tests.virtual_time import run_in_virtual_time

Holder = tuple[Kind, Caller]
A, B, C, D, E, F = range(1, 7)


bulkhead_of = partial(Bulkhead, new_queue=WaitingList)


async def acquire(stack: AsyncExitStack, bulkhead: Bulkhead, *holders: Holder) -> None:
    for kind, caller in holders:
        await stack.enter_async_context(bulkhead.permit(kind, caller))


@pytest.mark.parametrize(
    ("taken", "kind", "caller"),
    [
        ([("read", A), ("read", B), ("read", C)], "read", D),
        ([("trigger", A), ("trigger", B)], "trigger", D),
        ([("read", OwnCalls.ROUTINE), ("read", OwnCalls.HISTORY)], "read", OwnCalls.ROUTINE),
        ([("read", A), ("read", B), ("read", OwnCalls.ROUTINE)], "read", C),
        ([("read", A), ("read", A)], "read", A),
        ([("read", A), ("trigger", A)], "read", A),
        ([("read", A), ("read", B), ("read", C), ("trigger", D)], "trigger", E),
    ],
)
async def test_neither_a_kind_nor_a_caller_takes_the_permits_of_others(
    taken: list[Holder], kind: Kind, caller: Caller
) -> None:
    bulkhead = bulkhead_of(4, wait_seconds=0, monotonic=HandClock().monotonic)
    async with AsyncExitStack() as stack:
        await acquire(stack, bulkhead, *taken)

        with pytest.raises(UpstreamBusy):
            await acquire(stack, bulkhead, (kind, caller))

        assert bulkhead.in_flight == len(taken)
        assert bulkhead.waiting == 0
    assert bulkhead.in_flight == 0


async def test_a_trigger_gets_a_permit_beside_as_many_reads_as_may_be() -> None:
    bulkhead = bulkhead_of(4, wait_seconds=0, monotonic=HandClock().monotonic)
    async with AsyncExitStack() as stack:
        await acquire(stack, bulkhead, ("read", A), ("read", B), ("read", C), ("trigger", D))

        assert bulkhead.in_flight == 4


async def test_a_waiting_caller_gets_the_first_permit_that_it_may_have() -> None:
    bulkhead = bulkhead_of(4, wait_seconds=5, monotonic=HandClock().monotonic)
    order: list[Caller] = []

    async def read(caller: Caller) -> None:
        async with bulkhead.permit("read", caller):
            order.append(caller)

    async with AsyncExitStack() as stack:
        await acquire(stack, bulkhead, ("read", A), ("read", A))
        async with bulkhead.permit("read", B):
            tasks = [asyncio.create_task(read(A)), asyncio.create_task(read(C))]
            await asyncio.sleep(0)
            assert bulkhead.waiting == 2
        await tasks[1]
        assert order == [C]
    await tasks[0]

    assert order == [C, A]
    assert bulkhead.in_flight == 0


WAIT_SECONDS = 60.0
"""Longer than an overloaded machine pauses: no wait ends while others still come."""
CALL_SECONDS = WAIT_SECONDS / 10
ENDLESS = 60 * WAIT_SECONDS


async def learnt(clock: HandClock, *calls: float, of: Sequence[Caller] = (A, C)) -> Bulkhead:
    """Return a bulkhead of four permits that saw each of the callers' calls take so long."""
    bulkhead = bulkhead_of(4, wait_seconds=WAIT_SECONDS, monotonic=clock.monotonic)
    for caller in of:
        for seconds in calls:
            async with bulkhead.permit("read", caller):
                clock.advance(seconds)
    return bulkhead


class Queue:
    """Callers that wait at a bulkhead where clients A and B hold all permits that reads may have."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead = bulkhead
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self, caller: Caller, kind: Kind = "read") -> bool:
        """Return whether the caller gets a permit or may wait for one."""
        task = asyncio.create_task(acquire(self._stack, self._bulkhead, (kind, caller)))
        self._tasks.append(task)
        await asyncio.sleep(0)
        return not self.refused[-1]

    @staticmethod
    async def settle() -> None:
        """Let whoever was told something act on it."""
        for _ in range(10):
            await asyncio.sleep(0)

    @property
    def refused(self) -> list[bool]:
        return [task.done() and isinstance(task.exception(), UpstreamBusy) for task in self._tasks]

    async def join_all(self, caller: Caller, *, most: int = 100) -> int:
        """Return how many of the caller's calls may wait."""
        return sum([await self.join(caller) for _ in range(most)])

    async def __aenter__(self) -> Self:
        self._stack = await AsyncExitStack().__aenter__()
        await acquire(self._stack, self._bulkhead, ("read", A), ("read", A), ("read", B))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()


async def test_the_first_calls_of_each_client_may_wait_however_many_clients_do(clock: HandClock) -> None:
    bulkhead = await learnt(clock, *[CALL_SECONDS] * 50, of=range(100, 160))
    async with Queue(bulkhead) as queue:
        assert [await queue.join(100 + number) for number in range(60)] == [True] * 60


async def test_a_client_s_queue_is_the_shorter_the_more_clients_share_the_permits(clock: HandClock) -> None:
    """Three permits for four clients, each held for a tenth of the longest wait: so six of a client's calls get one."""
    bulkhead = await learnt(clock, *[CALL_SECONDS] * 50)
    async with Queue(bulkhead) as queue:
        for client in (D, E, F):
            assert await queue.join(client)

        assert await queue.join_all(C) == 6


async def test_one_caller_s_queue_is_as_long_as_its_own_permits_serve_and_keeps_no_other_out(clock: HandClock) -> None:
    bulkhead = await learnt(clock, *[CALL_SECONDS] * 50)
    async with Queue(bulkhead) as queue:
        of_one = await queue.join_all(A)

        assert 12 <= of_one <= 18
        assert await queue.join(C)


async def test_another_client_s_slow_calls_tell_nothing_of_how_long_a_client_s_own_will_take(clock: HandClock) -> None:
    """A's connections take Airbyte a minute each. B's first calls in a while, many at once, are as quick as ever."""
    bulkhead = await learnt(clock, *[ENDLESS] * 50, of=[A])
    async with Queue(bulkhead) as queue:
        assert await queue.join_all(C, most=20) == 20
        assert await queue.join_all(A, most=20) == 2


async def test_reads_that_wait_keep_no_trigger_out(clock: HandClock) -> None:
    bulkhead = await learnt(clock, *[CALL_SECONDS] * 50)
    async with Queue(bulkhead) as queue:
        for number in range(60):
            await queue.join(100 + number)

        assert [await queue.join(caller, "trigger") for caller in (D, E, F)] == [True] * 3


@pytest.mark.parametrize("calls", [(), (CALL_SECONDS / 1000,) * 50, (ENDLESS,) * 50 + (CALL_SECONDS / 1000,) * 16])
async def test_times_that_are_not_known_or_long_past_keep_nobody_out(
    clock: HandClock, calls: tuple[float, ...]
) -> None:
    bulkhead = await learnt(clock, *calls)
    async with Queue(bulkhead) as queue:
        assert await queue.join_all(C) == 100


async def test_a_few_may_wait_whatever_the_last_calls_took(clock: HandClock) -> None:
    bulkhead = await learnt(clock, *[ENDLESS] * 50)
    async with Queue(bulkhead) as queue:
        assert await queue.join_all(C) == 2


async def test_cancelled_waiters_leave_no_permit_held() -> None:
    bulkhead = bulkhead_of(2, wait_seconds=5, monotonic=HandClock().monotonic)

    async def read() -> None:
        async with bulkhead.permit("read", A):
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


async def test_a_permit_stays_free_for_the_gateway_s_own_calls_and_one_for_each_kind() -> None:
    bulkhead = bulkhead_of(5, wait_seconds=0, monotonic=HandClock().monotonic)
    async with AsyncExitStack() as stack:
        await acquire(stack, bulkhead, ("read", A), ("read", B), ("read", C))
        with pytest.raises(UpstreamBusy):
            await acquire(stack, bulkhead, ("read", D))

        await acquire(stack, bulkhead, ("trigger", A), ("read", OwnCalls.ROUTINE))

        assert bulkhead.in_flight == 5


async def test_own_calls_get_the_next_permit_before_clients_that_wait_longer() -> None:
    bulkhead = bulkhead_of(4, wait_seconds=5, monotonic=HandClock().monotonic)
    order: list[Caller] = []

    async def read(caller: Caller) -> None:
        async with bulkhead.permit("read", caller):
            order.append(caller)

    async with AsyncExitStack() as stack:
        await acquire(stack, bulkhead, ("read", A), ("read", B), ("read", C))
        tasks = [asyncio.create_task(read(caller)) for caller in (D, E, OwnCalls.ROUTINE)]
        await asyncio.sleep(0)
        assert bulkhead.waiting == 3
    await asyncio.gather(*tasks)

    assert order == [OwnCalls.ROUTINE, D, E]


async def test_when_too_many_wait_the_newest_call_of_the_client_with_the_most_gives_way() -> None:
    bulkhead = bulkhead_of(4, wait_seconds=WAIT_SECONDS, most_waiting=4, monotonic=HandClock().monotonic)
    async with Queue(bulkhead) as queue:
        assert await queue.join_all(C, most=4) == 4
        assert await queue.join(D)
        await queue.settle()

        assert queue.refused == [False, False, False, True, False]


async def test_a_client_is_told_when_its_own_queue_is_done(clock: HandClock) -> None:
    """Fifteen of its calls wait, of which two at a time take six seconds; the sixteenth would begin after 48 s."""
    bulkhead = await learnt(clock, *[CALL_SECONDS] * 50)
    async with Queue(bulkhead) as queue:
        of_one = await queue.join_all(A)
        with pytest.raises(UpstreamBusy) as refused:
            async with bulkhead.permit("read", A):
                pass

    assert of_one == 16
    assert refused.value.retry_after == 51


class Traffic:
    """Reads of clients, by the seconds that each took; None for a refused one."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self._bulkhead = bulkhead
        self.took: dict[Caller, list[float | None]] = {}

    async def read_every(self, seconds: float, caller: Caller, *, times: int, after: float = 0.0) -> None:
        """Begin a read every so many seconds, whatever became of those before."""
        await asyncio.sleep(after)
        async with asyncio.TaskGroup() as reads:
            for _ in range(times):
                reads.create_task(self._read(caller))
                await asyncio.sleep(seconds)

    async def _read(self, caller: Caller) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        took = self.took.setdefault(caller, [])
        try:
            async with self._bulkhead.permit("read", caller):
                await asyncio.sleep(AIRBYTE_SECONDS)
        except UpstreamBusy:
            took.append(None)
        else:
            took.append(loop.time() - began)


AIRBYTE_SECONDS = 2.0
OTHERS = (B, C, D, E, F)


async def two_minutes_of_reads(*, with_a: bool) -> Traffic:
    """Five clients read once in five seconds; twenty keys of A's once a second each, and each another page."""
    traffic = Traffic(bulkhead_of(4, wait_seconds=Deadlines().permit, monotonic=asyncio.get_running_loop().time))
    async with asyncio.TaskGroup() as clients:
        if with_a:
            clients.create_task(traffic.read_every(1 / 20, A, times=2400))
        for client in OTHERS:
            clients.create_task(traffic.read_every(5, client, times=24, after=client - 1))
    return traffic


def test_a_client_far_above_its_share_costs_the_others_no_refusal_and_one_wait_for_an_answer() -> None:
    quiet = run_in_virtual_time(two_minutes_of_reads(with_a=False)).took
    loaded = run_in_virtual_time(two_minutes_of_reads(with_a=True)).took

    for client in OTHERS:
        assert len(loaded[client]) == 24
        assert None not in loaded[client]
        longest = max(seconds for seconds in loaded[client] if seconds)
        assert longest <= 2 * max(seconds for seconds in quiet[client] if seconds) + AIRBYTE_SECONDS
    assert loaded[A].count(None) > len(loaded[A]) / 2


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize(("kind", "other"), [("read", "trigger"), ("trigger", "read")])
async def test_however_few_permits_there_are_no_client_keeps_the_other_kind_from_going_on(
    size: int, kind: Kind, other: Kind
) -> None:
    bulkhead = bulkhead_of(size, monotonic=lambda: 0.0, wait_seconds=0.01)
    async with AsyncExitStack() as stack:
        with pytest.raises(UpstreamBusy):
            await acquire(stack, bulkhead, *[(kind, A)] * size)

        await acquire(stack, bulkhead, (other, B))


@pytest.mark.parametrize("kind", ["read", "trigger"])
async def test_a_single_permit_is_for_whoever_comes(kind: Kind) -> None:
    bulkhead = bulkhead_of(1, monotonic=lambda: 0.0, wait_seconds=0)
    async with bulkhead.permit(kind, A):
        assert bulkhead.in_flight == 1


@pytest.mark.parametrize("size", [3, 4, 5, 8])
@pytest.mark.parametrize("kind", ["read", "trigger"])
async def test_no_client_holds_all_permits_of_a_kind(size: int, kind: Kind) -> None:
    """Two slow triggers of one client would otherwise be all that four permits leave for triggers."""
    bulkhead = bulkhead_of(size, monotonic=lambda: 0.0, wait_seconds=0.01)
    async with AsyncExitStack() as stack:
        with pytest.raises(UpstreamBusy):
            await acquire(stack, bulkhead, *[(kind, A)] * size)

        await acquire(stack, bulkhead, (kind, B))


async def test_reads_that_were_given_up_leave_permits_for_other_clients_and_for_the_gateway() -> None:
    bulkhead = bulkhead_of(4, wait_seconds=0, monotonic=HandClock().monotonic)

    kept = [bulkhead.occupy("read", caller) for caller in (A, A, B)]

    assert [each is None for each in kept] == [False, False, True]
    async with bulkhead.permit("trigger", B), bulkhead.permit("read", OwnCalls.ROUTINE):
        assert bulkhead.in_flight == 4
    for give_back in kept[:2]:
        assert give_back is not None
        give_back()
    assert bulkhead.in_flight == 0
    assert bulkhead.occupy("read", B) is not None


async def test_what_is_left_behind_beside_a_permit_counts_in_its_caller_s_share_alone() -> None:
    bulkhead = bulkhead_of(4, wait_seconds=0, monotonic=HandClock().monotonic)
    ends = [bulkhead.count_in_share(A) for _ in range(2)]

    assert bulkhead.in_flight == 0
    with pytest.raises(UpstreamBusy):
        async with bulkhead.permit("trigger", A):
            pass
    async with AsyncExitStack() as stack:
        await acquire(stack, bulkhead, ("read", B), ("read", C), ("trigger", D), ("read", OwnCalls.ROUTINE))
    for end in ends:
        end()
    async with bulkhead.permit("read", A), bulkhead.permit("trigger", A):
        assert bulkhead.in_flight == 2
