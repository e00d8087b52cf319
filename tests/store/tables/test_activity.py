"""The activity log: each change and its entry are written together, and each client sees its own."""

import functools
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing

import msgspec
import pytest

from gateway.errors import Duplicate, InvalidInput
from gateway.models import ActivityEntry, ApiKey, Client, Connection
from gateway.store import ActivityFilter, Store
from gateway.store.database import ConstraintViolated
from gateway.store.pruning import PRUNE_STEP
from tests.support import sqlite_of

NOW = "2026-04-01T03:00:00.000Z"
LATER = "2026-04-02T03:00:00.000Z"
DUMPED = "SELECT * FROM {} ORDER BY 1"


def an_entry(client: Client | None, subject: str = "Shop (conn_1)", *, at: str = NOW) -> ActivityEntry:
    client_id = None if client is None else client.id
    return ActivityEntry(at, client_id, "ann@example.com", "connection.rename", subject, "192.0.2.1", "request-1")


def a_connection(client: Client, connection_id: str, airbyte_id: str | None = None) -> Connection:
    return Connection(connection_id, client.id, "shopify", "Shop", "pending", NOW, airbyte_id=airbyte_id)


def a_key(client: Client, key_id: str) -> ApiKey:
    return ApiKey(id=key_id, client_id=client.id, start="smrt_abcd…", name="k", scope="full", created_at=NOW)


@pytest.fixture
async def acme(store: Store, acme: Client) -> Client:
    """With the connection conn_1 and the key key_1."""
    await store.connections.add(a_connection(acme, "conn_1", "airbyte-1"))
    await store.api_keys.add(a_key(acme, "key_1"), digest=b"1")
    return acme


def from_outside(store: Store, sql: str) -> None:
    with closing(sqlite3.connect(sqlite_of(store).path, isolation_level=None)) as connection:
        connection.execute(sql)


async def content(store: Store) -> list[list[tuple[object, ...]]]:
    """All that is known of clients, connections and keys."""
    tables = ("clients", "connections", "api_keys")
    return [[tuple(row) for row in await store.database.fetch_all(DUMPED.format(table))] for table in tables]


async def subjects(store: Store) -> list[str]:
    return [entry.subject for entry in await store.activity.all(limit=100)]


Change = Callable[[Store, Client, ActivityEntry], Awaitable[object]]

CHANGES: dict[str, Change] = {
    "add a client": lambda store, _, entry: store.clients.add(
        slug="new", name="New", plan="free", created_at=NOW, entry=entry
    ),
    "update it": lambda store, client, entry: store.clients.update(
        msgspec.structs.replace(client, name="New"), entry=entry
    ),
    "disable it": lambda store, client, entry: store.clients.disable(client.id, at=NOW, entry=entry),
    "remove it": lambda store, client, entry: store.clients.remove(client.id, entry=entry),
    "add a connection": lambda store, client, entry: store.connections.add(a_connection(client, "conn_2"), entry=entry),
    "add two connections": lambda store, client, entry: store.connections.add_all(
        client.id, [a_connection(client, "conn_2"), a_connection(client, "conn_3")], entries=[entry]
    ),
    "map it": lambda store, client, entry: store.connections.map(
        a_connection(client, "conn_1", "airbyte-2"), entry=entry
    ),
    "rename it": lambda store, client, entry: store.connections.rename(client.id, "conn_1", label="New", entry=entry),
    "remove the connection": lambda store, client, entry: store.connections.remove(client.id, "conn_1", entry=entry),
    "add a key": lambda store, client, entry: store.api_keys.add(a_key(client, "key_2"), digest=b"2", entry=entry),
    "replace it": lambda store, client, entry: store.api_keys.replace(
        a_key(client, "key_1"), a_key(client, "key_2"), digest=b"2", old_expires_at=LATER, entry=entry
    ),
    "revoke it": lambda store, client, entry: store.api_keys.revoke(client.id, "key_1", at=NOW, entry=entry),
}
every_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@pytest.mark.sqlite_only
@every_change
async def test_a_change_and_its_entry_are_one_transaction(store: Store, acme: Client, change: Change) -> None:
    before, commits = await content(store), sqlite_of(store).watch.count()

    await change(store, acme, an_entry(acme))

    assert await content(store) != before
    assert await subjects(store) == ["Shop (conn_1)"]
    assert sqlite_of(store).watch.count() == commits + 1


