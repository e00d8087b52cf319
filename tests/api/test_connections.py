"""GET /api/v1/connections."""

from typing import Any

import pytest

from gateway.provisioning.keys import NewKey
from tests.support import World, bearer, quiet


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


async def test_a_change_shows_in_the_next_list(world: World) -> None:
    key = await world.client_with_key()
    first, _ = await world.mapped_connection()
    before = await world.http.get("/api/v1/connections", headers=bearer(key))
    second, _ = await world.mapped_connection()

    after = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert [row["id"] for row in before.json()["data"]] == [first]
    assert [row["id"] for row in after.json()["data"]] == [first, second]


async def test_a_connection_without_mapping_is_pending(world: World) -> None:
    key = await world.client_with_key()
    await world.services.connections.add("acme", connector_type="stripe", label="Later", airbyte_id=None)

    answer = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert answer.json()["data"][0]["status"] == "pending"


async def scheduled(world: World, key: NewKey) -> list[dict[str, Any]]:
    answer = await world.http.get("/api/v1/connections?include=schedule", headers=bearer(key))
    assert answer.status_code == 200
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


async def refreshed(world: World, key: NewKey) -> list[dict[str, Any]]:
    """What is answered once what the call before began has ended."""
    await scheduled(world, key)
    await quiet()
    return await scheduled(world, key)


async def with_schedule(world: World, schedule: dict[str, str]) -> str:
    """Add a connection with this schedule of Airbyte's, mapped to the client, and return Airbyte's id."""
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    theirs = world.sandbox.world.add_connection(workspace, schedule=schedule).connection_id
    await world.services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=theirs)
    return theirs


DAILY = {"scheduleType": "basic", "basicTiming": "Every 24 HOURS"}


async def test_the_schedule_comes_after_the_contract_s_keys_where_it_is_asked_for(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()

    answer = await world.http.get("/api/v1/connections?include=schedule", headers=bearer(key))

    assert answer.text == (
        f'{{"data":[{{"id":"{ours}","connector_type":"shopify","label":"Shop","status":"active",'
        '"last_sync_at":null,"last_sync_status":null,"created_at":"2026-04-01T03:00:00.000Z",'
        '"schedule":{"type":"manual"},"next_sync_at":null,"late":false,"warning":null}]}'
    )


@pytest.mark.parametrize(
    ("theirs", "ours", "next_sync_at"),
    [
        (DAILY, {"type": "basic", "every_seconds": 86_400}, "2026-04-01T03:00:00.000Z"),
        (
            {"scheduleType": "cron", "cronExpression": "0 0 12 * * ? Europe/Berlin"},
            {"type": "cron", "cron": "0 0 12 * * ? Europe/Berlin"},
            "2026-04-01T10:00:00.000Z",
        ),
        ({"scheduleType": "sometimes"}, None, None),
    ],
)
async def test_the_schedule_of_a_new_mapping_is_known_at_once(
    world: World, theirs: dict[str, str], ours: dict[str, object] | None, next_sync_at: str | None
) -> None:
    key = await world.client_with_key()
    await with_schedule(world, theirs)

    (row,) = await scheduled(world, key)

    assert (row["schedule"], row["next_sync_at"], row["late"]) == (ours, next_sync_at, False)


async def test_an_empty_include_counts_as_none(world: World) -> None:
    key = await world.client_with_key()
    await world.mapped_connection()

    plain = await world.http.get("/api/v1/connections", headers=bearer(key))
    empty = await world.http.get("/api/v1/connections?include=", headers=bearer(key))

    assert empty.content == plain.content


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("include=failure", "include must be schedule"),
        ("include=schedule,schedule", "include must be schedule"),
        ("include=schedule&include=schedule", "include is given more than once"),
    ],
)
async def test_a_wrong_include_is_told_what_is_right(world: World, query: str, message: str) -> None:
    key = await world.client_with_key()

    answer = await world.http.get(f"/api/v1/connections?{query}", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (400, {"error": message})


@pytest.mark.sqlite_only  # a server has a clock of its own for whose refresh it is
async def test_a_sync_that_did_not_begin_in_time_is_late_until_one_begins(world: World) -> None:
    key = await world.client_with_key()
    theirs = await with_schedule(world, DAILY)
    world.sandbox.world.add_job(theirs, created_at=world.clock.now().timestamp())
    late = []
    for seconds in (60, 86_340, 900, 1):
        world.clock.advance(seconds)
        late += [row["late"] for row in await refreshed(world, key)]
    world.sandbox.world.add_job(theirs, status="running")
    world.clock.advance(10)
    late += [row["late"] for row in await refreshed(world, key)]

    assert late == [False, False, False, True, False]


@pytest.mark.sqlite_only  # a server has a clock of its own for whose refresh it is
async def test_nothing_is_called_late_while_the_figures_are_not_current(world: World) -> None:
    key = await world.client_with_key()
    await with_schedule(world, DAILY)
    world.clock.advance(2000)
    assert [row["late"] for row in await refreshed(world, key)] == [True]
    world.sandbox.faults.rate_limited = True
    world.clock.advance(2000)

    assert [row["late"] for row in await refreshed(world, key)] == [False]


async def test_a_sync_that_moved_nothing_unlike_ten_before_it_is_a_warning(world: World) -> None:
    key = await world.client_with_key()
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    theirs = world.sandbox.world.add_connection(workspace).connection_id
    for hours in range(11, 0, -1):
        rows = 0 if hours == 1 else 10
        created_at = world.clock.now().timestamp() - 3600 * hours
        world.sandbox.world.add_job(theirs, created_at=created_at, rows=rows, bytes=rows)
    await world.services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=theirs)

    assert [row["warning"] for row in await scheduled(world, key)] == ["no_data"]


async def test_asking_for_schedules_costs_airbyte_no_call(world: World) -> None:
    key = await world.client_with_key()
    await world.mapped_connection()
    await scheduled(world, key)
    world.sandbox.requests.clear()

    for _ in range(3):
        await scheduled(world, key)

    assert list(world.sandbox.requests) == []
