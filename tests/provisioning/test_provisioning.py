"""What operators do: adding, mapping, importing, creating, rotating and revoking."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import Duplicate, GatewayError, InvalidInput, UnknownRecord, UpstreamUnreachable
from gateway.provisioning.keys import NewKey
from gateway.provisioning.mapping import Mapped, label_from
from gateway.sandbox import Answer
from tests.support import NEVER_MAPPED, World, bearer

DAY = 86_400.0


async def status_with(world: World, key: NewKey) -> int:
    return (await world.http.get("/api/v1/status", headers=bearer(key))).status_code


async def add(world: World, slug: str = "acme", **options: str | None) -> Mapped:
    chosen: dict[str, Any] = {"connector_type": "shopify", "label": "Shop", "airbyte_id": None, **options}
    return await world.services.connections.add(slug, **chosen)


def their_connection(world: World, **options: Any) -> str:
    sandbox = world.sandbox.world
    workspace = next(iter(sandbox.workspaces), None) or sandbox.add_workspace("Work").workspace_id
    return sandbox.add_connection(workspace, **options).connection_id


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Shopify → BigQuery", "Shopify"),
        ("Shopify -> BigQuery", "Shopify"),
        ("Shopify <> BigQuery", "Shopify"),
        ("A → B -> C", "A"),
        ("A -> B → C", "A"),
        ("A->B", "A->B"),
        ("Orders", "Orders"),
        ("  Orders \t database  ", "Orders database"),
        ("Or\x00de\x1b[31mrs\n", "Or de [31mrs"),
        ("Or\u202eders\u2028", "Or ders"),
        ("Küche → Lager", "Küche"),
        ("x" * 300, "x" * 200),
        ("", "Connection"),
        ("   ", "Connection"),
        (" → BigQuery", "Connection"),
        ("\x00\x01", "Connection"),
    ],
)
def test_a_label_is_the_sources_half_of_airbytes_name(name: str, label: str) -> None:
    assert label_from(name) == label


@pytest.mark.parametrize("length", range(195, 206))
def test_a_label_is_always_one_that_could_be_given_by_hand(length: int) -> None:
    label = label_from("x " * (length // 2) + "y" * (length % 2))

    assert label == label.strip()
    assert 1 <= len(label) <= 200


async def test_a_new_client_can_do_nothing_yet(world: World) -> None:
    client = await world.services.clients.add(slug="acme", name="Acme Inc", plan="free")

    assert (client.slug, client.name, client.plan) == ("acme", "Acme Inc", "free")
    assert client.created_at == "2026-04-01T03:00:00.000Z"
    assert await world.services.store.api_keys.of_client(client.id) == []


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


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"label": "Sh\x1bop"}, InvalidInput),
        ({"connector_type": "Shopify"}, InvalidInput),
        ({"airbyte_id": "nonsense"}, InvalidInput),
        ({"slug": "nobody"}, UnknownRecord),
    ],
)
async def test_what_cannot_be_stored_is_refused_before_airbyte_is_asked(
    world: World, options: dict[str, str], error: type[GatewayError]
) -> None:
    await world.client_with_key()

    with pytest.raises(error):
        await add(world, **{"airbyte_id": NEVER_MAPPED, **options})

    assert not world.sandbox.requests
    assert await world.services.store.connections.all() == []


async def test_an_import_tells_of_each_connection_once_it_is_stored(world: World) -> None:
    await world.client_with_key()
    for _ in range(3):
        their_connection(world)
    stored: list[int] = []

    async for each in world.services.connections.import_workspace("acme", next(iter(world.sandbox.world.workspaces))):
        assert each.connection is not None
        assert each.connection.airbyte_id == each.airbyte_id
        stored.append(len(await world.services.store.connections.all()))

    assert stored == [1, 2, 3]


async def test_what_an_interrupted_import_told_of_stays(world: World) -> None:
    await world.client_with_key()
    for _ in range(3):
        their_connection(world)
    workspace = next(iter(world.sandbox.world.workspaces))

    progress = world.services.connections.import_workspace("acme", workspace)
    assert isinstance(progress, AsyncGenerator)
    first = await anext(progress)
    await progress.aclose()

    assert [row.airbyte_id for row in await world.services.store.connections.all()] == [first.airbyte_id]
    rest = [each async for each in world.services.connections.import_workspace("acme", workspace)]
    assert sorted(each.connection is None for each in rest) == [False, False, True]


async def test_connections_that_share_a_source_are_all_imported_with_its_type(world: World) -> None:
    await world.client_with_key()
    shared = world.sandbox.world.connections[their_connection(world, source_type="stripe")]
    other = their_connection(world)
    world.sandbox.world.connections[other] = replace(world.sandbox.world.connections[other], source_id=shared.source_id)

    done = [each async for each in world.services.connections.import_workspace("acme", shared.workspace_id)]

    assert [each.connection.connector_type for each in done if each.connection] == ["stripe", "stripe"]


@pytest.mark.parametrize(
    ("source_type", "connector_type"),
    [("shopify", "shopify"), ("", "custom"), ("My Connector", "custom"), ("a\nb", "custom"), ("x" * 64, "custom")],
)
async def test_a_source_whose_type_is_no_name_is_custom(world: World, source_type: str, connector_type: str) -> None:
    await world.client_with_key()
    their_connection(world, source_type=source_type)

    done = [
        each
        async for each in world.services.connections.import_workspace(
            "acme", next(iter(world.sandbox.world.workspaces))
        )
    ]

    assert [each.connection.connector_type for each in done if each.connection] == [connector_type]


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 40, 101])
@pytest.mark.parametrize("unordered", [False, True], ids=["ordered", "unordered"])
async def test_an_import_is_complete_in_whatever_order_airbyte_tells(world: World, count: int, unordered: bool) -> None:
    await world.client_with_key()
    workspace = world.sandbox.world.add_workspace("Work").workspace_id
    expected = sorted(world.sandbox.world.add_connection(workspace).connection_id for _ in range(count))
    world.sandbox.faults.unordered = unordered

    done = [each async for each in world.services.connections.import_workspace("acme", workspace)]

    assert sorted(each.airbyte_id for each in done) == expected


async def test_an_import_that_airbyte_refuses_says_so(world: World) -> None:
    await world.client_with_key()
    world.sandbox.faults.token_endpoint_down = True

    with pytest.raises(UpstreamUnreachable):
        await anext(world.services.connections.import_workspace("acme", NEVER_MAPPED))


async def test_a_keys_text_is_in_no_representation_of_it(world: World) -> None:
    key = await world.client_with_key()

    assert key.text not in repr(key)
    assert key.text not in repr(key.record)
    assert key.text[9:] not in repr(key)


async def test_both_keys_of_a_rotation_work_until_the_overlap_is_over(world: World) -> None:
    old = await world.client_with_key()

    new = await world.services.keys.rotate(old.record.id, overlap="24h")

    world.clock.advance(DAY - 1)
    assert [await status_with(world, key) for key in (old, new)] == [200, 200]
    world.clock.advance(1)
    assert [await status_with(world, key) for key in (old, new)] == [401, 200]


async def test_a_rotation_without_overlap_ends_the_old_key_at_once(world: World) -> None:
    old = await world.client_with_key()
    assert await status_with(world, old) == 200

    new = await world.services.keys.rotate(old.record.id, overlap="0s")

    assert [await status_with(world, key) for key in (old, new)] == [401, 200]


@pytest.mark.parametrize(
    ("expires", "rotated_after", "overlap", "old_ends", "new_ends"),
    [
        (None, 10, "24h", "2026-04-12T03:00:00.000Z", None),
        ("90d", 0, "24h", "2026-04-02T03:00:00.000Z", "2026-06-30T03:00:00.000Z"),
        ("90d", 80, "24h", "2026-06-21T03:00:00.000Z", "2026-09-18T03:00:00.000Z"),
        ("90d", 89, "7d", "2026-06-30T03:00:00.000Z", "2026-09-27T03:00:00.000Z"),
        ("1d", 0, "0s", "2026-04-01T03:00:00.000Z", "2026-04-02T03:00:00.000Z"),
    ],
    ids=["never", "at once", "late", "the old end comes first", "no overlap"],
)
async def test_the_lives_of_a_rotated_key_and_its_successor(
    world: World, expires: str | None, rotated_after: int, overlap: str, old_ends: str, new_ends: str | None
) -> None:
    old = await world.client_with_key(expires=expires)
    world.clock.advance(rotated_after * DAY)

    new = await world.services.keys.rotate(old.record.id, overlap=overlap)

    assert (await world.services.store.api_keys.any_by_id(old.record.id)).expires_at == old_ends
    assert new.record.expires_at == new_ends
    assert await world.services.store.api_keys.any_by_id(new.record.id) == new.record


async def test_a_successor_has_the_old_keys_name_scope_and_rate(world: World) -> None:
    old = await world.client_with_key(scope="read", rate="600/60")

    new = await world.services.keys.rotate(old.record.id, overlap="24h")

    assert (new.record.name, new.record.scope, new.record.rate) == ("test", "read", old.record.rate)
    assert new.record.id != old.record.id
    assert new.text != old.text


@pytest.mark.parametrize("ending", ["revoked", "expired"])
async def test_a_key_that_is_over_has_no_successor(world: World, ending: str) -> None:
    old = await world.client_with_key(expires="1d")
    if ending == "revoked":
        await world.services.keys.revoke(old.record.id)
    else:
        world.clock.advance(DAY)

    with pytest.raises(InvalidInput, match="revoked or expired"):
        await world.services.keys.rotate(old.record.id, overlap="24h")

    assert len(await world.services.store.api_keys.all()) == 1


async def test_a_refused_overlap_leaves_no_successor_behind(world: World) -> None:
    old = await world.client_with_key()

    with pytest.raises(InvalidInput):
        await world.services.keys.rotate(old.record.id, overlap="soon")

    assert await world.services.store.api_keys.all() == [old.record]


async def test_a_revoked_key_is_refused_on_the_next_request_and_keeps_its_time(world: World) -> None:
    key = await world.client_with_key()
    assert await status_with(world, key) == 200

    revoked = await world.services.keys.revoke(key.record.id)
    world.clock.advance(60)
    again = await world.services.keys.revoke(key.record.id)

    assert await status_with(world, key) == 401
    assert revoked.revoked_at == again.revoked_at == "2026-04-01T03:00:00.000Z"


async def test_a_key_ends_at_its_moment(world: World) -> None:
    key = await world.client_with_key(expires="90d")

    world.clock.advance(90 * DAY - 1)
    assert await status_with(world, key) == 200
    world.clock.advance(1)
    assert await status_with(world, key) == 401


async def test_a_slug_given_to_another_client_makes_no_key_of_the_other(world: World) -> None:
    first = await world.services.clients.add(slug="again", name="First", plan="free")
    await world.services.clients.remove("again")
    second = await world.services.clients.add(slug="again", name="Second", plan="free")

    with pytest.raises(UnknownRecord, match="removed"):
        await world.services.keys.create(
            "again", name="late", scope="full", expires=None, rate=None, client_id=first.id
        )

    assert await world.services.store.api_keys.of_client(second.id) == []