@pytest.mark.sqlite_only
@every_change
async def test_an_entry_that_cannot_be_written_undoes_the_change(store: Store, acme: Client, change: Change) -> None:
    from_outside(store, "CREATE TRIGGER full BEFORE INSERT ON activity BEGIN SELECT raise(FAIL, 'disk full'); END")
    before = await content(store)

    with pytest.raises((ConstraintViolated, Duplicate)):
        await change(store, acme, an_entry(acme))

    assert await content(store) == before


@pytest.mark.sqlite_only
@every_change
async def test_a_change_that_cannot_be_committed_leaves_no_entry(store: Store, acme: Client, change: Change) -> None:
    """A deferred constraint lets every statement pass, the entry's too, and makes the commit itself fail."""
    from_outside(store, "CREATE TABLE doomed (n INTEGER REFERENCES clients (id) DEFERRABLE INITIALLY DEFERRED)")
    from_outside(
        store, "CREATE TRIGGER doom AFTER INSERT ON activity BEGIN INSERT INTO doomed (n) VALUES (999999); END"
    )
    before = await content(store)

    with pytest.raises((ConstraintViolated, Duplicate)):
        await change(store, acme, an_entry(acme))

    assert await subjects(store) == []
    assert await content(store) == before


REFUSED: dict[str, Change] = {
    "a slug that is taken": lambda store, client, entry: store.clients.add(
        slug=client.slug, name="New", plan="free", created_at=NOW, entry=entry
    ),
    "a mapping that is taken": lambda store, client, entry: store.connections.add(
        a_connection(client, "conn_2", "airbyte-1"), entry=entry
    ),
    "a mapping that is taken, among others": lambda store, client, entry: store.connections.add_all(
        client.id, [a_connection(client, "conn_2"), a_connection(client, "conn_3", "airbyte-1")], entries=[entry]
    ),
    "a digest that is taken": lambda store, client, entry: store.api_keys.add(
        a_key(client, "key_2"), digest=b"1", entry=entry
    ),
    "a key that is gone": lambda store, client, entry: store.api_keys.replace(
        a_key(client, "key_9"), a_key(client, "key_2"), digest=b"2", old_expires_at=LATER, entry=entry
    ),
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
async def test_a_refused_change_leaves_no_entry(store: Store, acme: Client, change: Change) -> None:
    with pytest.raises((Duplicate, InvalidInput, ConstraintViolated)):
        await change(store, acme, an_entry(acme))

    assert await subjects(store) == []


NOTHING_DONE: dict[str, Change] = {
    "update no client": lambda store, client, entry: store.clients.update(
        msgspec.structs.replace(client, id=client.id + 100), entry=entry
    ),
    "enable what is enabled": lambda store, client, entry: store.clients.enable(client.id, entry=entry),
    "remove no client": lambda store, client, entry: store.clients.remove(client.id + 100, entry=entry),
    "map no connection": lambda store, client, entry: store.connections.map(
        a_connection(client, "conn_9", "airbyte-2"), entry=entry
    ),
    "rename another client's": lambda store, client, entry: store.connections.rename(
        client.id + 100, "conn_1", label="New", entry=entry
    ),
    "remove another client's": lambda store, client, entry: store.connections.remove(
        client.id + 100, "conn_1", entry=entry
    ),
    "revoke another client's": lambda store, client, entry: store.api_keys.revoke(
        client.id + 100, "key_1", at=NOW, entry=entry
    ),
}


@pytest.mark.parametrize("change", NOTHING_DONE.values(), ids=NOTHING_DONE)
async def test_what_changes_nothing_leaves_no_entry(store: Store, acme: Client, change: Change) -> None:
    before = await content(store)

    await change(store, acme, an_entry(acme))

    assert await content(store) == before
    assert await subjects(store) == []


@pytest.mark.parametrize("again", ["disable it", "revoke it"])
async def test_what_is_done_again_is_told_once(store: Store, acme: Client, again: str) -> None:
    for subject in ("first", "second"):
        await CHANGES[again](store, acme, an_entry(acme, subject))

    assert await subjects(store) == ["first"]


async def test_enabling_is_told(store: Store, acme: Client) -> None:
    await store.clients.disable(acme.id, at=NOW)

    await store.clients.enable(acme.id, entry=an_entry(acme))

    assert await subjects(store) == ["Shop (conn_1)"]


async def test_the_entry_about_a_new_client_is_the_new_client_s(store: Store, acme: Client) -> None:
    new = await store.clients.add(slug="new", name="New", plan="free", created_at=NOW, entry=an_entry(None, "New"))

    assert [entry.subject for entry in await store.activity.of_client(new.id, limit=10)] == ["New"]
    assert await store.activity.of_client(acme.id, limit=10) == []


async def test_an_entry_comes_back_as_it_was_written(store: Store, acme: Client) -> None:
    subject = "'); DROP TABLE activity; --"
    entries = [an_entry(acme), ActivityEntry(LATER, None, "command line", "user.invite", subject, by_operator=True)]
    for entry in entries:
        await store.activity.record(entry)

    read = await store.activity.all(limit=10)

    assert read == [msgspec.structs.replace(entries[1], number=2), msgspec.structs.replace(entries[0], number=1)]


@pytest.mark.sqlite_only
async def test_recording_leaves_the_caches_alone(store: Store, acme: Client) -> None:
    epoch = sqlite_of(store).watch.epoch()

    await store.activity.record(an_entry(acme))

    assert sqlite_of(store).watch.epoch() == epoch


async def test_a_client_sees_its_own_entries_and_nobody_else_s(store: Store, acme: Client, other: Client) -> None:
    for subject, client in (("a1", acme), ("o1", other), ("none", None), ("a2", acme)):
        await store.activity.record(an_entry(client, subject))

    assert [entry.subject for entry in await store.activity.of_client(acme.id, limit=10)] == ["a2", "a1"]
    assert [entry.subject for entry in await store.activity.of_client(other.id, limit=10)] == ["o1"]
    assert await subjects(store) == ["a2", "none", "o1", "a1"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9, 10, 11])
