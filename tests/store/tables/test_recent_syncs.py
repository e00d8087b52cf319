"""The newest ended syncs of each connection, and what they come to beside it."""

import msgspec
import pytest

from gateway.models import Client, Connection
from gateway.store import KEPT_RECENT, EndedSync, LastSync, Store
from tests.store.tables.records import NOW, a_connection

ONE = "00000000-0000-4000-8000-000000000001"
TWO = "00000000-0000-4000-8000-000000000002"

Figures = tuple[str, int | None, int | None]
"""Of one sync: its status, rows and bytes."""

MOVED: Figures = ("succeeded", 10, 100)
EMPTY: Figures = ("succeeded", 0, 0)
FAILED: Figures = ("failed", 0, 0)
UNKNOWN: Figures = ("succeeded", None, None)


def syncs(*figures: Figures, airbyte_id: str = ONE) -> list[EndedSync]:
    """Syncs of a connection, one a day, oldest first."""
    return [
        EndedSync(airbyte_id, day, f"2026-04-{day:02}", f"2026-04-{day:02}T01", *each)
        for day, each in enumerate(figures, 1)
    ]


async def record(store: Store, told: list[EndedSync]) -> None:
    await store.last_syncs.record([], ended=told)


async def stored(store: Store, connection_id: str = "conn_1") -> Connection:
    return await store.connections.any_by_id(connection_id)


@pytest.mark.parametrize(
    ("figures", "warning"),
    [
        ([*[MOVED] * 10, EMPTY], "no_data"),
        ([*[MOVED] * 10, ("succeeded", 0, None)], "no_data"),
        ([FAILED, *[MOVED] * 9, EMPTY], "no_data"),
        ([*[MOVED] * 10, UNKNOWN], None),
        ([*[MOVED] * 10, ("succeeded", 0, 5)], None),
        ([*[MOVED] * 10, FAILED], None),
        ([*[MOVED] * 11], None),
        ([*[MOVED] * 9, EMPTY, EMPTY], None),
        ([EMPTY, *[MOVED] * 9, EMPTY], None),
        ([*[MOVED] * 10, EMPTY, MOVED], None),
        ([EMPTY, *[MOVED] * 10, EMPTY], "no_data"),
        ([*[MOVED] * 9, EMPTY], None),
        ([*[FAILED] * 10, EMPTY], None),
        ([*[UNKNOWN] * 10, EMPTY], None),
    ],
)
async def test_no_data_is_one_empty_success_after_ten_syncs_without_any(
    store: Store, acme: Client, figures: list[Figures], warning: str | None
) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))

    await record(store, syncs(*figures))

    assert (await stored(store)).warning == warning


async def test_what_comes_one_by_one_comes_to_the_same(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))

    for sync in reversed(syncs(EMPTY, *[MOVED] * 10, EMPTY)):
        await record(store, [sync])

    assert (await stored(store)).warning == "no_data"
    assert (await stored(store)).last_ended_at == "2026-04-12T01"


async def test_each_connection_keeps_its_newest_eleven(store: Store, acme: Client, other: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await store.connections.add(a_connection(other, "conn_2", TWO))
    ours, theirs = syncs(*[MOVED] * 15), syncs(MOVED, airbyte_id=TWO)

    await record(store, [*ours, *theirs])

    held = await store.last_syncs.recent([ONE, TWO])
    assert held == {ONE: ours[: -KEPT_RECENT - 1 : -1], TWO: theirs}


async def test_a_sync_that_changed_is_kept_as_it_was_told_last(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    told = syncs(*[MOVED] * 11)
    await record(store, told)

    await record(store, [msgspec.structs.replace(told[-1], rows=0, bytes=0)])

    assert (await stored(store)).warning == "no_data"


async def test_syncs_of_nobody_s_connection_are_not_kept(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))

    await record(store, syncs(MOVED, airbyte_id=TWO))

    assert await store.last_syncs.recent([ONE, TWO]) == {ONE: []}


async def test_another_mapping_begins_without_syncs(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await record(store, syncs(*[MOVED] * 10, EMPTY))

    await store.connections.map(a_connection(acme, "conn_1", TWO))

    assert await store.last_syncs.recent([TWO]) == {TWO: []}
    assert ((await stored(store)).warning, (await stored(store)).last_ended_at) == (None, None)


async def test_what_moves_to_another_client_takes_its_syncs_along(store: Store, acme: Client, other: Client) -> None:
    connection = a_connection(acme, "conn_1", ONE)
    await store.connections.add(connection)
    told = syncs(*[MOVED] * 10, EMPTY)
    await record(store, told)

    await store.connections.move(connection, to_client=other.id, new_id="conn_2", entries=())

    assert await store.last_syncs.recent([ONE]) == {ONE: told[::-1]}
    assert (await stored(store, "conn_2")).warning == "no_data"


async def test_what_is_removed_takes_its_syncs_along(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    await record(store, syncs(MOVED))

    await store.connections.remove(acme.id, "conn_1")

    assert await store.database.fetch_all("SELECT * FROM recent_syncs") == []


async def test_a_withdrawn_sync_takes_all_recent_ones_along(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1", ONE))
    last = LastSync(ONE, 7, NOW, "succeeded")
    await store.last_syncs.record([last], ended=syncs(*[MOVED] * 10, EMPTY))

    await store.last_syncs.withdraw(last)

    assert await store.last_syncs.recent([ONE]) == {ONE: []}
    assert ((await stored(store)).warning, (await stored(store)).last_ended_at) == (None, None)
