"""Long lists for pages: searched, sorted and cut by the database, whichever it is."""

import msgspec
import pytest

from gateway.models import ActivityEntry, ApiKey, Client, Connection, User
from gateway.store import Excerpt, Store
from tests.store.tables.records import NOW, TOMORROW

EARLIER = "2026-03-31T03:00:00.000Z"


async def connection(
    store: Store,
    client: Client,
    number: int,
    label: str,
    *,
    connector_type: str = "shopify",
    status: str = "active",
    airbyte_id: str | None = None,
) -> None:
    await store.connections.add(
        Connection(f"conn_{number}", client.id, connector_type, label, status, NOW, airbyte_id=airbyte_id)
    )


async def person(store: Store, client: Client | None, email: str, created_at: str = NOW) -> None:
    entry = ActivityEntry(NOW, None, "root", "user.invite", email)
    user = User(f"user_{email}", client.id if client else None, email, created_at)
    await store.users.add(user, entry=entry)


@pytest.fixture
async def labels(store: Store, acme: Client, other: Client) -> None:
    """Connections `b`, `A` and `c` of `acme`, and one of the other client's."""
    await connection(store, acme, 1, "b", connector_type="stripe", airbyte_id="airbyte-b")
    await connection(store, acme, 2, "A")
    await connection(store, acme, 3, "c", airbyte_id="airbyte-c", status="deprecated")
    await connection(store, other, 4, "d", airbyte_id="airbyte-d")


async def found(store: Store, client: Client, excerpt: Excerpt) -> tuple[list[str], int]:
    rows, total = await store.connection_pages.of_client(client.id, excerpt)
    return [row.label for row in rows], total


@pytest.mark.usefixtures("labels")
@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("", "Abc"),
        ("label", "Abc"),
        ("-label", "cbA"),
        ("type", "Acb"),
        ("state", "Abc"),
        ("-state", "cbA"),
        ("last_sync", "bAc"),
        ("-last_sync", "cAb"),
    ],
)
async def test_connections_of_a_client_are_sorted(store: Store, acme: Client, sort: str, expected: str) -> None:
    assert await found(store, acme, Excerpt(limit=9, sort=sort)) == (list(expected), 3)


@pytest.mark.usefixtures("labels")
async def test_an_excerpt_beyond_the_end_is_the_last_one(store: Store, acme: Client) -> None:
    assert await found(store, acme, Excerpt(limit=2)) == (["A", "b"], 3)
    assert await found(store, acme, Excerpt(limit=2, offset=2)) == (["c"], 3)
    assert await found(store, acme, Excerpt(limit=2, offset=999_998)) == (["c"], 3)
    assert await found(store, acme, Excerpt(limit=3, offset=3)) == (["A", "b", "c"], 3)
    assert await found(store, acme, Excerpt(limit=2, query="nothing", offset=2)) == ([], 0)


@pytest.mark.usefixtures("labels")
@pytest.mark.parametrize(
    ("query", "expected"), [("STRIPE", "b"), ("airbyte-c", "c"), ("conn_2", "A"), ("airbyte-d", ""), ("conn__", "")]
)
async def test_connections_are_found_by_what_their_page_shows(
    store: Store, acme: Client, query: str, expected: str
) -> None:
    labels, total = await found(store, acme, Excerpt(limit=9, query=query))

    assert ("".join(labels), total) == (expected, len(expected))


@pytest.mark.usefixtures("labels")
@pytest.mark.parametrize(
    ("mapping", "query", "sort", "expected"),
    [
        ("", "", "", "Abcd"),
        ("", "", "-client", "dcAb"),
        ("", "other", "", "d"),
        ("unmapped", "", "", "A"),
        ("vanished", "", "", "c"),
        ("vanished", "other", "", ""),
    ],
)
async def test_an_operator_finds_those_of_all_clients(
    store: Store, mapping: str, query: str, sort: str, expected: str
) -> None:
    rows, total = await store.connection_pages.of_clients(Excerpt(limit=9, query=query, sort=sort), mapping=mapping)

    assert ("".join(row.label for row in rows), total) == (expected, len(expected))


