"""Lane, SingleFlight, Breaker and RetryBudget, alone."""

import asyncio
from contextlib import AsyncExitStack
from typing import Self

import pytest

from gateway.airbyte.resilience import Breaker, Kind, Lane, RetryBudget, SingleFlight
from gateway.errors import UpstreamBusy, UpstreamInvalid
from tests.support import HandClock

Place = tuple[Kind, str]


async def enter(stack: AsyncExitStack, lane: Lane, *places: Place) -> None:
    for kind, caller in places:
        await stack.enter_async_context(lane.place(kind, caller))


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
async def test_refuses_who_would_take_another_s_place(taken: list[Place], kind: Kind, caller: str) -> None:
    lane = Lane(4, wait_seconds=0, monotonic=HandClock().monotonic)
    async with AsyncExitStack() as stack:
        await enter(stack, lane, *taken)

        with pytest.raises(UpstreamBusy):
            await enter(stack, lane, (kind, caller))

        assert lane.in_flight == len(taken)
        assert lane.waiting == 0
    assert lane.in_flight == 0


async def test_a_trigger_finds_a_place_beside_as_many_reads_as_may_be() -> None:
    lane = Lane(4, wait_seconds=0, monotonic=HandClock().monotonic)
    async with AsyncExitStack() as stack:
        await enter(stack, lane, ("read", "a"), ("read", "b"), ("read", "c"), ("trigger", "d"))

        assert lane.in_flight == 4


async def test_a_waiting_caller_gets_the_first_place_that_suits_it() -> None:
    lane = Lane(4, wait_seconds=5, monotonic=HandClock().monotonic)
    order: list[str] = []

    async def read(caller: str) -> None:
        async with lane.place("read", caller):
            order.append(caller)

    async with AsyncExitStack() as stack:
        await enter(stack, lane, ("read", "a"), ("read", "a"))
        async with lane.place("read", "b"):
            tasks = [asyncio.create_task(read("a")), asyncio.create_task(read("c"))]
            await asyncio.sleep(0)
            assert lane.waiting == 2
        await tasks[1]
        assert order == ["c"]
    await tasks[0]

    assert order == ["c", "a"]
    assert lane.in_flight == 0


WAIT_SECONDS = 60.0
"""Longer than the machine stands still: nobody's wait ends while others still come."""
CALL_SECONDS = WAIT_SECONDS / 10
ENDLESS = 60 * WAIT_SECONDS


async def learnt(clock: HandClock, *calls: float) -> Lane:
    """A lane of four that saw calls take so long."""
    lane = Lane(4, wait_seconds=WAIT_SECONDS, monotonic=clock.monotonic)
    for seconds in calls:
        async with lane.place("read", "before"):
            clock.advance(seconds)
    return lane


class Queue:
    """Who stands before a lane whose places are all taken by readers `a` and `b`."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self, caller: str, kind: Kind = "read") -> bool:
        """Whether the caller is let wait, or in."""
        task = asyncio.create_task(enter(self._stack, self._lane, (kind, caller)))
        self._tasks.append(task)
        await asyncio.sleep(0)
        return not (task.done() and isinstance(task.exception(), UpstreamBusy))

    async def join_all(self, caller: str, *, most: int = 100) -> int:
        """How many of the caller's are let wait."""
        return sum([await self.join(caller) for _ in range(most)])

    async def __aenter__(self) -> Self:
        self._stack = await AsyncExitStack().__aenter__()
        await enter(self._stack, self._lane, ("read", "a"), ("read", "a"), ("read", "b"))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()


async def test_who_would_wait_in_vain_is_told_at_once(clock: HandClock) -> None:
    """Three places, each taken for a tenth of the time that one may wait: in that time some 30 get theirs."""
    lane = await learnt(clock, *[CALL_SECONDS] * 50)
    async with Queue(lane) as queue:
        let_wait = [await queue.join(f"caller-{number}") for number in range(60)]

    assert let_wait == [True] * sum(let_wait) + [False] * (60 - sum(let_wait))
    assert 20 <= sum(let_wait) <= 27


async def test_one_caller_s_queue_is_as_long_as_its_own_places_serve_and_keeps_no_other_out(clock: HandClock) -> None:
    lane = await learnt(clock, *[CALL_SECONDS] * 50)
    async with Queue(lane) as queue:
        of_one = await queue.join_all("a")

        assert 12 <= of_one <= 18
        assert await queue.join("c")


