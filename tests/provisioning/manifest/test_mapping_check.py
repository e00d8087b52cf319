"""What a manifest maps is looked at in Airbyte first."""

from pathlib import Path

import pytest

from gateway.errors import InvalidInput
from gateway.provisioning.manifest import Manifest, Plan, check_mappings, parse_manifest
from gateway.sandbox import Answer
from tests.provisioning.support import manifests_of, their_connection
from tests.support import NEVER_MAPPED, World

IDS = ("conn_0000000000000001", "conn_0000000000000002")


def table(name: str, airbyte_id: str, workspace_id: str | None = None) -> str:
    workspace = "" if workspace_id is None else f'workspace_id = "{workspace_id}"\n'
    return (
        f'[connections.{name}]\nclient = "acme"\nconnector_type = "shopify"\nlabel = "Shop"\n'
        f'airbyte_id = "{airbyte_id}"\n{workspace}'
    )


async def planned(world: World, folder: Path, *connections: str) -> tuple[Manifest, Plan]:
    path = folder / "manifest.toml"
    path.write_text("\n".join(["format = 1", '[clients.acme]\nname = "Acme"', *connections]))
    file = parse_manifest(path)
    return file, await manifests_of(world).plan(file, prune=False)


async def check(world: World, folder: Path, *connections: str) -> list[str]:
    return await check_mappings(world.services.airbyte, *await planned(world, folder, *connections))


async def test_a_connection_that_airbyte_does_not_know_is_an_error(world: World, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=rf"^connections\.{IDS[0]}\.airbyte_id: Airbyte has no connection"):
        await check(world, tmp_path, table(IDS[0], NEVER_MAPPED))


async def test_a_workspace_that_is_not_the_connections_is_an_error(world: World, tmp_path: Path) -> None:
    theirs = their_connection(world)
    right = world.sandbox.world.connections[theirs].workspace_id
    other = world.sandbox.world.add_workspace("Other").workspace_id

    with pytest.raises(InvalidInput) as refused:
        await check(world, tmp_path, table(IDS[0], theirs, other))

    assert str(refused.value) == (
        f"connections.{IDS[0]}.workspace_id: Airbyte has this connection in workspace {right}"
    )


async def test_a_right_workspace_or_none_is_not_remarked_on(world: World, tmp_path: Path) -> None:
    first, second = their_connection(world), their_connection(world)
    workspace = world.sandbox.world.connections[first].workspace_id

    assert await check(world, tmp_path, table(IDS[0], first, workspace), table(IDS[1], second)) == []


async def test_what_stays_as_it_is_costs_no_call(world: World, tmp_path: Path) -> None:
    await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    workspace = world.sandbox.world.connections[theirs].workspace_id
    world.sandbox.requests.clear()

    assert await check(world, tmp_path, table(ours, theirs, workspace)) == []
    assert not world.sandbox.requests


async def test_while_airbyte_cannot_be_asked_the_rest_is_mapped_unchecked(world: World, tmp_path: Path) -> None:
    world.sandbox.faults.token_endpoint_down = True

    (note,) = await check(world, tmp_path, table(IDS[0], their_connection(world)), table(IDS[1], NEVER_MAPPED))

    assert note.startswith("Airbyte could not be asked (Upstream service unreachable: ")
    assert note.endswith(f"; mapped unchecked: {IDS[0]}, {IDS[1]}")


async def test_an_answer_that_cannot_be_read_leaves_only_that_connection_unchecked(
    world: World, tmp_path: Path
) -> None:
    world.sandbox.faults.answer_with(Answer(200, body=b"{}"), when=lambda _, path: "/connections/" in path)

    with pytest.raises(InvalidInput, match=IDS[1]):
        await check(world, tmp_path, table(IDS[0], their_connection(world)), table(IDS[1], NEVER_MAPPED))
