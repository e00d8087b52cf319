"""Connections in the store: whose they are, what they are mapped to, and what is known of their syncs."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from gateway.errors import Duplicate, Unknown
from gateway.models import Client, Connection
from gateway.store import LastSync, Store
from gateway.store.database import ConstraintViolated, Transaction

NOW = "2026-04-01T03:00:00.000Z"
LATER = "2026-04-02T03:00:00.000Z"
ONE = "00000000-0000-4000-8000-000000000001"
TWO = "00000000-0000-4000-8000-000000000002"
THREE = "00000000-0000-4000-8000-000000000003"


def a_connection(client: Client, connection_id: str = "conn_1", airbyte_id: str | None = None) -> Connection:
    return Connection(
        id=connection_id,
        client_id=client.id,
        connector_type="shopify",
        label="Shop",
        status="active" if airbyte_id else "pending",
        created_at=NOW,
        airbyte_id=airbyte_id,
        workspace_id="work" if airbyte_id else None,
        status_checked_at=NOW if airbyte_id else None,
    )


async def ids(store: Store, client: Client) -> list[str]:
    return [connection.id for connection in (await store.connections.of_client(client.id)).rows]


async def test_a_connection_comes_back_as_it_was_added(store: Store, acme: Client) -> None:
    connection = a_connection(acme, airbyte_id=ONE)

    await store.connections.add(connection)

    assert (await store.connections.of_client(acme.id)).rows == (connection,)
    assert await store.connections.any_by_id("conn_1") == connection


async def test_a_client_sees_its_own_connections_oldest_first(store: Store, acme: Client, other: Client) -> None:
    for connection_id, owner in [("conn_z", acme), ("conn_o", other), ("conn_a", acme), ("conn_m", acme)]:
        await store.connections.add(a_connection(owner, connection_id))

    assert await ids(store, acme) == ["conn_z", "conn_a", "conn_m"]
    assert await ids(store, other) == ["conn_o"]
    assert set((await store.connections.of_client(acme.id)).by_id) == {"conn_z", "conn_a", "conn_m"}
    assert [row.id for row in await store.connections.all()] == ["conn_z", "conn_a", "conn_m", "conn_o"]


async def test_a_client_without_connections_has_none_and_never_synced(store: Store, acme: Client) -> None:
    of_client = await store.connections.of_client(acme.id)

    assert (of_client.rows, of_client.by_id, of_client.last_sync_at) == ((), {}, None)


@pytest.mark.parametrize("owner", ["acme", "other"])
async def test_an_airbyte_connection_is_mapped_once_whoever_asks(
    store: Store, acme: Client, other: Client, owner: str
) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    asking = {"acme": acme, "other": other}[owner]

    with pytest.raises(Duplicate) as refusal:
        await store.connections.add(a_connection(asking, "conn_2", ONE))

    assert str(refusal.value) == f"the Airbyte connection {ONE} is already mapped to a connection"
    assert [row.id for row in await store.connections.all()] == ["conn_1"]


async def test_mapping_to_a_taken_airbyte_connection_changes_nothing(store: Store, acme: Client, other: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await store.connections.add(a_connection(other, "conn_2"))

    with pytest.raises(Duplicate):
        await store.connections.map(a_connection(other, "conn_2", ONE))

    assert (await store.connections.any_by_id("conn_2")).airbyte_id is None


async def test_the_file_itself_refuses_a_second_mapping(store: Store, acme: Client, other: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await store.connections.add(a_connection(other, "conn_2"))

    async def unit(connection: Transaction) -> None:
        await connection.execute_fetchall("UPDATE connections SET airbyte_id = :id", {"id": ONE})

    with pytest.raises(ConstraintViolated):
        await store.database.write(unit)


async def test_any_number_of_connections_may_have_no_mapping(store: Store, acme: Client, other: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1"))
    await store.connections.add(a_connection(acme, "conn_2"))
    await store.connections.add(a_connection(other, "conn_3"))

    assert await store.connections.mapped_airbyte_ids() == set()


async def test_mapping_anew_forgets_what_was_known_of_the_old_mapping(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await store.last_syncs.record([LastSync(ONE, 7, NOW, "succeeded")], backfilled=[ONE], backfilled_at=NOW)

    await store.connections.map(a_connection(acme, "conn_1", TWO))

    assert await store.connections.any_by_id("conn_1") == a_connection(acme, "conn_1", TWO)


async def test_a_new_label_is_read_at_once_and_all_else_stays(store: Store, acme: Client) -> None:
    connection = a_connection(acme, airbyte_id=ONE)
    await store.connections.add(connection)
    assert await ids(store, acme) == ["conn_1"]

    await store.connections.rename(acme.id, "conn_1", label="Web shop")

    assert (await store.connections.of_client(acme.id)).rows == (msgspec.structs.replace(connection, label="Web shop"),)


Act = Callable[[Store, Client], Awaitable[None]]


async def remove_it(store: Store, client: Client) -> None:
    await store.connections.remove(client.id, "conn_1")


async def map_it(store: Store, client: Client) -> None:
    await store.connections.map(a_connection(client, "conn_1", TWO))


async def rename_it(store: Store, client: Client) -> None:
    await store.connections.rename(client.id, "conn_1", label="Renamed")


@pytest.mark.parametrize("act", [remove_it, map_it, rename_it])
async def test_another_clients_id_touches_nothing(store: Store, acme: Client, other: Client, act: Act) -> None:
    connection = a_connection(acme, "conn_1", ONE)
    await store.connections.add(connection)

    await act(store, other)

    assert await store.connections.all() == [connection]
    assert await ids(store, other) == []


async def test_a_removed_connection_is_gone_and_its_airbyte_connection_free(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    assert await ids(store, acme) == ["conn_1"]

    await store.connections.remove(acme.id, "conn_1")
    await store.connections.add(a_connection(acme, "conn_2", ONE))

    assert await ids(store, acme) == ["conn_2"]


async def test_an_unknown_connection_id_is_answered_with_the_way_to_the_known_ones(store: Store) -> None:
    with pytest.raises(Unknown) as refusal:
        await store.connections.any_by_id("conn_1")

    assert str(refusal.value) == "there is no connection 'conn_1'; see: gateway connection list"


async def test_a_connection_without_a_client_cannot_be_stored(store: Store, acme: Client) -> None:
    await store.clients.remove(acme.id)

    with pytest.raises(ConstraintViolated):
        await store.connections.add(a_connection(acme, "conn_1", ONE))


@pytest.mark.parametrize(
    ("known", "told", "kept"),
    [
        ([], [(7, "running")], (7, "running")),
        ([(7, "running")], [(7, "succeeded")], (7, "succeeded")),
        ([(7, "succeeded")], [(8, "running")], (8, "running")),
        ([(8, "running")], [(7, "succeeded")], (8, "running")),
        ([], [(9, "running"), (8, "failed"), (7, "succeeded")], (9, "running")),
        ([], [(7, "succeeded"), (9, "running"), (8, "failed")], (9, "running")),
    ],
)
async def test_only_newer_syncs_are_kept(
    store: Store,
    acme: Client,
    known: list[tuple[int, str]],
    told: list[tuple[int, str]],
    kept: tuple[int, str],
) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await store.last_syncs.record([LastSync(ONE, job, f"at {job}", status) for job, status in known])

    await store.last_syncs.record([LastSync(ONE, job, f"at {job}", status) for job, status in told])

    (row,) = (await store.connections.of_client(acme.id)).rows
    assert (row.last_job_id, row.last_sync_at, row.last_sync_status) == (kept[0], f"at {kept[0]}", kept[1])


async def test_the_last_sync_of_a_client_is_the_newest_of_its_connections(
    store: Store, acme: Client, other: Client
) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await store.connections.add(a_connection(acme, "conn_2", TWO))
    await store.connections.add(a_connection(acme, "conn_never"))
    await store.connections.add(a_connection(other, "conn_3", THREE))

    await store.last_syncs.record(
        [LastSync(ONE, 1, NOW, "failed"), LastSync(TWO, 2, LATER, "running"), LastSync(THREE, 3, "2030", "running")]
    )

    assert (await store.connections.of_client(acme.id)).last_sync_at == LATER


async def test_a_sync_of_a_connection_that_is_nobodys_changes_nothing(store: Store, acme: Client) -> None:
    connection = a_connection(acme, "conn_1", ONE)
    await store.connections.add(connection)

    await store.last_syncs.record([LastSync(TWO, 7, NOW, "succeeded")])

    assert await store.connections.all() == [connection]


async def test_syncs_and_the_point_reached_are_kept_together(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    assert await store.last_syncs.read_upto() is None

    await store.last_syncs.record([LastSync(ONE, 7, NOW, "running")], read_upto=NOW)
    assert await store.last_syncs.read_upto() == NOW

    await store.last_syncs.record([], read_upto=LATER)
    assert await store.last_syncs.read_upto() == LATER
    await store.last_syncs.record([])
    assert await store.last_syncs.read_upto() == LATER


async def test_mapped_connections_wait_for_their_first_question_oldest_first(store: Store, acme: Client) -> None:
    for connection_id, airbyte_id in [("conn_z", ONE), ("conn_pending", None), ("conn_a", TWO), ("conn_m", THREE)]:
        await store.connections.add(a_connection(acme, connection_id, airbyte_id))

    async def waiting(limit: int) -> list[str]:
        return [row.id for row in await store.last_syncs.waiting_for_backfill(limit)]

    assert await waiting(2) == ["conn_z", "conn_a"]
    await store.last_syncs.record([], backfilled=[ONE], backfilled_at=NOW)
    assert await waiting(10) == ["conn_a", "conn_m"]
    await store.last_syncs.require_backfill()
    assert await waiting(10) == ["conn_z", "conn_a", "conn_m"]


async def test_workspaces_in_use_are_named_once(store: Store, acme: Client) -> None:
    for connection_id, airbyte_id, workspace in [("c1", ONE, "w2"), ("c2", TWO, "w1"), ("c3", THREE, "w2")]:
        connection = a_connection(acme, connection_id, airbyte_id)
        await store.connections.add(msgspec.structs.replace(connection, workspace_id=workspace))
    await store.connections.add(a_connection(acme, "c4"))

    assert await store.last_syncs.workspaces_in_use() == ["w1", "w2"]
    assert await store.connections.mapped_airbyte_ids() == {ONE, TWO, THREE}


async def test_a_status_told_is_kept_with_its_time_and_the_workspace_only_if_told(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))

    await store.last_syncs.record_statuses([(ONE, "inactive"), (TWO, "locked")], checked_at=LATER)
    (row,) = await store.connections.all()
    assert (row.status, row.status_checked_at, row.workspace_id) == ("inactive", LATER, "work")

    await store.last_syncs.record_statuses([(ONE, "active")], checked_at=LATER, workspace_id="moved")
    (row,) = await store.connections.all()
    assert (row.status, row.workspace_id) == ("active", "moved")


async def test_the_oldest_status_check_counts_unasked_connections_as_oldest(store: Store, acme: Client) -> None:
    assert await store.last_syncs.oldest_status_check() is None
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await store.connections.add(a_connection(acme, "conn_2"))
    assert await store.last_syncs.oldest_status_check() == NOW

    unasked = msgspec.structs.replace(a_connection(acme, "conn_3", TWO), status_checked_at=None)
    await store.connections.add(unasked)
    assert await store.last_syncs.oldest_status_check() == ""

    await store.last_syncs.mark_statuses_checked(LATER)
    assert await store.last_syncs.oldest_status_check() == LATER
    assert (await store.connections.any_by_id("conn_2")).status_checked_at is None


async def test_what_housekeeping_wrote_is_seen_by_the_next_look(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    for number in range(1, 20):
        await store.last_syncs.record([LastSync(ONE, number, f"at {number}", "running")])
        assert (await store.connections.of_client(acme.id)).last_sync_at == f"at {number}"


async def test_housekeeping_of_a_caller_who_left_is_seen_once_it_is_done(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold_the_writer(_connection: Transaction) -> None:
        begun.set()
        await go_on.wait()

    async def nothing(_connection: Transaction) -> None:
        pass

    holding = asyncio.create_task(store.database.write(hold_the_writer, housekeeping=True))
    await begun.wait()
    caller = asyncio.create_task(store.last_syncs.record([LastSync(ONE, 7, NOW, "running")]))
    await asyncio.wait({caller}, timeout=0)
    caller.cancel()
    await asyncio.wait({caller})
    assert (await store.connections.of_client(acme.id)).last_sync_at is None
    go_on.set()
    await holding
    # Writes happen in order: after this one, the abandoned one is committed.
    await store.database.write(nothing, housekeeping=True)

    assert (await store.connections.any_by_id("conn_1")).last_sync_at == NOW
    assert (await store.connections.of_client(acme.id)).last_sync_at == NOW
