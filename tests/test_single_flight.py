"""One call, shared by all who ask at the same time."""

import asyncio
from collections.abc import Hashable

import pytest

from gateway.errors import UpstreamInvalid
from gateway.single_flight import SingleFlight
from gateway.store.read_slots import reading_for
from gateway.telemetry.trace_context import Trace, carry, current_traceparent
from tests.support import BOUND_SECONDS

ACME = 1
TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", is_sampled=True)


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


async def test_a_call_goes_on_when_its_last_asker_has_left_and_who_asks_then_shares_it() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    release = asyncio.Event()
    ends: list[str] = []

    async def fly() -> str:
        try:
            await release.wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise
        ends.append("landed")
        return "landed"

    askers = [asyncio.create_task(flights.run("key", fly)) for _ in range(2)]
    await asyncio.sleep(0)
    askers[0].cancel()
    await asyncio.gather(askers[0], return_exceptions=True)
    assert "key" in flights
    askers[1].cancel()
    await asyncio.gather(askers[1], return_exceptions=True)

    assert "key" in flights
    later = asyncio.create_task(flights.run("key", fly))
    await asyncio.sleep(0)
    release.set()
    assert await later == "landed"
    assert ends == ["landed"]


async def test_a_failure_is_told_only_when_nobody_waits_for_it() -> None:
    told: list[BaseException] = []
    flights: SingleFlight[str, None] = SingleFlight(tell=told.append)
    release = asyncio.Event()

    async def fail() -> None:
        await release.wait()
        raise UpstreamInvalid

    await flights.run_for("left", fail, seconds=0.0)
    flights.start("never asked", fail)
    asker, patient = (
        asyncio.create_task(flights.run("asked", fail)),
        asyncio.create_task(flights.run_for("asked as well", fail, seconds=BOUND_SECONDS)),
    )
    await asyncio.sleep(0)
    release.set()
    outcomes = await asyncio.gather(asker, patient, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [UpstreamInvalid] * 2
    assert [type(failure) for failure in told] == [UpstreamInvalid] * 2


async def test_a_call_that_has_ended_is_shared_no_more_also_before_the_loop_has_told_of_its_end() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    loop = asyncio.get_running_loop()
    begun: list[asyncio.Task[int]] = []

    def ask_again() -> None:
        assert begun[0].done()
        begun.append(flights.start("key", second))

    async def first() -> int:
        loop.call_soon(ask_again)  # after this step of the task, and before what its end calls
        return 1

    async def second() -> int:
        return 2

    begun.append(flights.start("key", first))
    await begun[0]

    assert await begun[1] == 2


@pytest.mark.parametrize(
    ("is_for_all", "expected"), [(True, (None, None)), (False, (ACME, TRACE.header))], ids=["for all", "for askers"]
)
async def test_a_call_for_all_reads_in_nobodys_turn_and_trace_and_any_other_in_those_of_its_first_asker(
    expected: tuple[Hashable, bytes | None], *, is_for_all: bool
) -> None:
    flights: SingleFlight[str, tuple[Hashable, bytes | None]] = SingleFlight(is_for_all=is_for_all)

    async def fly() -> tuple[Hashable, bytes | None]:
        return reading_for.get(), current_traceparent()

    async def ask_for_acme() -> tuple[Hashable, bytes | None]:
        reading_for.set(ACME)
        carry(TRACE)
        return await flights.run("key", fly)

    assert await asyncio.create_task(ask_for_acme()) == expected
    assert reading_for.get() is None
