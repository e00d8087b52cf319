"""Connections in the store: whose they are, and what they are mapped to."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from gateway.errors import Duplicate, UnknownRecord
from gateway.models import Client
from gateway.store import LastSync, Store
from gateway.store.database import ConstraintViolated, Transaction
from tests.store.tables.records import NOW, a_connection

LATER = "2026-04-02T03:00:00.000Z"
ONE = "00000000-0000-4000-8000-000000000001"
TWO = "00000000-0000-4000-8000-000000000002"
THREE = "00000000-0000-4000-8000-000000000003"


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
    with pytest.raises(UnknownRecord) as refusal:
        await store.connections.any_by_id("conn_1")

    assert str(refusal.value) == "there is no connection 'conn_1'; see: gateway connection list"


async def test_a_connection_without_a_client_cannot_be_stored(store: Store, acme: Client) -> None:
    await store.clients.remove(acme.id)

    with pytest.raises(ConstraintViolated):
        await store.connections.add(a_connection(acme, "conn_1", ONE))
