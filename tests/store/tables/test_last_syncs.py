"""What Airbyte told of connections: their last syncs, and how far refreshing has come."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from gateway.models import Client
from gateway.store import LastSync, Store, ToldStatus
from gateway.store.database import Transaction
from tests.store.tables.records import NOW, a_connection

LATER = "2026-04-02T03:00:00.000Z"
ONE = "00000000-0000-4000-8000-000000000001"
TWO = "00000000-0000-4000-8000-000000000002"
THREE = "00000000-0000-4000-8000-000000000003"


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

    async def waiting() -> list[str]:
        return [row.id for row in await store.last_syncs.waiting_for_backfill()]

    assert await waiting() == ["conn_z", "conn_a", "conn_m"]
    await store.last_syncs.record([], backfilled=[ONE], backfilled_at=NOW)
    assert await waiting() == ["conn_a", "conn_m"]
    await store.last_syncs.require_backfill(airbyte_ids=[ONE, TWO, THREE])
    assert await waiting() == ["conn_z", "conn_a", "conn_m"]


async def test_workspaces_in_use_are_named_once(store: Store, acme: Client) -> None:
    for connection_id, airbyte_id, workspace in [("c1", ONE, "w2"), ("c2", TWO, "w1"), ("c3", THREE, "w2")]:
        connection = a_connection(acme, connection_id, airbyte_id)
        await store.connections.add(msgspec.structs.replace(connection, workspace_id=workspace))
    await store.connections.add(a_connection(acme, "c4"))

    assert await store.last_syncs.workspaces_in_use() == ["w1", "w2"]
    assert await store.connections.mapped_airbyte_ids() == {ONE, TWO, THREE}


async def test_what_housekeeping_wrote_is_seen_by_the_next_look(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    for number in range(1, 20):
        await store.last_syncs.record([LastSync(ONE, number, f"at {number:02}", "running")])
        assert (await store.connections.of_client(acme.id)).last_sync_at == f"at {number:02}"


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


@pytest.mark.parametrize(
    ("known", "told", "kept"),
    [
        ((900, NOW, "succeeded"), (3, LATER, "running"), 3),
        ((900, LATER, "succeeded"), (901, NOW, "running"), 900),
        ((7, NOW, "failed"), (8, NOW, "running"), 8),
    ],
)
async def test_the_newer_sync_is_told_by_its_creation_then_its_id(
    store: Store, acme: Client, known: tuple[int, str, str], told: tuple[int, str, str], kept: int
) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await store.last_syncs.record([LastSync(ONE, *known)])

    await store.last_syncs.record([LastSync(ONE, *told)])

    assert (await store.connections.any_by_id("conn_1")).last_job_id == kept


async def test_an_older_answer_that_is_written_late_does_not_start_a_finished_job_again(
    store: Store, acme: Client
) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await store.last_syncs.record([LastSync(ONE, 7, NOW, "succeeded")])

    await store.last_syncs.record([LastSync(ONE, 7, NOW, "running")])

    assert (await store.connections.any_by_id("conn_1")).last_sync_status == "succeeded"


async def test_a_sync_is_withdrawn_only_while_it_is_the_known_one(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await store.last_syncs.record([LastSync(ONE, 8, LATER, "running")])

    await store.last_syncs.withdraw(LastSync(ONE, 7, NOW, "succeeded"))
    assert (await store.connections.any_by_id("conn_1")).last_job_id == 8
    await store.last_syncs.withdraw(LastSync(ONE, 8, LATER, "running"))
    assert (await store.connections.any_by_id("conn_1")).last_job_id is None


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.last_syncs.require_backfill(workspaces=["work"]),
        lambda store: store.last_syncs.require_backfill(airbyte_ids=[ONE]),
        lambda store: store.statuses.mark_checked(LATER, ["work"]),
        lambda store: store.statuses.record([ToldStatus(ONE, "inactive")], checked_at=LATER),
        lambda store: store.last_syncs.record([LastSync(ONE, 8, LATER, "failed")]),
        lambda store: store.last_syncs.withdraw(LastSync(ONE, 7, NOW, "running")),
    ],
    ids=["workspace", "connection", "checked", "status", "sync", "withdrawn"],
)
async def test_what_is_told_of_one_client_s_connections_leaves_the_others_in_memory(
    store: Store, acme: Client, other: Client, write: Callable[[Store], Awaitable[None]]
) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await store.connections.add(msgspec.structs.replace(a_connection(other, "conn_2", TWO), workspace_id="elsewhere"))
    sync = LastSync(ONE, 7, NOW, "running")
    await store.last_syncs.record([sync], backfilled=[ONE, TWO], backfilled_at=NOW)
    mine, theirs = [await store.connections.of_client(client.id) for client in (acme, other)]

    await write(store)

    assert await store.connections.of_client(other.id) is theirs
    assert await store.connections.of_client(acme.id) != mine
