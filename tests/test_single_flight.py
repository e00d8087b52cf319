"""One call, shared by all who ask at the same time."""

import asyncio

from gateway.errors import UpstreamInvalid
from gateway.single_flight import SingleFlight


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
