"""GET /api/v1/connections."""

from tests.support import World, bearer


async def test_shows_exactly_the_contract_s_keys_in_its_order(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()

    answer = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert answer.status_code == 200
    assert answer.text == (
        f'{{"data":[{{"id":"{ours}","connector_type":"shopify","label":"Shop","status":"active",'
        '"last_sync_at":null,"last_sync_status":null,"created_at":"2026-04-01T03:00:00.000Z"}]}'
    )


async def test_lists_all_of_the_client_s_own_oldest_first(world: World) -> None:
    key = await world.client_with_key("acme")
    await world.client_with_key("globex")
    own = []
    for _ in range(25):
        own.append((await world.mapped_connection("acme"))[0])
        await world.mapped_connection("globex")

    answer = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert [row["id"] for row in answer.json()["data"]] == own


async def test_a_connection_without_mapping_is_pending(world: World) -> None:
    key = await world.client_with_key()
    await world.services.connections.add("acme", connector_type="stripe", label="Later", airbyte_id=None)

    answer = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert answer.json()["data"][0]["status"] == "pending"
