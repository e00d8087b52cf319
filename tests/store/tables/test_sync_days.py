"""Days of syncs: whose they are, what replaces them and when they are forgotten."""

from datetime import date

import pytest

from gateway.models import Client, ClientMonths, Connection, MonthCounts, SyncDay, TwoMonths
from gateway.store import Store
from gateway.store.pruning import PRUNE_STEP
from tests.support import sqlite_of

NOW = "2026-04-01T03:00:00.000Z"
MONDAY, TUESDAY, WEDNESDAY, THURSDAY = "2026-03-30", "2026-03-31", "2026-04-01", "2026-04-02"


def a_day(day: str = MONDAY, succeeded: int = 1, airbyte_id: str = "airbyte-1") -> SyncDay:
    return SyncDay(airbyte_id, day, succeeded, failed=2, other=3, rows=4, bytes=5)


async def map_connection(store: Store, client: Client, airbyte_id: str | None) -> str:
    connection_id = f"conn_{airbyte_id}"
    connection = Connection(
        connection_id, client.id, "shopify", "Shop", "active", created_at=NOW, airbyte_id=airbyte_id
    )
    await store.connections.add(connection)
    return connection_id


@pytest.fixture
async def acme(store: Store, acme: Client) -> Client:
    """With a connection mapped to airbyte-1."""
    await map_connection(store, acme, "airbyte-1")
    return acme


async def put(store: Store, *days: SyncDay, first: str = MONDAY, before: str = THURSDAY, read_upto: str = NOW) -> None:
    await store.sync_days.replace(days[0].airbyte_id, days, first=first, before=before, read_upto=read_upto)


async def days(store: Store, client: Client, *airbyte_ids: str, since: str = "") -> dict[str, int]:
    found = await store.sync_days.of_client(client.id, airbyte_ids or ("airbyte-1",), since=since)
    return {day.day: day.succeeded for day in found}


async def all_days(store: Store) -> list[tuple[str, str]]:
    rows = await store.database.fetch_all("SELECT airbyte_id, day FROM sync_days ORDER BY 1, 2")
    return [(row["airbyte_id"], row["day"]) for row in rows]


async def test_a_day_comes_back_as_it_was_written(store: Store, acme: Client) -> None:
    await put(store, a_day())

    assert await store.sync_days.of_client(acme.id, ["airbyte-1"], since=MONDAY) == [a_day()]


async def test_only_days_from_the_one_asked_for_on(store: Store, acme: Client) -> None:
    await put(store, a_day(MONDAY), a_day(TUESDAY), a_day(WEDNESDAY))

    assert (await days(store, acme, since=TUESDAY)).keys() == {TUESDAY, WEDNESDAY}


async def test_a_client_sees_days_of_its_own_connections_alone(store: Store, acme: Client, other: Client) -> None:
    await map_connection(store, other, "airbyte-2")
    await put(store, a_day(MONDAY))
    await put(store, a_day(TUESDAY, airbyte_id="airbyte-2"))

    asked_for = ("airbyte-1", "airbyte-2")

    assert (await days(store, acme, *asked_for)).keys() == {MONDAY}
    assert (await days(store, other, *asked_for)).keys() == {TUESDAY}


async def test_only_the_connections_asked_for(store: Store, acme: Client) -> None:
    await map_connection(store, acme, "airbyte-2")
    await put(store, a_day(MONDAY))
    await put(store, a_day(TUESDAY, airbyte_id="airbyte-2"))

    assert (await days(store, acme, "airbyte-2")).keys() == {TUESDAY}


async def test_a_replacement_takes_the_place_of_its_days_and_of_no_others(store: Store, acme: Client) -> None:
    await map_connection(store, acme, "airbyte-2")
    await put(store, a_day(TUESDAY, 9, airbyte_id="airbyte-2"))
    await put(store, a_day(MONDAY, 1), a_day(TUESDAY, 1), a_day(WEDNESDAY, 1), a_day(THURSDAY, 1))

    await put(store, a_day(TUESDAY, 2), first=TUESDAY, before=THURSDAY)

    assert await days(store, acme) == {MONDAY: 1, TUESDAY: 2, THURSDAY: 1}
    assert await days(store, acme, "airbyte-2") == {TUESDAY: 9}


async def test_how_far_was_read_is_told_of_what_was_read(store: Store, acme: Client) -> None:
    await put(store, a_day(), read_upto="2026-03-30T00:00:00.000Z")
    await put(store, a_day(), read_upto=NOW)

    assert await store.sync_days.read_upto(["airbyte-1", "airbyte-2"]) == {"airbyte-1": NOW}


async def test_a_connection_without_syncs_was_read_all_the_same(store: Store, acme: Client) -> None:
    await store.sync_days.replace("airbyte-1", [], first=MONDAY, before=THURSDAY, read_upto=NOW)

    assert await store.sync_days.read_upto(["airbyte-1"]) == {"airbyte-1": NOW}
    assert await days(store, acme) == {}


