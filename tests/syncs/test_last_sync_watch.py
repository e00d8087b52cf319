"""Who has the last syncs refreshed without asking, and how often Airbyte is asked for that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.store.leadership import SoleLeadership
from gateway.syncs.last_sync_watch import LastSyncWatch
from gateway.syncs.timings import LastSyncTimings, SyncTimings
from tests.support import BOUND_SECONDS, World, quiet, running_gateway
from tests.webhooks.support import ALLOWED

RARELY = SyncTimings(last_sync=LastSyncTimings(shortest_watch=3600.0))
"""The gateway's own watch sleeps through the test."""
ROUND_SECONDS = 0.001
MINUTE = 60.0


class Follower(SoleLeadership):
    """Leadership of a gateway beside another that always leads."""

    async def acquire(self, work: str, *, seconds: float, unless_done_within: float = 0.0) -> bool:
        return False


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_gateway(tmp_path, sync_timings=RARELY, airbyte={"freshness_seconds": 0.0}, **ALLOWED) as running:
        await running.client_with_key()
        yield running


@asynccontextmanager
async def watching(
    world: World, *, leadership: SoleLeadership | None = None, idle_rounds: int = 3, seconds: float = MINUTE
) -> AsyncIterator[list[str]]:
    """Watch in rounds of a millisecond; what happens is in the list: rounds, and refreshes that ended.

    After each of those, the gateway's clock goes on by `seconds`.
    """
    happened: list[str] = []
    timings = LastSyncTimings(shortest_watch=ROUND_SECONDS, idle_watch=idle_rounds * ROUND_SECONDS)
    syncs = world.services.syncs
    watch = LastSyncWatch(
        world.services.store, syncs.last_sync, leadership or SoleLeadership(), syncs.watcher, timings=timings
    )

    async def refreshed() -> None:
        await quiet()
        world.clock.advance(seconds)
        happened.append("refreshed")

    task = asyncio.create_task(watch.run(lambda: happened.append("round"), refreshed=refreshed))
    yield happened
    task.cancel()
    await asyncio.wait({task})


async def until(happened: list[str], what: str, count: int) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while happened.count(what) < count:
            await asyncio.sleep(ROUND_SECONDS)


def calls(world: World) -> int:
    return len([each for each in world.sandbox.requests if "updatedAtStart" in each.query])


async def test_while_nobody_listens_and_nothing_runs_airbyte_is_not_asked(world: World) -> None:
    await world.mapped_connection()
    world.sandbox.requests.clear()

    async with watching(world) as happened:
        await until(happened, "round", 20)

    assert "refreshed" not in happened
    assert not world.sandbox.requests


async def test_each_round_is_for_webhooks_and_some_rounds_are_for_what_runs(world: World) -> None:
    _, theirs = await world.mapped_connection()
    world.sandbox.world.add_job(theirs, status="running")
    await world.services.syncs.last_sync.refresh_if_older(0)
    world.clock.advance(MINUTE)

    async with watching(world) as happened:
        await until(happened, "refreshed", 3)
        assert happened.index("refreshed") == 2
        assert happened.count("round") >= 6
    await world.services.webhooks.endpoints.add("acme", url="http://127.0.0.1:1/")
    async with watching(world) as happened:
        await until(happened, "refreshed", 3)
        assert happened[:4] == ["refreshed", "round"] * 2


async def test_a_round_asks_airbyte_one_question_and_a_fresh_figure_none(world: World) -> None:
    await world.mapped_connection()
    await world.services.webhooks.endpoints.add("acme", url="http://127.0.0.1:1/")
    world.clock.advance(MINUTE)
    world.sandbox.requests.clear()

    async with watching(world) as happened:
        await until(happened, "refreshed", 5)

    assert 1 <= calls(world) <= happened.count("refreshed") + 1


async def test_a_gateway_that_does_not_lead_asks_nothing(world: World) -> None:
    await world.mapped_connection()
    await world.services.webhooks.endpoints.add("acme", url="http://127.0.0.1:1/")
    world.sandbox.requests.clear()

    async with watching(world, leadership=Follower()) as happened:
        await until(happened, "round", 10)

    assert ("refreshed" in happened, calls(world)) == (False, 0)


async def test_a_webhook_alone_has_one_connection_a_minute_asked_for_by_itself(world: World) -> None:
    for _ in range(10):
        await world.mapped_connection()
    await world.services.webhooks.endpoints.add("acme", url="http://127.0.0.1:1/")
    await world.services.syncs.last_sync.refresh_if_older(0)
    await quiet()
    world.clock.advance(2 * MINUTE)
    world.sandbox.requests.clear()

    async with watching(world, seconds=5.0) as happened:
        await until(happened, "refreshed", 10)

    assert calls(world) >= 10
    by_itself = [each for each in world.sandbox.requests if "connectionId" in each.query]
    assert len(by_itself) == 1 + happened.count("refreshed") // 12
