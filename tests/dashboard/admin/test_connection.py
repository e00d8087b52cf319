"""One connection of a client: renaming, mapping, removing."""

import pytest

from tests.dashboard.admin.support import CONNECTIONS, airbyte_down, theirs, workspace
from tests.dashboard.support import signed_in, words
from tests.support import World, bearer


async def test_a_connection_is_renamed(world: World) -> None:
    key = await world.client_with_key("acme")
    connection, _ = await world.mapped_connection()
    admin = await signed_in(world, None)

    answer = await admin.post(f"{CONNECTIONS}/{connection}/rename", data={"label": "Web shop"})
    refused = await admin.post(f"{CONNECTIONS}/{connection}/rename", data={"label": "\u200b"})

    listed = (await world.http.get("/api/v1/connections", headers=bearer(key))).json()["data"]
    assert answer.headers["location"].endswith(f"{connection}?done=renamed")
    assert [row["label"] for row in listed] == ["Web shop"]
    assert refused.status_code == 400


async def test_a_vanished_one_is_mapped_to_one_that_nobody_has(world: World) -> None:
    key = await world.client_with_key("acme")
    connection, old = await world.mapped_connection()
    _, taken = await world.mapped_connection()
    place = next(iter(world.sandbox.world.workspaces))
    new = theirs(world, place, "Replacement → Warehouse")
    world.sandbox.world.remove_connection(old)
    admin = await signed_in(world, None)

    page = await admin.get(f"{CONNECTIONS}/{connection}")
    answer = await admin.post(f"{CONNECTIONS}/{connection}/map", data={"airbyte_id": new})

    synced = await world.http.post(f"/api/v1/connections/{connection}/sync", headers=bearer(key))
    assert "Replacement → Warehouse" in words(page)
    assert f'value="{new}"' in page.text
    assert f'value="{taken}"' not in page.text
    assert answer.headers["location"].endswith(f"{connection}?done=mapped")
    assert synced.json()["job"]["connectionId"] == new


async def test_it_says_that_what_it_is_mapped_to_is_gone(world: World) -> None:
    await world.client_with_key("acme")
    connection, old = await world.mapped_connection()
    world.sandbox.world.remove_connection(old)
    admin = await signed_in(world, None)
    await admin.get(CONNECTIONS)

    answer = await admin.get(f"{CONNECTIONS}/{connection}")

    assert "This connection was deleted in Airbyte" in words(answer)


async def test_a_mapping_that_is_taken_is_refused(world: World) -> None:
    await world.client_with_key("acme")
    await world.client_with_key("globex")
    _, taken = await world.mapped_connection("acme")
    connection, own = await world.mapped_connection("globex")
    admin = await signed_in(world, None)

    answer = await admin.post(f"{CONNECTIONS}/{connection}/map", data={"airbyte_id": taken})

    assert answer.status_code == 400
    assert f"The Airbyte connection {taken} is already mapped to a connection" in words(answer)
    assert (await world.services.store.connections.any_by_id(connection)).airbyte_id == own


async def test_mapping_needs_no_airbyte(world: World) -> None:
    await world.client_with_key("acme")
    connection = (
        await world.services.connections.add("acme", connector_type="shopify", label="Later", airbyte_id=None)
    ).connection
    new = theirs(world, workspace(world), "New")
    admin = await signed_in(world, None)
    airbyte_down(world)

    page = await admin.get(f"{CONNECTIONS}/{connection.id}")
    answer = await admin.post(f"{CONNECTIONS}/{connection.id}/map", data={"airbyte_id": new})

    assert page.status_code == 200
    assert "cannot be read" in words(page)
    assert answer.headers["location"].endswith("?done=unchecked")


async def test_a_connection_is_removed(world: World) -> None:
    key = await world.client_with_key("acme")
    connection, _ = await world.mapped_connection()
    admin = await signed_in(world, None)
    asked = await admin.get(f"{CONNECTIONS}/{connection}")

    answer = await admin.post(f"{CONNECTIONS}/{connection}/remove", data={})

    gone = await world.http.post(f"/api/v1/connections/{connection}/sync", headers=bearer(key))
    assert "From the next request on, its id gets 404" in words(asked)
    assert answer.headers["location"].endswith("of-clients?done=removed")
    assert gone.status_code == 404


@pytest.mark.parametrize("action", ["rename", "map", "remove"])
async def test_an_unknown_connection_is_not_found(world: World, action: str) -> None:
    admin = await signed_in(world, None)

    assert (await admin.get(f"{CONNECTIONS}/conn_0000000000000000")).status_code == 404
    assert (await admin.post(f"{CONNECTIONS}/conn_0000000000000000/{action}", data={})).status_code == 404
