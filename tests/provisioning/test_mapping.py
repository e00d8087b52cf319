"""Mapping to an Airbyte connection: what is taken over, what is refused, and labels."""

import asyncio

import pytest

from gateway.errors import Duplicate, UnknownRecord
from gateway.provisioning.mapping import label_from
from gateway.sandbox import Answer
from tests.provisioning.support import add, their_connection
from tests.support import NEVER_MAPPED, World, bearer

LABELS = {
    "Shopify → BigQuery": "Shopify",
    "Shopify -> BigQuery": "Shopify",
    "Shopify <> BigQuery": "Shopify",
    "A → B -> C": "A",
    "A -> B → C": "A",
    "A->B": "A->B",
    "Orders": "Orders",
    "  Orders \t database  ": "Orders database",
    "Or\x00de\x1b[31mrs\n": "Or de [31mrs",
    "Or\u202eders\u2028": "Or ders",
    "Küche → Lager": "Küche",
    "x" * 300: "x" * 200,
    "": "Connection",
    "   ": "Connection",
    " → BigQuery": "Connection",
    "\x00\x01": "Connection",
}


def test_a_label_is_the_sources_half_of_airbytes_name() -> None:
    assert {name: label_from(name) for name in LABELS} == LABELS


def test_a_label_is_always_one_that_could_be_given_by_hand() -> None:
    labels = [label_from("x " * (length // 2) + "y" * (length % 2)) for length in range(195, 206)]

    assert [label for label in labels if label != label.strip() or not 1 <= len(label) <= 200] == []


@pytest.mark.parametrize("status", ["active", "inactive", "locked", "deprecated"])
async def test_a_mapping_takes_airbytes_status_and_workspace(world: World, status: str) -> None:
    await world.client_with_key()
    airbyte_id = their_connection(world, status=status)

    mapped = await add(world, airbyte_id=airbyte_id)
    connection = mapped.connection

    assert mapped.warning is None
    assert (connection.airbyte_id, connection.status) == (airbyte_id, status)
    assert connection.workspace_id == next(iter(world.sandbox.world.workspaces))
    assert connection.status_checked_at == "2026-04-01T03:00:00.000Z"


@pytest.mark.parametrize("user_mode", [False, True], ids=["404", "403"])
async def test_what_airbyte_does_not_know_or_show_is_not_mapped(world: World, user_mode: bool) -> None:
    await world.client_with_key()
    world.sandbox.faults.user_mode = user_mode

    with pytest.raises(UnknownRecord, match=f"Airbyte has no connection {NEVER_MAPPED}"):
        await add(world, airbyte_id=NEVER_MAPPED)

    assert await world.services.store.connections.all() == []


async def test_an_airbyte_that_cannot_answer_leaves_the_mapping_pending_until_it_can(world: World) -> None:
    key = await world.client_with_key()
    airbyte_id = their_connection(world)
    world.sandbox.world.add_job(airbyte_id, created_at=world.clock.now().timestamp() - 60)
    world.sandbox.faults.token_endpoint_down = True

    mapped = await add(world, airbyte_id=airbyte_id)
    connection = mapped.connection

    assert (connection.airbyte_id, connection.status, connection.workspace_id) == (airbyte_id, "pending", None)
    assert (mapped.warning or "").startswith("Airbyte could not be asked (Upstream service unreachable: ")

    world.sandbox.faults.token_endpoint_down = False
    world.clock.advance(3600)
    rows = (await world.http.get("/api/v1/connections", headers=bearer(key))).json()["data"]
    assert [(row["status"], row["last_sync_at"]) for row in rows] == [("active", "2026-04-01T02:59:00.000Z")]


async def test_a_new_mapping_knows_its_last_sync_without_being_read(world: World) -> None:
    await world.client_with_key()
    airbyte_id = their_connection(world)
    world.sandbox.world.add_job(airbyte_id, status="failed", created_at=world.clock.now().timestamp() - 60)

    connection = (await add(world, airbyte_id=airbyte_id)).connection

    stored = await world.services.store.connections.any_by_id(connection.id)
    assert (stored.last_sync_at, stored.last_sync_status) == ("2026-04-01T02:59:00.000Z", "failed")


async def test_a_mapping_whose_last_sync_cannot_be_had_is_kept(world: World) -> None:
    await world.client_with_key()
    airbyte_id = their_connection(world)
    world.sandbox.faults.answer_with(Answer.html(404), when=lambda method, path: path.endswith("/jobs"))

    mapped = await add(world, airbyte_id=airbyte_id)
    connection = mapped.connection

    assert mapped.warning is None
    assert (await world.services.store.connections.any_by_id(connection.id)).status == "active"


async def test_one_airbyte_connection_belongs_to_one_client_even_when_two_ask_at_once(world: World) -> None:
    await world.client_with_key("acme")
    await world.client_with_key("globex")
    airbyte_id = their_connection(world)

    outcomes = await asyncio.gather(
        add(world, "acme", airbyte_id=airbyte_id),
        add(world, "globex", airbyte_id=airbyte_id),
        return_exceptions=True,
    )

    assert sorted(isinstance(outcome, Duplicate) for outcome in outcomes) == [False, True]
    assert [row.airbyte_id for row in await world.services.store.connections.all()] == [airbyte_id]


async def test_a_mapping_to_another_clients_connection_is_refused_unasked(world: World) -> None:
    await world.client_with_key("acme")
    await world.client_with_key("globex")
    airbyte_id = their_connection(world)
    await add(world, "acme", airbyte_id=airbyte_id)
    mine = (await add(world, "globex")).connection
    world.sandbox.requests.clear()

    with pytest.raises(Duplicate, match="already mapped"):
        await world.services.connections.map(mine.id, airbyte_id)

    assert not world.sandbox.requests
    assert (await world.services.store.connections.any_by_id(mine.id)).airbyte_id is None


async def test_a_refused_mapping_leaves_the_old_one_in_force(world: World) -> None:
    await world.client_with_key()
    first = their_connection(world)
    mine = (await add(world, airbyte_id=first)).connection
    before = await world.services.store.connections.any_by_id(mine.id)

    with pytest.raises(UnknownRecord):
        await world.services.connections.map(mine.id, NEVER_MAPPED)

    assert await world.services.store.connections.any_by_id(mine.id) == before


async def test_mapping_to_another_forgets_the_first_ones_syncs(world: World) -> None:
    await world.client_with_key()
    first, second = their_connection(world), their_connection(world, status="inactive")
    world.sandbox.world.add_job(first)
    mine = (await add(world, airbyte_id=first)).connection

    await world.services.connections.map(mine.id, second)

    stored = await world.services.store.connections.any_by_id(mine.id)
    assert (stored.airbyte_id, stored.status, stored.last_sync_at) == (second, "inactive", None)
    assert stored.last_job_id is None
