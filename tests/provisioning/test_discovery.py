"""Discovery of what Airbyte has: read once for all who look, and what it says about mapped connections."""

import asyncio
import dataclasses
from pathlib import Path

from gateway.provisioning.timings import DiscoveryTimings
from gateway.sandbox.faults import Answer
from tests.support import BOUND_SECONDS, World, running_gateway


def reads(world: World, noun: str) -> int:
    return len([each for each in world.sandbox.requests if each.path.endswith(f"/{noun}")])


async def test_whoever_looks_meanwhile_shares_one_reading(world: World) -> None:
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    world.sandbox.world.add_connection(workspace)

    listings = await asyncio.gather(*(world.services.discovery.connections(workspace) for _ in range(5)))

    assert [len(listing.rows) for listing in listings] == [1] * 5
    assert reads(world, "connections") == 2  # the last page is empty


async def test_connections_are_told_by_name_with_their_types(world: World) -> None:
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    for name, source_type in (("beta", "postgres"), ("Alpha", ""), ("gamma", "Not A Slug")):
        world.sandbox.world.add_connection(workspace, source_type, name=name)

    rows = (await world.services.discovery.connections(workspace)).rows

    assert [(row.name, row.connector_type) for row in rows] == [
        ("Alpha", "custom"),
        ("beta", "postgres"),
        ("gamma", "custom"),
    ]


async def test_types_that_cannot_be_read_are_left_open(world: World) -> None:
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    world.sandbox.world.add_connection(workspace, name="Shop")
    world.sandbox.faults.answer_with(Answer.html(500), times=9, when=lambda _, path: path.endswith("/sources"))

    listing = await world.services.discovery.connections(workspace)

    assert [(row.name, row.connector_type) for row in listing.rows] == [("Shop", "")]
    assert listing.problem == ""


async def test_a_workspace_without_a_proper_id_is_passed_over(world: World) -> None:
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    body = b'{"data":[{"workspaceId":"../x","name":"Odd"},{"workspaceId":"%s","name":"Work"}]}' % workspace.encode()
    world.sandbox.faults.answer_with(Answer(200, body=body), when=lambda _, path: path.endswith("/workspaces"))

    listing = await world.services.discovery.workspaces()

    assert [workspace.name for workspace in listing.rows] == ["Work"]


async def test_what_was_mapped_unchecked_is_known_from_then_on(world: World) -> None:
    await world.client_with_key("acme")
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    theirs = world.sandbox.world.add_connection(workspace, status="inactive").connection_id
    world.sandbox.faults.answer_with(Answer.html(502))
    mapped = await world.services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=theirs)
    assert mapped.warning
    world.clock.advance(60)  # a failed sign-in is not tried again at once

    await world.services.discovery.connections(workspace)

    known = await world.services.store.connections.any_by_id(mapped.connection.id)
    assert (mapped.connection.status, mapped.connection.workspace_id) == ("pending", None)
    assert (known.status, known.workspace_id) == ("inactive", workspace)


async def test_a_forbidden_connection_is_not_taken_for_a_vanished_one(world: World) -> None:
    await world.client_with_key("acme")
    _, theirs = await world.mapped_connection()
    world.sandbox.world.forget_connection(theirs)
    world.sandbox.faults.user_mode = True

    await world.services.discovery.connections(next(iter(world.sandbox.world.workspaces)))

    assert [row.mapping for row in await world.services.store.connections.all()] == ["mapped"]


async def test_a_reading_under_way_ends_with_the_gateway(tmp_path: Path) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        async with running_gateway(tmp_path, discovery_timings=DiscoveryTimings(page_wait=0)) as world:
            world.sandbox.faults.get_hang = asyncio.Event()
            discovery = world.services.discovery
            assert (await discovery.workspaces()).is_under_way

    assert not discovery._workspaces.is_under_way  # noqa: SLF001 - asking would begin another one


async def test_what_was_told_while_a_list_was_read_is_not_changed_by_its_end(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, discovery_timings=DiscoveryTimings(page_wait=0)) as world:
        workspace = world.sandbox.world.add_workspace("Work").workspace_id
        world.sandbox.world.add_connection(workspace)
        release = world.sandbox.faults.get_hang = asyncio.Event()
        early = await world.services.discovery.connections(workspace)
        release.set()
        async with asyncio.timeout(BOUND_SECONDS):
            while (told := await world.services.discovery.connections(workspace)).is_under_way:
                await asyncio.sleep(0.01)

    assert (len(told.rows), told.read_at is None) == (1, False)
    assert (len(early.rows), early.read_at, early.is_under_way) == (0, None, True)


async def test_a_connection_that_moved_is_stored_with_the_workspace_it_is_in(world: World) -> None:
    await world.client_with_key("acme")
    ours, theirs = await world.mapped_connection()
    moved = world.sandbox.world.connections[theirs]
    before = moved.workspace_id
    after = world.sandbox.world.add_workspace("After").workspace_id
    world.sandbox.world.connections[theirs] = dataclasses.replace(moved, workspace_id=after)

    await world.services.discovery.connections(before)

    assert (await world.services.store.connections.any_by_id(ours)).workspace_id == after


async def test_a_missing_connection_that_airbyte_does_not_tell_of_is_not_said_to_be_checked(world: World) -> None:
    await world.client_with_key("acme")
    ours, theirs = await world.mapped_connection()
    known = await world.services.store.connections.any_by_id(ours)
    workspace = world.sandbox.world.connections[theirs].workspace_id
    world.sandbox.world.forget_connection(theirs)
    world.sandbox.faults.answer_with(Answer.html(502), times=9, when=lambda _, path: "/connections/" in path)
    world.clock.advance(60)

    await world.services.discovery.connections(workspace)

    assert await world.services.store.connections.any_by_id(ours) == known