async def test_pages_follow_each_other_without_gap_or_repetition_while_entries_are_added(
    store: Store, acme: Client, other: Client, size: int
) -> None:
    for number in range(10):
        await store.activity.record(an_entry(acme, f"{number}"))
        await store.activity.record(an_entry(other, "other"))
    seen: list[str] = []
    before: int | None = None

    for _ in range(-(-10 // size)):
        page = await store.activity.of_client(acme.id, before=before, limit=size)
        seen += [entry.subject for entry in page]
        before = page[-1].number
        await store.activity.record(an_entry(acme, "while reading"))

    assert seen == ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]
    assert await store.activity.of_client(acme.id, before=before, limit=size) == []


async def test_the_operator_s_pages_follow_each_other_too(store: Store, acme: Client, other: Client) -> None:
    for number in range(5):
        await store.activity.record(an_entry((acme, other, None)[number % 3], f"{number}"))

    first = await store.activity.all(limit=3)
    second = await store.activity.all(before=first[-1].number, limit=3)

    assert [entry.subject for entry in first + second] == ["4", "3", "2", "1", "0"]


async def test_the_log_outlives_a_client_and_nobody_inherits_it(store: Store, acme: Client) -> None:
    await store.activity.record(an_entry(acme, "created"))
    await store.clients.remove(acme.id, entry=an_entry(acme, "removed"))

    heir = await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)

    assert await subjects(store) == ["removed", "created"]
    assert await store.activity.of_client(heir.id, limit=10) == []


