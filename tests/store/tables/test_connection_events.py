"""What becomes an event when figures of connections are stored: news, once, and in the order in which it happened."""

import asyncio

import msgspec
import pytest

from gateway.errors import StorageUnavailable
from gateway.models import Client, Job
from gateway.store import DatabaseLocation, LastSync, Store, ToldStatus
from gateway.store.database import Transaction
from gateway.syncs.last_sync_recorder import LastSyncRecorder
from tests.store.tables.records import NOW, a_connection, add_webhook, written
from tests.support import HandClock, store_at

ONE = "00000000-0000-4000-8000-000000000001"


def job(number: int, status: str, *, rows: int | None = 10) -> Job:
    """A sync that was created in the minute of its number and took half of it."""
    duration = None if status in {"pending", "running"} else "PT30S"
    return Job(number, ONE, status, "sync", f"2026-04-01T04:{number:02}:00.000Z", rows, rows, duration)


def recorder(store: Store) -> LastSyncRecorder:
    return LastSyncRecorder(store, HandClock())


async def tell(store: Store, *jobs: Job) -> list[str]:
    """Record what Airbyte tells, the newest first; return the types of the events that this wrote."""
    before = len(await written(store))
    await recorder(store).record(sorted(jobs, key=lambda each: -each.job_id))
    return [event for event, _ in (await written(store))[before:]]


@pytest.fixture
async def watched(store: Store, acme: Client) -> Store:
    """A connection at which somebody has looked once, of a client with a webhook."""
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await add_webhook(store, acme)
    await recorder(store).record([job(1, "succeeded")], backfilled=[ONE])
    return store


async def test_a_sync_is_told_when_it_begins_and_when_it_ends(watched: Store) -> None:
    assert await tell(watched, job(1, "succeeded")) == []
    assert await tell(watched, job(2, "pending"), job(1, "succeeded")) == []
    assert await tell(watched, job(2, "running")) == ["sync.started"]
    assert await tell(watched, job(2, "running", rows=20)) == []
    assert await tell(watched, job(2, "failed")) == ["sync.failed"]
    assert await tell(watched, job(2, "failed"), job(1, "succeeded")) == []


async def test_an_event_holds_our_row_of_the_job_and_names_our_connection(watched: Store) -> None:
    await tell(watched, job(2, "cancelled"))

    assert await written(watched) == [
        (event_type, {**msgspec.to_builtins(job(2, "cancelled")), "connection": "conn_1"})
        for event_type in ("sync.started", "sync.cancelled")
    ]
    rows = await watched.database.fetch_all("SELECT at, connection_id FROM events ORDER BY number")
    assert [tuple(row) for row in rows] == [
        ("2026-04-01T04:02:00.000Z", "conn_1"),
        ("2026-04-01T04:02:30.000Z", "conn_1"),
    ]


async def test_no_sync_between_two_looks_is_lost(watched: Store) -> None:
    await tell(watched, job(2, "running"))

    types = await tell(watched, job(4, "running"), job(3, "failed"), job(2, "succeeded"))

    assert types == ["sync.succeeded", "sync.started", "sync.failed", "sync.started"]
    assert [data["jobId"] for _, data in await written(watched)] == [2, 2, 3, 3, 4]


