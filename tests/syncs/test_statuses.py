"""Wherever a connection's status is read, its schedule is stored with it."""

import dataclasses
from collections.abc import Awaitable, Callable

import pytest

from gateway.doctor.connections import check_mapped
from gateway.models import BasicSchedule, Schedule
from gateway.provisioning.keys import NewKey
from tests.support import World, bearer, quiet

HOURLY = {"scheduleType": "basic", "basicTiming": "Every 1 HOURS"}


async def read_hourly(world: World, key: NewKey, theirs: str) -> None:
    del theirs
    world.clock.advance(4000)
    await world.http.get("/api/v1/connections", headers=bearer(key))
    await quiet()


async def run_doctor(world: World, key: NewKey, theirs: str) -> None:
    del key, theirs
    assert [finding async for finding in check_mapped(world.services)]


async def trigger(world: World, key: NewKey, theirs: str) -> None:
    connections = world.sandbox.world.connections
    connections[theirs] = dataclasses.replace(connections[theirs], status="inactive")
    (ours,) = await world.services.store.connections.all()
    answer = await world.http.post(f"/api/v1/connections/{ours.id}/sync", headers=bearer(key))
    assert answer.status_code == 400


async def discover(world: World, key: NewKey, theirs: str) -> None:
    del key
    await world.services.discovery.connections(world.sandbox.world.connections[theirs].workspace_id)
    await quiet()


async def map_again(world: World, key: NewKey, theirs: str) -> None:
    del key
    (ours,) = await world.services.store.connections.all()
    await world.services.connections.map(ours.id, theirs)


async def stored_schedule(world: World) -> Schedule | None:
    (row,) = await world.services.store.connections.all()
    return row.schedule


@pytest.mark.sqlite_only
@pytest.mark.parametrize("read", [read_hourly, run_doctor, trigger, discover, map_again])
async def test_a_schedule_that_changed_is_stored_with_the_status(
    world: World, read: Callable[[World, NewKey, str], Awaitable[None]]
) -> None:
    key = await world.client_with_key()
    _, theirs = await world.mapped_connection()
    connections = world.sandbox.world.connections
    connections[theirs] = dataclasses.replace(connections[theirs], schedule=HOURLY)
    assert await stored_schedule(world) != BasicSchedule(3600)

    await read(world, key, theirs)

    assert await stored_schedule(world) == BasicSchedule(3600)


async def test_an_imported_connection_has_its_schedule(world: World) -> None:
    await world.client_with_key()
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    world.sandbox.world.add_connection(workspace, schedule=HOURLY)

    assert [each async for each in world.services.connections.import_workspace("acme", workspace)]

    assert await stored_schedule(world) == BasicSchedule(3600)
