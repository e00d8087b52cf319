"""How keys are used: what is counted in memory reaches the file once and whole, and whose it is."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import msgspec
import pytest

from gateway.errors import StorageUnavailable
from gateway.models import ApiKey, Client, HourUsage, KeyUsage
from gateway.store import Store
from gateway.store.database import ConstraintViolated
from gateway.store.pruning import PRUNE_STEP
from gateway.store.tables.usage import Usage
from gateway.times import parse_time
from tests.support import sqlite_of

THREE = "2026-04-01T03:00:00.000Z"
FOUR = "2026-04-01T04:00:00.000Z"
NOON = "2026-04-01T12:00:00.250Z"
THREE_UNIX = parse_time(THREE).timestamp()
NOON_UNIX = parse_time(NOON).timestamp()
EVER = ""


async def add_key(store: Store, client: Client, key_id: str) -> None:
    key = ApiKey(id=key_id, client_id=client.id, start="smrt_…", name="k", scope="full", created_at=THREE)
    await store.api_keys.add(key, digest=key_id.encode())


@pytest.fixture
async def acme(store: Store, acme: Client) -> Client:
    """With the keys key_1 and key_2."""
    for key_id in ("key_1", "key_2"):
        await add_key(store, acme, key_id)
    return acme


def call(
    store: Store,
    key_id: str = "key_1",
    status: int = 200,
    moment: float = THREE_UNIX,
    *,
    address: str | None = None,
    agent: str | None = None,
    times: int = 1,
) -> None:
    """As the middleware does."""
    for _ in range(times):
        if not store.usage.count_again(key_id, moment):
            store.usage.count_first(key_id, moment, address=address, agent=agent)
        if status >= 400:
            store.usage.count_failure(key_id, moment, status)


@contextmanager
def locked_by_another_process(store: Store) -> Iterator[None]:
    with closing(sqlite3.connect(sqlite_of(store).path, isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        yield


def from_outside(store: Store, sql: str) -> None:
    with closing(sqlite3.connect(sqlite_of(store).path, isolation_level=None)) as connection:
        connection.execute(sql)


async def test_nothing_is_written_before_the_flush(store: Store, acme: Client) -> None:
    call(store)

    assert (await store.api_keys.any_by_id("key_1")).last_used_at is None
    assert await store.usage.of_client(acme.id, EVER) == []


async def test_the_latest_use_is_written_with_where_the_first_one_came_from(store: Store, acme: Client) -> None:
    call(store, moment=NOON_UNIX - 0.25, address="192.0.2.1", agent="curl/8")
    call(store, moment=NOON_UNIX, address="192.0.2.2", agent="wget/1")

    await store.usage.flush()

    key = await store.api_keys.any_by_id("key_1")
    assert (key.last_used_at, key.last_used_address, key.last_used_agent) == (NOON, "192.0.2.1", "curl/8")
    assert (await store.api_keys.any_by_id("key_2")).last_used_at is None


async def test_where_a_call_came_from_is_asked_once_between_two_flushes_within_an_hour(
    store: Store, acme: Client
) -> None:
    def asks(key_id: str, moment: float) -> bool:
        return not store.usage.count_again(key_id, moment)

    assert asks("key_1", THREE_UNIX)
    call(store)
    assert not asks("key_1", THREE_UNIX)
    assert not asks("key_1", THREE_UNIX + 3599.999)
    assert asks("key_1", THREE_UNIX + 3600)
    assert asks("key_2", THREE_UNIX)

    await store.usage.flush()

    assert asks("key_1", THREE_UNIX)


async def test_a_later_use_replaces_all_that_is_known_of_an_earlier_one(store: Store, acme: Client) -> None:
    for moment, address, agent in ((THREE_UNIX, "192.0.2.1", "curl/8"), (NOON_UNIX, "192.0.2.2", None)):
        call(store, moment=moment, address=address, agent=agent)
        await store.usage.flush()

    key = await store.api_keys.any_by_id("key_1")
    assert (key.last_used_at, key.last_used_address, key.last_used_agent) == (NOON, "192.0.2.2", None)


async def test_an_earlier_use_that_another_gateway_writes_late_changes_nothing_but_its_counts(
    store: Store, acme: Client
) -> None:
    call(store, moment=NOON_UNIX, address="192.0.2.2")
    await store.usage.flush()
    call(store, moment=THREE_UNIX, address="192.0.2.1")
    await store.usage.flush()

    key = await store.api_keys.any_by_id("key_1")
    assert (key.last_used_at, key.last_used_address) == (NOON, "192.0.2.2")
    assert await store.usage.of_client(acme.id, EVER) == [KeyUsage("key_1", 2, 0, 0)]


async def test_an_answer_that_comes_after_a_flush_is_added_to_its_call(store: Store, acme: Client) -> None:
    call(store)
    await store.usage.flush()
    store.usage.count_failure("key_1", THREE_UNIX, 504)
    await store.usage.flush()

    assert await store.usage.hours(acme.id, EVER) == [HourUsage(THREE, 1, 0, 1)]


@pytest.mark.parametrize(
    ("status", "limited", "errors"),
    [(200, 0, 0), (400, 0, 1), (404, 0, 1), (429, 1, 0), (499, 0, 1), (503, 0, 1)],
)
async def test_a_call_is_limited_an_error_or_neither(
    store: Store, acme: Client, status: int, limited: int, errors: int
) -> None:
    call(store, status=status)
    await store.usage.flush()

    assert await store.usage.of_client(acme.id, EVER) == [KeyUsage("key_1", 1, limited, errors)]


async def test_flushes_add_up(store: Store, acme: Client) -> None:
    for times in (1, 2, 3):
        call(store, times=times)
        call(store, status=429, times=times)
        call(store, status=500)
        await store.usage.flush()
    call(store, "key_2")
    await store.usage.flush()

    assert await store.usage.of_client(acme.id, EVER) == [KeyUsage("key_1", 15, 6, 3), KeyUsage("key_2", 1, 0, 0)]


async def test_a_call_counts_in_the_hour_it_came_in(store: Store, acme: Client) -> None:
    for moment in (THREE_UNIX, THREE_UNIX + 3599.999, THREE_UNIX + 3600):
        call(store, moment=moment)
        call(store, "key_2", status=404, moment=moment)
    await store.usage.flush()

    assert await store.usage.hours(acme.id, EVER) == [HourUsage(THREE, 4, 0, 2), HourUsage(FOUR, 2, 0, 1)]


@pytest.mark.parametrize(
    ("since", "calls"), [(EVER, 3), (THREE, 3), ("2026-04-01T03:00:00.001Z", 1), (FOUR, 1), (NOON, 0)]
)
async def test_a_period_begins_with_the_first_whole_hour(store: Store, acme: Client, since: str, calls: int) -> None:
    call(store, times=2)
    call(store, moment=THREE_UNIX + 3600)
    await store.usage.flush()

    assert sum(each.calls for each in await store.usage.of_client(acme.id, since)) == calls
    assert sum(each.calls for each in await store.usage.hours(acme.id, since)) == calls


async def test_a_client_sees_nothing_of_another_s_calls(store: Store, acme: Client, other: Client) -> None:
    await add_key(store, other, "key_other")
    call(store, "key_other", times=5)
    call(store)
    await store.usage.flush()

    assert await store.usage.of_client(acme.id, EVER) == [KeyUsage("key_1", 1, 0, 0)]
    assert await store.usage.hours(acme.id, EVER) == [HourUsage(THREE, 1, 0, 0)]
    assert await store.usage.of_client(other.id, EVER) == [KeyUsage("key_other", 5, 0, 0)]


@pytest.mark.sqlite_only
async def test_what_could_not_be_written_is_written_later_with_what_came_since(store: Store, acme: Client) -> None:
    call(store, "key_1", times=2, address="192.0.2.1")
    call(store, "key_2", moment=NOON_UNIX, address="192.0.2.2")
    with locked_by_another_process(store):
        flush = asyncio.create_task(store.usage.flush())
        await asyncio.wait({flush}, timeout=0)
        call(store, "key_1", moment=NOON_UNIX, address="192.0.2.3")
        with pytest.raises(StorageUnavailable):
            await flush

    call(store, "key_1", 429, moment=NOON_UNIX)
    await store.usage.flush()

    assert await store.usage.of_client(acme.id, EVER) == [KeyUsage("key_1", 4, 1, 0), KeyUsage("key_2", 1, 0, 0)]
    assert [(key.last_used_at, key.last_used_address) for key in await store.api_keys.all()] == [
        (NOON, "192.0.2.3"),
        (NOON, "192.0.2.2"),
    ]


@pytest.mark.sqlite_only
async def test_a_flush_that_fails_half_way_has_written_nothing_and_forgets_nothing(store: Store, acme: Client) -> None:
    from_outside(store, "CREATE TRIGGER full BEFORE INSERT ON key_usage BEGIN SELECT raise(ABORT, 'full'); END")
    for key_id in ("key_1", "key_2", "key_1"):
        call(store, key_id, moment=NOON_UNIX)
        with pytest.raises(ConstraintViolated):
            await store.usage.flush()
    assert {key.last_used_at for key in await store.api_keys.all()} == {None}

    from_outside(store, "DROP TRIGGER full")
    await store.usage.flush()
    await store.usage.flush()

    assert await store.usage.of_client(acme.id, EVER) == [KeyUsage("key_1", 2, 0, 0), KeyUsage("key_2", 1, 0, 0)]
    assert {key.last_used_at for key in await store.api_keys.all()} == {NOON}


@pytest.mark.parametrize("turns", [0, 1, 5, 20])
async def test_a_flush_nobody_waits_for_any_more_counts_once(store: Store, acme: Client, turns: int) -> None:
    call(store, times=7)
    flush = asyncio.create_task(store.usage.flush())
    for _ in range(turns):
        await asyncio.sleep(0)
    flush.cancel()
    await asyncio.wait({flush})

    await store.usage.flush()

    assert await store.usage.of_client(acme.id, EVER) == [KeyUsage("key_1", 7, 0, 0)]


async def test_flushes_at_the_same_time_count_once(store: Store, acme: Client) -> None:
    call(store, times=7)

    await asyncio.gather(*(store.usage.flush() for _ in range(5)))

    assert await store.usage.of_client(acme.id, EVER) == [KeyUsage("key_1", 7, 0, 0)]


async def test_the_calls_of_a_key_that_is_gone_hold_up_no_other(store: Store, acme: Client, other: Client) -> None:
    await add_key(store, other, "key_other")
    for key_id in ("key_gone", "key_other", "key_1"):
        call(store, key_id, 404, NOON_UNIX)
    await store.clients.remove(other.id)

    await store.usage.flush()

    assert await store.usage.of_client(acme.id, EVER) == [KeyUsage("key_1", 1, 0, 1)]
    assert await store.usage.of_client(other.id, EVER) == []
    assert [(key.id, key.last_used_at) for key in await store.api_keys.all()] == [("key_1", NOON), ("key_2", None)]


async def test_a_removed_client_s_counts_go_with_it(store: Store, acme: Client) -> None:
    call(store)
    await store.usage.flush()

    await store.clients.remove(acme.id)

    assert await store.database.fetch_all("SELECT * FROM key_usage") == []


@pytest.mark.sqlite_only
async def test_a_flush_is_one_transaction_that_leaves_the_caches_alone(store: Store, acme: Client) -> None:
    epoch, commits = sqlite_of(store).watch.epoch(), sqlite_of(store).watch.count()
    for key_id in ("key_1", "key_2"):
        call(store, key_id, 404)

    await store.usage.flush()

    assert (sqlite_of(store).watch.epoch(), sqlite_of(store).watch.count()) == (epoch, commits + 1)


async def test_a_large_flush_lets_others_write_in_between(store: Store, acme: Client) -> None:
    store.usage = Usage(store.database, written_at_once=5)
    for number in range(23):
        await add_key(store, acme, f"key_of_many_{number}")
        call(store, f"key_of_many_{number}", 404)
    order: list[str] = []

    async def flush() -> None:
        await store.usage.flush()
        order.append("flush")

    async def rename() -> None:
        await store.clients.update(msgspec.structs.replace(acme, plan="pro"))
        order.append("other")

    await asyncio.gather(flush(), rename())

    assert order == ["other", "flush"]
    assert await store.usage.hours(acme.id, EVER) == [HourUsage(THREE, 23, 0, 23)]


async def test_calls_that_come_in_while_others_are_written_are_written_later(store: Store, acme: Client) -> None:
    call(store, times=3)
    flushing = asyncio.create_task(store.usage.flush())
    await asyncio.sleep(0)
    call(store, times=4)
    again = asyncio.create_task(store.usage.flush())

    await asyncio.gather(flushing, again)

    assert await store.usage.of_client(acme.id, EVER) == [KeyUsage("key_1", 7, 0, 0)]


@pytest.mark.sqlite_only
async def test_a_flush_of_nothing_writes_nothing(store: Store, acme: Client) -> None:
    call(store)
    await store.usage.flush()
    statements: list[str] = []
    await sqlite_of(store)._writer.set_trace_callback(statements.append)  # noqa: SLF001 - only SQLite can tell

    await store.usage.flush()

    assert statements == []


@pytest.mark.sqlite_only
async def test_pruning_forgets_old_hours_and_goes_in_steps(store: Store, acme: Client) -> None:
    with closing(sqlite3.connect(sqlite_of(store).path)) as another_process, another_process:
        another_process.executemany(
            "INSERT INTO key_usage VALUES (?, ?, ?, 1, 0, 0)",
            [(f"key_{number}", acme.id, hour) for number in range(2 * PRUNE_STEP) for hour in (THREE, FOUR)],
        )
    epoch, commits = sqlite_of(store).watch.epoch(), sqlite_of(store).watch.count()

    await store.usage.prune(FOUR)

    rows = await store.database.fetch_all("SELECT hour, count(*) FROM key_usage GROUP BY hour")
    assert [tuple(row) for row in rows] == [(FOUR, 2 * PRUNE_STEP)]
    # Two full steps, and the one that finds nothing and so commits nothing.
    assert (sqlite_of(store).watch.epoch(), sqlite_of(store).watch.count()) == (epoch, commits + 2)


async def test_the_hours_of_keys_follow_each_other_in_steps_of_any_size(store: Store, acme: Client) -> None:
    for moment in (THREE_UNIX, NOON_UNIX):
        for key_id in ("key_1", "key_2"):
            call(store, key_id, moment=moment)
    await store.usage.flush()
    every = await store.usage.hours_of_keys(acme.id, after=(THREE, ""), limit=10)

    seen = []
    after = (THREE, "")
    while step := await store.usage.hours_of_keys(acme.id, after=after, limit=1):
        seen += step
        after = (step[-1].hour, step[-1].key_id)

    assert seen == every
    assert [(each.hour[11:13], each.key_id, each.calls) for each in every] == [
        ("03", "key_1", 1),
        ("03", "key_2", 1),
        ("12", "key_1", 1),
        ("12", "key_2", 1),
    ]
    assert await store.usage.hours_of_keys(acme.id, after=(NOON, ""), limit=10) == []
    assert await store.usage.hours_of_keys(acme.id + 1, after=(EVER, ""), limit=10) == []