async def test_reads_that_wait_keep_no_trigger_out(clock: HandClock) -> None:
    lane = await learnt(clock, *[CALL_SECONDS] * 50)
    async with Queue(lane) as queue:
        for number in range(60):
            await queue.join(f"caller-{number}")

        assert [await queue.join(caller, "trigger") for caller in ("d", "e", "f")] == [True] * 3


@pytest.mark.parametrize("calls", [(), (CALL_SECONDS / 1000,) * 50, (ENDLESS,) * 50 + (CALL_SECONDS / 1000,) * 16])
async def test_nobody_is_turned_away_by_what_is_not_known_or_is_over(
    clock: HandClock, calls: tuple[float, ...]
) -> None:
    lane = await learnt(clock, *calls)
    async with Queue(lane) as queue:
        assert await queue.join_all("c") == 100


async def test_a_few_may_wait_whatever_the_last_calls_took(clock: HandClock) -> None:
    lane = await learnt(clock, *[ENDLESS] * 50)
    async with Queue(lane) as queue:
        assert await queue.join_all("c") == 4


async def test_cancelled_waiters_leave_no_place_taken() -> None:
    lane = Lane(2, wait_seconds=5, monotonic=HandClock().monotonic)

    async def read() -> None:
        async with lane.place("read", "a"):
            await asyncio.sleep(0)

    for spins in range(40):
        tasks = [asyncio.create_task(read()) for _ in range(20)]
        for _ in range(spins):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert lane.in_flight == 0
        assert lane.waiting == 0


async def test_askers_share_one_flight_and_its_failure() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    started = 0
    release = asyncio.Event()

    async def fail() -> int:
        nonlocal started
        started += 1
        await release.wait()
        raise UpstreamInvalid

    askers = [asyncio.create_task(flights.run("key", fail)) for _ in range(20)]
    await asyncio.sleep(0)
    release.set()
    outcomes = await asyncio.gather(*askers, return_exceptions=True)

    assert started == 1
    assert all(isinstance(outcome, UpstreamInvalid) for outcome in outcomes)


async def test_a_cancelled_first_asker_does_not_end_the_flight_for_the_others() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    release = asyncio.Event()

    async def fly() -> str:
        await release.wait()
        return "landed"

    first = asyncio.create_task(flights.run("key", fly))
    await asyncio.sleep(0)
    second = asyncio.create_task(flights.run("key", fly))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    release.set()

    assert await second == "landed"


async def test_a_landed_flight_is_not_shared_with_later_askers() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    count = 0

    async def fly() -> int:
        nonlocal count
        count += 1
        return count

    assert [await flights.run("key", fly), await flights.run("key", fly)] == [1, 2]


def test_the_breaker_opens_after_five_faults_in_a_row_and_lets_one_probe_through() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.admit(0)
        breaker.fail(0)

    with pytest.raises(UpstreamBusy) as refusal:
        breaker.admit(1)
    assert refusal.value.retry_after == 4
    breaker.admit(5)
    with pytest.raises(UpstreamBusy):
        breaker.admit(5)
    breaker.succeed()
    breaker.admit(5)

    assert breaker.state == "closed"


def test_four_faults_and_a_success_leave_the_breaker_closed() -> None:
    breaker = Breaker()
    for _ in range(3):
        for _ in range(4):
            breaker.admit(0)
            breaker.fail(0)
        breaker.admit(0)
        breaker.succeed()

    assert breaker.state == "closed"


def test_failed_probes_double_the_pause_up_to_a_minute() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.fail(0)
    now, pauses = 0.0, []
    for _ in range(6):
        with pytest.raises(UpstreamBusy) as refusal:
            breaker.admit(now)
        pauses.append(refusal.value.retry_after)
        now += refusal.value.retry_after
        breaker.admit(now)
        breaker.fail(now)

    assert pauses == [5, 10, 20, 40, 60, 60]


def test_an_abandoned_probe_makes_room_for_the_next() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.fail(0)
    breaker.admit(5)
    breaker.abandon()

    breaker.admit(5)


def test_a_pause_stops_every_call_until_it_is_over() -> None:
    breaker = Breaker()
    breaker.pause(0, 30)

    with pytest.raises(UpstreamBusy) as refusal:
        breaker.admit(0.5)
    assert refusal.value.retry_after == 30
    breaker.admit(30)


def test_retries_are_a_tenth_of_calls_once_the_reserve_is_spent() -> None:
    budget = RetryBudget()
    while budget.spend():
        pass

    granted = 0
    for _ in range(1000):
        budget.earn()
        granted += budget.spend()

    assert 98 <= granted <= 100
