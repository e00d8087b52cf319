"""What operators do with connections, and importing a whole workspace."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import msgspec
import pytest

from gateway.errors import GatewayError, InvalidInput, UnknownRecord, UpstreamUnreachable
from gateway.sandbox import Answer
from tests.provisioning.support import add, add_connection, log, their_connection
from tests.support import NEVER_MAPPED, World, bearer


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


async def test_a_renamed_connection_is_read_by_its_new_label_at_once(world: World) -> None:
    key = await world.client_with_key()
    connection_id = await add_connection(world)
    await world.http.get("/api/v1/connections", headers=bearer(key))

    connection = await world.services.connections.rename(connection_id, label="Web shop")

    assert connection.label == "Web shop"
    (row,) = (await world.http.get("/api/v1/connections", headers=bearer(key))).json()["data"]
    assert (row["id"], row["label"]) == (connection_id, "Web shop")


async def test_a_removed_connection_is_gone_at_once(world: World) -> None:
    key = await world.client_with_key()
    connection_id = await add_connection(world)

    removed = await world.services.connections.remove(connection_id)

    assert removed.id == connection_id
    assert (await world.http.get("/api/v1/connections", headers=bearer(key))).json()["data"] == []


async def test_an_import_takes_nothing_that_airbyte_lists_of_another_workspace(world: World) -> None:
    await world.client_with_key()
    asked = world.sandbox.world.add_workspace("Asked").workspace_id
    mine = world.sandbox.world.add_connection(asked).connection_id
    world.sandbox.world.add_connection(world.sandbox.world.add_workspace("Other").workspace_id)
    rows = [
        f'{{"connectionId":"{row.connection_id}","name":"x","sourceId":"{row.source_id}",'
        f'"workspaceId":"{row.workspace_id}","status":"active"}}'
        for row in world.sandbox.world.connections.values()
    ]
    body = f'{{"data":[{",".join(rows)}]}}'.encode()
    world.sandbox.faults.answer_with(Answer(200, body=body), when=lambda _, path: path.endswith("/connections"))

    imported = [each.airbyte_id async for each in world.services.connections.import_workspace("acme", asked)]

    assert imported == [mine]


@pytest.mark.parametrize("gives_new_id", [False, True])
async def test_a_connection_that_is_moved_is_the_new_client_s_alone_from_the_next_request_on(
    world: World, gives_new_id: bool
) -> None:
    key = await world.client_with_key()
    await world.services.clients.add(slug="globex", name="Globex", plan="free")
    their_key = await world.services.keys.create("globex", name="k", scope="full", expires=None, rate=None)
    before = (await add(world, airbyte_id=their_connection(world))).connection
    for each in (key, their_key):
        await world.http.get("/api/v1/connections", headers=bearer(each))

    moved = await world.services.connections.move(before.id, "globex", gives_new_id=gives_new_id)

    assert (moved.id != before.id) == gives_new_id
    client = await world.services.store.clients.by_slug("globex")
    stored = await world.services.store.connections.any_by_id(moved.id)
    assert (
        stored
        == moved
        == msgspec.structs.replace(stored, airbyte_id=before.airbyte_id, client_id=client.id, label=before.label)
    )
    gone = await world.http.get(f"/api/v1/connections/{before.id}/jobs", headers=bearer(key))
    unknown = await world.http.get("/api/v1/connections/conn_none/jobs", headers=bearer(key))
    assert (gone.status_code, gone.content) == (404, unknown.content)
    assert (await world.http.get("/api/v1/connections", headers=bearer(key))).json() == {"data": []}
    assert (await world.http.get(f"/api/v1/connections/{moved.id}/jobs", headers=bearer(their_key))).status_code == 200
    rows = (await world.http.get("/api/v1/connections", headers=bearer(their_key))).json()["data"]
    assert [row["id"] for row in rows] == [moved.id]


async def test_both_clients_are_told_of_a_move_and_neither_of_the_other(world: World) -> None:
    await world.client_with_key()
    await world.services.clients.add(slug="globex", name="Globex", plan="free")
    before = (await add(world)).connection

    moved = await world.services.connections.move(before.id, "globex", gives_new_id=True)

    for client_id, entry in (
        (before.client_id, ("connection.move-out", f"Shop ({before.id})")),
        (moved.client_id, ("connection.move-in", f"Shop ({moved.id})")),
    ):
        newest = (await world.services.store.activity.of_client(client_id, limit=1))[0]
        assert (newest.action, newest.subject) == entry


async def test_who_started_a_sync_stays_with_the_client_that_did(world: World) -> None:
    key = await world.client_with_key()
    await world.services.clients.add(slug="globex", name="Globex", plan="free")
    before = (await add(world, airbyte_id=their_connection(world))).connection
    await world.http.post(f"/api/v1/connections/{before.id}/sync", headers=bearer(key))
    database = world.services.store.database
    triggers = [dict(row) for row in await database.fetch_all("SELECT * FROM triggers")]

    await world.services.connections.move(before.id, "globex")

    assert [dict(row) for row in await database.fetch_all("SELECT * FROM triggers")] == triggers
    assert triggers[0]["client_id"] == before.client_id


async def test_a_move_to_the_same_client_or_to_nobody_is_refused_and_not_told(world: World) -> None:
    await world.client_with_key()
    connection_id = await add_connection(world)
    before = await log(world)

    for slug, error in (("acme", InvalidInput), ("nobody", UnknownRecord)):
        with pytest.raises(error):
            await world.services.connections.move(connection_id, slug)

    assert await log(world) == before
