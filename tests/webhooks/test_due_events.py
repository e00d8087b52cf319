"""What time brings: a sync that is late, and a key that ends soon. Each is told once."""

import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.models import BasicSchedule
from gateway.store import ToldStatus
from gateway.times import format_time
from gateway.webhooks.due_events import DueEvents
from gateway.webhooks.timings import DueTimings
from tests.store.tables.records import written
from tests.support import START, World, running_gateway
from tests.webhooks.support import ALLOWED

DAY = 86_400.0
HOURLY = BasicSchedule(3600)
GRACE = timedelta(minutes=10)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_gateway(tmp_path, **ALLOWED) as running:
        await running.services.clients.add(slug="acme", name="Acme", plan="free")
        yield running


async def listen(world: World) -> None:
    await world.services.webhooks.endpoints.add("acme", url="http://127.0.0.1:1/")


def due_events(world: World, *, is_current: bool = True) -> DueEvents:
    return DueEvents(
        world.services.store,
        world.clock,
        lambda _: is_current,
        grace=GRACE,
        timings=DueTimings(late=0.0),
    )


async def hourly(world: World) -> str:
    """A connection that syncs each hour, from now on; returns our id."""
    ours, theirs = await world.mapped_connection()
    # Airbyte says so too: the statuses may be read again at any time.
    connections = world.sandbox.world.connections
    schedule = {"scheduleType": "basic", "basicTiming": "Every 1 HOURS"}
    connections[theirs] = dataclasses.replace(connections[theirs], schedule=schedule)
    told = ToldStatus(theirs, "active", HOURLY)
    await world.services.store.statuses.record([told], checked_at=format_time(world.clock.now()))
    return ours


async def told(world: World) -> list[str]:
    return [event for event, _ in await written(world.services.store)]


async def test_a_late_sync_is_told_once_for_each_of_its_times(world: World) -> None:
    ours = await hourly(world)
    await listen(world)
    looking = due_events(world)

    await looking.look()
    assert await told(world) == []
    world.clock.advance(GRACE.total_seconds() + 1)
    for each in (looking, looking, due_events(world)):
        await each.look()

    ((event, data),) = await written(world.services.store)
    assert (event, data["id"], data["next_sync_at"]) == ("connection.late", ours, format_time(START))


async def test_a_sync_that_is_late_for_weeks_is_not_told_again_once_its_event_was_deleted(world: World) -> None:
    await hourly(world)
    await listen(world)
    world.clock.advance(DAY)
    await due_events(world).look()
    assert await told(world) == ["connection.late"]

    world.clock.advance(14 * DAY)
    await world.services.store.database.write(lambda transaction: transaction.execute_fetchall("DELETE FROM events"))
    await due_events(world).look()

    assert await told(world) == []


async def test_no_sync_is_called_late_from_old_figures(world: World) -> None:
    await hourly(world)
    await listen(world)
    world.clock.advance(DAY)

    await due_events(world, is_current=False).look()

    assert await told(world) == []


async def test_a_webhook_is_not_told_of_what_was_late_before_it(world: World) -> None:
    await hourly(world)
    world.clock.advance(DAY)
    await listen(world)

    await due_events(world).look()

    assert await told(world) == []


async def test_a_key_that_ends_is_told_fourteen_and_three_days_before(world: World) -> None:
    await listen(world)
    for expires in ("20d", "10d", "2d", "14d"):
        await world.key(expires=expires)
    await world.key()
    keys = await world.services.store.api_keys.all()
    looking = due_events(world)
    seen = []
    for _ in range(20):
        before = len(await written(world.services.store))
        await looking.look()
        seen.append([data["id"] for _, data in (await written(world.services.store))[before:]])
        world.clock.advance(DAY)

    days = {day: found for day, found in enumerate(seen) if found}
    assert days == {6: [keys[0].id], 7: [keys[1].id], 11: [keys[3].id], 17: [keys[0].id]}
    assert set(await told(world)) == {"key.created", "key.expiring"}


async def test_a_disabled_clients_webhook_is_told_once_the_client_is_enabled(world: World) -> None:
    await listen(world)
    await world.key(expires="15d")
    await world.services.clients.disable("acme")
    looking = due_events(world)
    world.clock.advance(2 * DAY)

    assert not await world.services.store.webhooks.is_any_listening()
    await looking.look()
    assert await told(world) == ["key.created"]
    await world.services.clients.enable("acme")
    await looking.look()

    assert await told(world) == ["key.created", "key.expiring"]


async def test_without_a_webhook_nothing_is_looked_for(world: World) -> None:
    await hourly(world)
    await world.key(expires="2d")
    world.clock.advance(DAY)

    await due_events(world).look()

    assert await told(world) == []