@pytest.mark.sqlite_only
async def test_pruning_forgets_the_old_and_goes_in_steps(store: Store, acme: Client) -> None:
    with closing(sqlite3.connect(sqlite_of(store).path)) as another_process, another_process:
        another_process.executemany(
            "INSERT INTO activity (at, actor, action, subject, by_operator) VALUES (?, 'a', 'b', 'c', 0)",
            [(at,) for at in (NOW, LATER) for _ in range(PRUNE_STEP + 1)],
        )
    epoch, commits = sqlite_of(store).watch.epoch(), sqlite_of(store).watch.count()

    await store.activity.prune(LATER)

    rows = await store.database.fetch_all("SELECT at, count(*) FROM activity GROUP BY at")
    assert [tuple(row) for row in rows] == [(LATER, PRUNE_STEP + 1)]
    assert (sqlite_of(store).watch.epoch(), sqlite_of(store).watch.count()) == (epoch, commits + 2)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ActivityFilter(), ["root", "ann"]),
        (ActivityFilter(person="ANN@"), ["ann"]),
        (ActivityFilter(person="root"), ["root"]),
        (ActivityFilter(person="root", operator="operator"), []),
        (ActivityFilter(person="OPERA", operator="operator"), ["root"]),
        (ActivityFilter(person="%"), []),
        (ActivityFilter(action="connection.rename"), ["ann"]),
        (ActivityFilter(since=LATER), ["root"]),
        (ActivityFilter(until=LATER), ["ann"]),
        (ActivityFilter(person="ann", since=LATER), []),
    ],
)
async def test_entries_are_found_by_person_action_and_time(
    store: Store, acme: Client, other: Client, wanted: ActivityFilter, found: list[str]
) -> None:
    await store.activity.record(an_entry(acme, "ann"))
    await store.activity.record(ActivityEntry(LATER, acme.id, "root@x", "user.invite", "root", by_operator=True))
    await store.activity.record(msgspec.structs.replace(an_entry(other, "other"), actor="zoe"))

    of_client = await store.activity.search_of_client(acme.id, limit=9, wanted=wanted)
    of_all = await store.activity.search_all(limit=9, wanted=wanted)

    assert [entry.subject for entry in of_client.rows] == found
    assert [entry.subject for entry in of_all.rows if entry.client_id == acme.id] == found
    assert of_client.before is None


@pytest.mark.parametrize("scope", ["client", "all"])
async def test_a_search_looks_at_so_many_entries_at_once_and_goes_on(
    store: Store, acme: Client, other: Client, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.tables.activity.SEARCHED_AT_ONCE", 4)
    for actor in ("ann", "bob", "ann", "ann", "zoe", "zoe", "zoe", "zoe", "zoe", "ann"):
        await store.activity.record(msgspec.structs.replace(an_entry(acme, actor), actor=actor))
        if scope == "client":
            await store.activity.record(msgspec.structs.replace(an_entry(other, "other"), actor="ann"))
    search = store.activity.search_all
    if scope == "client":
        search = functools.partial(store.activity.search_of_client, acme.id)
    pages: list[list[str]] = []
    before: int | None = None

    while not pages or before is not None:
        found = await search(before=before, limit=2, wanted=ActivityFilter(person="ann"))
        pages.append([entry.subject for entry in found.rows])
        before = found.before

    assert pages == [["ann"], ["ann", "ann"], ["ann"]]


async def test_a_search_for_days_long_ago_begins_at_their_end(
    store: Store, acme: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.tables.activity.SEARCHED_AT_ONCE", 2)
    for at in (NOW, LATER, NOW, LATER, LATER, LATER):
        await store.activity.record(an_entry(acme, at, at=at))

    found = await store.activity.search_of_client(acme.id, limit=9, wanted=ActivityFilter(until=LATER))
    nothing = await store.activity.search_all(limit=9, wanted=ActivityFilter(until=NOW))

    assert [entry.number for entry in found.rows] == [3]
    assert found.before == 2
    assert (nothing.rows, nothing.before) == ([], None)


async def test_a_search_for_recent_days_ends_where_they_begin(
    store: Store, acme: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.tables.activity.SEARCHED_AT_ONCE", 2)
    for at in (NOW, NOW, NOW, LATER, NOW, LATER):
        await store.activity.record(an_entry(acme, at, at=at))
    wanted = ActivityFilter(since=LATER)

    newest = await store.activity.search_of_client(acme.id, limit=9, wanted=wanted)
    older = await store.activity.search_of_client(acme.id, before=newest.before, limit=9, wanted=wanted)
    nothing = await store.activity.search_all(limit=9, wanted=ActivityFilter(since="2026-04-03"))

    assert [entry.number for entry in newest.rows + older.rows] == [6, 4]
    assert (older.before, nothing.before) == (None, None)
