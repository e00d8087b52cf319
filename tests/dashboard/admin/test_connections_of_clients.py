"""The connections of all clients, and which of them cannot be synced."""

from gateway.sandbox.faults import Answer
from tests.dashboard.admin.support import CONNECTIONS, OF_CLIENTS
from tests.dashboard.support import signed_in, words
from tests.support import World, bearer


async def test_what_airbyte_deleted_is_flagged(world: World) -> None:
    key = await world.client_with_key("acme")
    (deleted, deleted_id), (forgotten, forgotten_id) = [await world.mapped_connection() for _ in range(2)]
    sound, _ = await world.mapped_connection()
    world.sandbox.world.remove_connection(deleted_id)
    world.sandbox.world.forget_connection(forgotten_id)
    admin = await signed_in(world, None)

    await admin.get(CONNECTIONS)
    answer = await admin.get(f"{OF_CLIENTS}?mapping=vanished")

    listed = (await world.http.get("/api/v1/connections", headers=bearer(key))).json()["data"]
    assert "Deleted in Airbyte: 2." in words(answer)
    assert deleted in answer.text
    assert forgotten in answer.text
    assert sound not in answer.text
    assert {row["id"]: row["status"] for row in listed} == {
        deleted: "deprecated",
        forgotten: "deprecated",
        sound: "active",
    }


async def test_what_is_merely_missing_from_the_list_is_not_flagged(world: World) -> None:
    await world.client_with_key("acme")
    await world.mapped_connection()
    empty = Answer(200, body=b'{"data":[],"next":"","previous":""}')
    world.sandbox.faults.answer_with(empty, when=lambda _, path: path.endswith("/connections"))
    admin = await signed_in(world, None)

    await admin.get(CONNECTIONS)

    assert [row.mapping for row in await world.services.store.connections.all()] == ["mapped"]


async def test_what_is_unmapped_is_flagged(world: World) -> None:
    await world.client_with_key("acme")
    await world.services.connections.add("acme", connector_type="shopify", label="Later", airbyte_id=None)
    await world.mapped_connection()
    admin = await signed_in(world, None)

    everything, unmapped = await admin.get(OF_CLIENTS), await admin.get(f"{OF_CLIENTS}?mapping=unmapped")

    assert "Not mapped to Airbyte yet: 1." in words(everything)
    assert "Later" in words(unmapped)
    assert "Shop" not in words(unmapped).replace("shopify", "")


async def test_the_list_of_clients_needs_no_airbyte(world: World) -> None:
    await world.client_with_key("acme")
    await world.mapped_connection()
    admin = await signed_in(world, None)
    asked = len(world.sandbox.requests)

    answer = await admin.get(OF_CLIENTS)

    assert "Shop Acme shopify active" in words(answer)
    assert len(world.sandbox.requests) == asked