async def test_pruning_forgets_old_days_and_keeps_how_far_was_read(store: Store, acme: Client) -> None:
    await put(store, a_day(MONDAY), a_day(TUESDAY))

    await store.sync_days.prune("2026-03-30T12:00:00.000Z")

    assert await days(store, acme) == {TUESDAY: 1}
    assert await store.sync_days.read_upto(["airbyte-1"]) == {"airbyte-1": NOW}


@pytest.mark.parametrize("end", ["removed", "mapped to another"])
async def test_pruning_forgets_all_about_a_connection_that_is_no_longer_mapped(
    store: Store, acme: Client, end: str
) -> None:
    second = await map_connection(store, acme, "airbyte-2")
    await put(store, a_day(WEDNESDAY))
    await put(store, a_day(WEDNESDAY, airbyte_id="airbyte-2"))
    if end == "removed":
        await store.connections.remove(acme.id, second)
    else:
        connection = await store.connections.any_by_id(second)
        await store.connections.map(
            Connection(second, acme.id, "shopify", "Shop", "active", connection.created_at, airbyte_id="airbyte-3")
        )

    await store.sync_days.prune(MONDAY)

    assert await all_days(store) == [("airbyte-1", WEDNESDAY)]
    assert (await store.sync_days.read_upto(["airbyte-1", "airbyte-2"])).keys() == {"airbyte-1"}


async def test_a_connection_without_mapping_hides_no_other_from_pruning(store: Store, acme: Client) -> None:
    """SQL's NOT IN is never true where the list holds a NULL."""
    await map_connection(store, acme, None)
    await put(store, a_day(WEDNESDAY, airbyte_id="airbyte-2"))

    await store.sync_days.prune(MONDAY)

    assert await all_days(store) == []
    assert await store.sync_days.read_upto(["airbyte-2"]) == {}


@pytest.mark.sqlite_only
async def test_reading_and_pruning_leave_the_caches_alone(store: Store, acme: Client) -> None:
    epoch = sqlite_of(store).watch.epoch()

    await put(store, *(a_day(f"2025-{number:04}") for number in range(PRUNE_STEP + 1)), first="", before="3000")
    await store.sync_days.prune(MONDAY)

    assert await all_days(store) == []
    assert sqlite_of(store).watch.epoch() == epoch


async def test_two_months_are_told_of_each_connection_and_of_all(store: Store, acme: Client, other: Client) -> None:
    second = await map_connection(store, acme, "airbyte-2")
    await map_connection(store, other, "airbyte-3")
    for airbyte_id in ("airbyte-1", "airbyte-2", "airbyte-3"):
        one_of_each = [a_day(day, 1, airbyte_id) for day in ("2026-01-31", "2026-02-01", "2026-02-28", "2026-03-01")]
        await put(store, *one_of_each, first="2026-01-01", before="2026-05-01")
    await put(
        store,
        a_day("2026-03-31", 7, "airbyte-2"),
        a_day("2026-04-01", 1, "airbyte-2"),
        first="2026-03-02",
        before="2026-05-01",
    )

    months = await store.sync_days.months_of(acme.id, date(2026, 3, 31))

    last = MonthCounts(syncs=12, rows=8, bytes=10)
    assert months.connections == {
        "conn_airbyte-1": TwoMonths(MonthCounts(6, 4, 5), last),
        second: TwoMonths(MonthCounts(18, 8, 10), last),
    }
    assert months.total == TwoMonths(MonthCounts(24, 12, 15), MonthCounts(24, 16, 20))


@pytest.mark.parametrize(
    ("today", "this", "last"),
    [
        (date(2026, 1, 1), 0, 1),
        (date(2026, 1, 31), 0, 1),
        (date(2025, 12, 31), 1, 0),
        (date(2026, 2, 28), 0, 0),
    ],
)
async def test_a_month_ends_with_its_last_day(store: Store, acme: Client, today: date, this: int, last: int) -> None:
    await put(store, a_day("2025-12-31"), first="2025-12-01", before="2026-05-01")

    total = (await store.sync_days.months_of(acme.id, today)).total

    assert (total.this.rows, total.last.rows) == (4 * this, 4 * last)


async def test_months_without_a_sync_are_zero(store: Store, acme: Client) -> None:
    assert await store.sync_days.months_of(acme.id, date(2026, 3, 31)) == ClientMonths(TwoMonths(), {})


async def test_the_first_counted_day_is_one_of_the_client_s_own(store: Store, acme: Client, other: Client) -> None:
    await map_connection(store, other, "airbyte-2")
    await put(store, a_day(MONDAY, airbyte_id="airbyte-2"))
    assert await store.sync_days.first_day_of(acme.id) is None

    await put(store, a_day(TUESDAY), a_day(WEDNESDAY))

    assert await store.sync_days.first_day_of(acme.id) == TUESDAY