async def test_the_history_of_a_connection_is_no_event(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await store.connections.add(a_connection(acme, "conn_1", ONE))

    assert await tell(store, job(3, "running")) == []
    await recorder(store).record([job(3, "succeeded"), job(2, "failed"), job(1, "failed")], backfilled=[ONE])
    assert await written(store) == []
    assert await tell(store, job(4, "succeeded")) == ["sync.started", "sync.succeeded"]


async def test_what_is_mapped_anew_has_a_history_again(watched: Store) -> None:
    (connection,) = await watched.connections.all()
    await watched.connections.map(connection)

    assert await tell(watched, job(2, "succeeded")) == []


async def test_a_last_sync_that_airbyte_forgot_makes_its_list_history_again(watched: Store) -> None:
    await watched.last_syncs.withdraw(LastSync(ONE, 1, str(job(1, "succeeded").start_time), "succeeded"))

    assert await tell(watched, job(0, "succeeded")) == []


async def test_a_new_webhook_has_connections_looked_at_that_nobody_has_looked_at_yet(
    store: Store, acme: Client
) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await recorder(store).record([job(1, "succeeded")], backfilled=[ONE])
    await store.connections.add(a_connection(acme, "conn_2", "another"))

    async def of_an_older_gateway(transaction: Transaction) -> None:
        await transaction.execute_fetchall("UPDATE connections SET backfilled_at = '2026' WHERE id = 'conn_2'")

    await store.database.write(of_an_older_gateway)
    await add_webhook(store, acme)

    assert [each.id for each in await store.last_syncs.waiting_for_backfill()] == ["conn_2"]
    assert (await store.connections.of_client(acme.id)).is_awaiting_backfill


@pytest.mark.postgresql_only
async def test_two_gateways_that_are_told_the_same_write_it_once(
    watched: Store, database_location: DatabaseLocation
) -> None:
    async with store_at(database_location) as second:
        await asyncio.gather(*(recorder(each).record([job(2, "failed")]) for each in (watched, second) * 3))

    assert [event for event, _ in await written(watched)] == ["sync.started", "sync.failed"]


async def test_a_client_without_a_webhook_has_no_events(store: Store, acme: Client, other: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await add_webhook(store, other)
    await recorder(store).record([], backfilled=[ONE])

    assert await tell(store, job(1, "failed")) == []
    await add_webhook(store, acme, "whk_2")
    assert await tell(store, job(1, "failed")) == []
    await store.clients.disable(acme.id, at=NOW)
    assert await tell(store, job(2, "failed")) == []


async def test_a_sync_that_moved_nothing_is_told_once(watched: Store) -> None:
    for number in range(2, 11):
        await tell(watched, job(number, "succeeded"))

    assert await tell(watched, job(11, "succeeded", rows=0)) == [
        "sync.started",
        "sync.succeeded",
        "connection.no_data",
    ]
    assert (await written(watched))[-1][1]["id"] == "conn_1"
    assert await tell(watched, job(11, "succeeded", rows=0)) == []


async def test_a_status_is_told_when_it_changes(watched: Store) -> None:
    async def told(status: str, at: str) -> list[str]:
        before = len(await written(watched))
        await watched.statuses.record([ToldStatus(ONE, status)], checked_at=at)
        return [data["status"] for _, data in (await written(watched))[before:]]

    assert await told("active", "2026-04-01T04:00:00.000Z") == []
    assert await told("inactive", "2026-04-01T05:00:00.000Z") == ["inactive"]
    assert await told("active", "2026-04-01T04:30:00.000Z") == []
    assert await told("inactive", "2026-04-01T06:00:00.000Z") == []
    assert await told("active", "2026-04-01T07:00:00.000Z") == ["active"]
    assert {event for event, _ in await written(watched)} == {"connection.status_changed"}


async def test_the_first_status_that_airbyte_tells_is_no_change(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    connection = msgspec.structs.replace(a_connection(acme, "conn_1", ONE), status="pending", status_checked_at=None)
    await store.connections.add(connection)

    await store.statuses.record([ToldStatus(ONE, "active")], checked_at=NOW)

    assert await written(store) == []


@pytest.mark.sqlite_only
async def test_figures_are_stored_with_their_events_or_not_at_all(watched: Store) -> None:
    known = await watched.last_syncs.known([ONE])

    async def break_events(transaction: Transaction) -> None:
        await transaction.execute_fetchall("DROP TABLE deliveries")

    await watched.database.write(break_events)
    with pytest.raises(StorageUnavailable):
        await tell(watched, job(2, "failed"))

    assert await watched.last_syncs.known([ONE]) == known
    assert await written(watched) == []