@pytest.mark.usefixtures("labels")
async def test_what_cannot_be_synced_is_counted(store: Store) -> None:
    assert msgspec.structs.astuple(await store.connection_pages.counts()) == (4, 1, 1)


@pytest.mark.parametrize(
    ("query", "sort", "expected"),
    [
        ("", "", ["root@x", "zoe@x", "ann@x", "bob@x"]),
        ("", "email", ["ann@x", "bob@x", "root@x", "zoe@x"]),
        ("", "client", ["root@x", "zoe@x", "ann@x", "bob@x"]),
        ("", "invited", ["zoe@x", "root@x", "ann@x", "bob@x"]),
        ("ADMIN", "", ["root@x"]),
        ("acme", "-email", ["zoe@x", "ann@x"]),
        ("OTHER", "", ["bob@x"]),
    ],
)
async def test_people_are_found_by_address_and_client(
    store: Store, acme: Client, other: Client, query: str, sort: str, expected: list[str]
) -> None:
    await person(store, acme, "zoe@x", EARLIER)
    await person(store, None, "root@x")
    await person(store, acme, "ann@x")
    await person(store, other, "bob@x")

    rows, total = await store.user_pages.all(Excerpt(limit=9, query=query, sort=sort))
    own, _ = await store.user_pages.of_client(acme.id, Excerpt(limit=9))

    assert ([row.email for row in rows], total) == (expected, len(expected))
    assert [row.email for row in own] == ["zoe@x", "ann@x"]


async def test_the_only_admin_who_can_sign_in_is_known(store: Store) -> None:
    await person(store, None, "root@x")
    nobody = await store.users.only_able_admin()
    await store.database.write(lambda transaction: transaction.execute_fetchall("UPDATE users SET password_hash = 'x'"))
    await person(store, None, "invited@x")
    alone = await store.users.only_able_admin()
    await store.database.write(lambda transaction: transaction.execute_fetchall("UPDATE users SET password_hash = 'x'"))

    assert nobody is None
    assert alone is not None
    assert alone.email == "root@x"
    assert await store.users.only_able_admin() is None


async def test_clients_are_sorted_by_their_figures(store: Store, acme: Client, other: Client) -> None:
    await connection(store, other, 1, "Shop")
    await person(store, acme, "ann@x")
    read = store.client_pages.all

    orders = {
        sort: [client.slug for client in (await read(Excerpt(limit=9, sort=sort), now=NOW, calls_since=NOW))[0]]
        for sort in ("", "-name", "-connections", "-users", "-keys", "-calls", "plan", "state")
    }

    assert orders == {
        "": ["acme", "other"],
        "-name": ["other", "acme"],
        "-connections": ["other", "acme"],
        "-users": ["acme", "other"],
        "-keys": ["other", "acme"],
        "-calls": ["other", "acme"],
        "plan": ["acme", "other"],
        "state": ["acme", "other"],
    }


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("name", "abc"), ("-last_used", "cba"), ("-created", "cba"), ("ends", "bac"), ("-scope", "cba")],
)
async def test_keys_are_sorted_and_those_that_never_end_come_last(
    store: Store, acme: Client, sort: str, expected: str
) -> None:
    for number, (name, ends) in enumerate((("a", TOMORROW), ("b", "2026-04-01T04:00:00.000Z"), ("c", None))):
        key = ApiKey(f"key_{number}", acme.id, "smrt_ab12…", name, "full", EARLIER, expires_at=ends)
        await store.api_keys.add(key, digest=key.id.encode())

    keys, _ = await store.key_pages.working(acme.id, Excerpt(limit=9, sort=sort), now=NOW)

    assert "".join(key.name for key in keys) == expected
