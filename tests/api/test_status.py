"""GET /api/v1/status."""

from tests.support import World, bearer


async def test_tells_the_client_its_connections_and_its_newest_sync(world: World) -> None:
    key = await world.client_with_key("acme")
    _, airbyte_id = await world.mapped_connection("acme")
    world.sandbox.world.add_job(airbyte_id, status="succeeded", created_at=world.clock.now().timestamp())
    world.clock.advance(30)

    answer = await world.http.get("/api/v1/status", headers=bearer(key))

    assert answer.status_code == 200
    assert answer.text == (
        '{"client":{"name":"Acme","slug":"acme","plan":"free","created_at":"2026-04-01T03:00:00.000Z"},'
        '"connections":1,"last_sync_at":"2026-04-01T03:00:00.000Z"}'
    )


async def test_a_client_that_never_synced_has_null(world: World) -> None:
    key = await world.client_with_key("acme")

    answer = await world.http.get("/api/v1/status", headers=bearer(key))

    assert answer.json()["connections"] == 0
    assert answer.json()["last_sync_at"] is None


async def test_head_has_the_headers_of_get_and_no_body(world: World) -> None:
    key = await world.client_with_key("acme")
    got = await world.http.get("/api/v1/status", headers=bearer(key))

    answer = await world.http.head("/api/v1/status", headers=bearer(key))

    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-length"] == got.headers["content-length"]
