"""What Airbyte told of the statuses, schedules and workspaces of connections."""

import msgspec

from gateway.models import BasicSchedule, Client
from gateway.store import Store, ToldStatus
from tests.store.tables.records import NOW, a_connection

LATER = "2026-04-02T03:00:00.000Z"
ONE = "00000000-0000-4000-8000-000000000001"
TWO = "00000000-0000-4000-8000-000000000002"


async def test_a_status_told_is_kept_with_its_time_and_the_workspace_only_if_told(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))

    await store.statuses.record([ToldStatus(ONE, "inactive"), ToldStatus(TWO, "locked")], checked_at=LATER)
    (row,) = await store.connections.all()
    assert (row.status, row.status_checked_at, row.workspace_id) == ("inactive", LATER, "work")

    await store.statuses.record([ToldStatus(ONE, "active", workspace_id="moved")], checked_at=LATER)
    (row,) = await store.connections.all()
    assert (row.status, row.workspace_id) == ("active", "moved")


async def test_the_oldest_status_check_counts_unasked_connections_as_oldest(store: Store, acme: Client) -> None:
    assert await store.statuses.oldest_check() is None
    await store.connections.add(msgspec.structs.replace(a_connection(acme, "conn_1", ONE), schedule_since=NOW))
    await store.connections.add(a_connection(acme, "conn_2"))
    assert await store.statuses.oldest_check() == NOW

    unasked = msgspec.structs.replace(a_connection(acme, "conn_3", TWO), status_checked_at=None)
    await store.connections.add(unasked)
    assert await store.statuses.oldest_check() == ""

    await store.statuses.mark_checked(LATER, ["work"])
    assert await store.statuses.oldest_check() == LATER
    assert (await store.connections.any_by_id("conn_2")).status_checked_at is None


async def test_what_an_older_gateway_has_checked_counts_as_unchecked_until_it_was_looked_for_again(
    store: Store, acme: Client
) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    assert await store.statuses.oldest_check() == ""

    await store.statuses.record([ToldStatus(ONE, "active")], checked_at=LATER)

    assert await store.statuses.oldest_check() == LATER


async def test_a_status_of_an_older_answer_that_is_written_late_is_passed_over(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await store.statuses.record([ToldStatus(ONE, "inactive")], checked_at="2026-04-01T03:20:00.000Z")

    await store.statuses.record([ToldStatus(ONE, "active", workspace_id="old")], checked_at="2026-04-01T03:10:00.000Z")

    (row,) = await store.connections.all()
    assert (row.status, row.status_checked_at, row.workspace_id) == ("inactive", "2026-04-01T03:20:00.000Z", "work")


async def test_a_clock_that_was_ahead_once_keeps_no_status_from_being_written(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await store.statuses.record([ToldStatus(ONE, "inactive")], checked_at="2027-04-01T03:00:00.000Z")

    await store.statuses.record([ToldStatus(ONE, "active")], checked_at=LATER)

    assert [row.status for row in await store.connections.all()] == ["active"]


async def test_since_when_a_schedule_applies_is_when_it_was_first_told_with_this_status(
    store: Store, acme: Client
) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    daily, hourly = BasicSchedule(86_400), BasicSchedule(3600)
    told = [
        ToldStatus(ONE, "active", daily),
        ToldStatus(ONE, "active", daily),
        ToldStatus(ONE, "active", hourly),
        ToldStatus(ONE, "inactive", hourly),
        ToldStatus(ONE, "inactive", hourly),
        ToldStatus(ONE, "inactive"),
    ]

    since = []
    for hour, status in enumerate(told, 4):
        await store.statuses.record([status], checked_at=f"2026-04-01T{hour:02}:00:00.000Z")
        row = await store.connections.any_by_id("conn_1")
        since.append((row.schedule, int((row.schedule_since or "")[11:13])))

    assert since == [(daily, 4), (daily, 4), (hourly, 6), (hourly, 7), (hourly, 7), (None, 9)]
