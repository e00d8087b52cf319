"""Clients in the store."""

import sqlite3
from contextlib import closing

import msgspec
import pytest

from gateway.errors import Duplicate, UnknownRecord
from gateway.models import ApiKey, Client, Connection, RatePolicy
from gateway.store import Store
from tests.support import sqlite_of

NOW = "2026-04-01T03:00:00.000Z"
LATER = "2026-04-02T03:00:00.000Z"


def from_outside(store: Store, sql: str, *parameters: object) -> list[tuple[object, ...]]:
    """What another process does to the file or sees in it."""
    with closing(sqlite3.connect(sqlite_of(store).path, isolation_level=None)) as connection:
        return connection.execute(sql, parameters).fetchall()


async def test_a_client_comes_back_as_it_was_added(store: Store) -> None:
    added = await store.clients.add(slug="acme", name="Acme Inc", plan="free", created_at=NOW)

    assert added == Client(id=1, slug="acme", name="Acme Inc", plan="free", created_at=NOW)
    assert await store.clients.by_slug("acme") == added


async def test_clients_are_listed_oldest_first(store: Store) -> None:
    for slug in ("zebra", "acme", "middle"):
        await store.clients.add(slug=slug, name=slug, plan="free", created_at=NOW)

    assert [client.slug for client in await store.clients.all()] == ["zebra", "acme", "middle"]


async def test_a_slug_is_taken_once(store: Store) -> None:
    await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)

    with pytest.raises(Duplicate) as refusal:
        await store.clients.add(slug="acme", name="Other", plan="gold", created_at=NOW)

    assert str(refusal.value) == "there already is a client with the slug 'acme'"
    assert [client.name for client in await store.clients.all()] == ["Acme"]


async def test_an_unknown_slug_is_answered_with_the_way_to_the_known_ones(store: Store) -> None:
    with pytest.raises(UnknownRecord) as refusal:
        await store.clients.by_slug("acme' OR '1'='1")

    assert str(refusal.value) == ("there is no client with the slug \"acme' OR '1'='1\"; see: gateway client list")


async def test_words_that_look_like_sql_are_kept_as_words(store: Store) -> None:
    name = "'); DROP TABLE clients; --"

    added = await store.clients.add(slug="bobby", name=name, plan=name, created_at=NOW)

    assert (await store.clients.by_slug("bobby")) == added
    assert (added.name, added.plan) == (name, name)


@pytest.mark.sqlite_only
async def test_a_rate_and_a_stop_of_the_clients_own_are_read(store: Store) -> None:
    await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)

    from_outside(store, "UPDATE clients SET rate_requests = 5, rate_seconds = 10, disabled_at = ?", NOW)

    client = await store.clients.by_slug("acme")
    assert (client.rate, client.disabled_at) == (RatePolicy(5, 10), NOW)


async def test_an_update_changes_name_plan_and_rate_of_that_client_alone(store: Store) -> None:
    acme = await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)
    other = await store.clients.add(slug="other", name="Other", plan="free", created_at=NOW)

    wanted = msgspec.structs.replace(
        acme, name="Acme Inc", plan="pro", rate=RatePolicy(600, 60), rate_total=RatePolicy(9, 1), most_keys=7
    )
    await store.clients.update(wanted)

    assert await store.clients.by_slug("acme") == wanted
    assert await store.clients.by_slug("other") == other

    await store.clients.update(acme)
    assert await store.clients.by_slug("acme") == acme


async def test_the_first_stop_counts_and_is_lifted(store: Store) -> None:
    acme = await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)

    await store.clients.disable(acme.id, at=NOW)
    await store.clients.disable(acme.id, at=LATER)
    assert (await store.clients.by_slug("acme")).disabled_at == NOW

    await store.clients.enable(acme.id)
    assert await store.clients.by_slug("acme") == acme


@pytest.mark.sqlite_only
async def test_removing_a_client_takes_its_connections_and_keys_along_and_nobody_elses(store: Store) -> None:
    for slug in ("acme", "other"):
        client = await store.clients.add(slug=slug, name=slug, plan="free", created_at=NOW)
        await store.connections.add(
            Connection(
                id=f"conn_{slug}",
                client_id=client.id,
                connector_type="shopify",
                label="Shop",
                status="pending",
                created_at=NOW,
            )
        )
        key = ApiKey(id=f"key_{slug}", client_id=client.id, start="smrt_…", name="k", scope="full", created_at=NOW)
        await store.api_keys.add(key, digest=slug.encode())

    await store.clients.remove((await store.clients.by_slug("acme")).id)

    assert from_outside(store, "SELECT slug FROM clients") == [("other",)]
    assert from_outside(store, "SELECT id FROM connections") == [("conn_other",)]
    assert from_outside(store, "SELECT id FROM api_keys") == [("key_other",)]
    assert await store.api_keys.principal(b"acme") is None
    assert await store.api_keys.principal(b"other") is not None


async def test_the_number_of_a_removed_client_is_never_given_again(store: Store) -> None:
    removed = await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)
    await store.clients.remove(removed.id)

    added = await store.clients.add(slug="next", name="Next", plan="free", created_at=NOW)

    assert added.id > removed.id
