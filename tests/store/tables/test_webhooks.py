"""Webhooks: whose they are, how many there may be, and their secrets."""

import msgspec
import pytest

from gateway.errors import Duplicate, InvalidInput, UnknownRecord
from gateway.models import Client
from gateway.settings.secret import Secret
from gateway.store import Store
from gateway.store.tables.webhooks import previous_secrets
from tests.store.tables.records import NOW, TOMORROW, a_connection, a_webhook, actions, add_webhook, an_entry

LATER = "2026-04-03T03:00:00.000Z"


async def test_a_webhook_is_its_clients_alone(store: Store, acme: Client, other: Client) -> None:
    await add_webhook(store, acme, events=("sync.failed",))

    assert await store.webhooks.of_client(acme.id) == [a_webhook(acme, events=("sync.failed",))]
    assert await store.webhooks.of_client(other.id) == []
    with pytest.raises(UnknownRecord):
        await store.webhooks.by_id(other.id, "whk_1")
    await store.webhooks.remove(other.id, "whk_1", entry=an_entry())
    await store.webhooks.rotate(other.id, "whk_1", secret=Secret("x"), now=NOW, previous_until=NOW, entry=an_entry())
    assert await store.webhooks.any_by_id("whk_1") == a_webhook(acme, events=("sync.failed",))
    assert await actions(store) == ["webhook.create"]


async def test_a_client_has_ten_at_most(store: Store, acme: Client, other: Client) -> None:
    for number in range(10):
        await add_webhook(store, acme, f"whk_{number}")

    with pytest.raises(InvalidInput, match="10 is the most"):
        await add_webhook(store, acme, "whk_10")

    await add_webhook(store, other, "whk_other")
    assert len(await store.webhooks.all()) == 11
    with pytest.raises(Duplicate):
        await add_webhook(store, other, "whk_1")


async def test_a_filter_names_connections_of_the_client(store: Store, acme: Client, other: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1"))
    await store.connections.add(a_connection(other, "conn_2"))

    await add_webhook(store, acme, connections=("conn_1",))
    with pytest.raises(InvalidInput, match="conn_2"):
        await add_webhook(store, acme, "whk_2", connections=("conn_1", "conn_2"))


async def test_rotated_secrets_sign_beside_the_new_one_until_their_ends(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)

    async def rotate(secret: str, now: str, until: str) -> tuple[str, list[tuple[str, str]]]:
        await store.webhooks.rotate(
            acme.id, "whk_1", secret=Secret(secret), now=now, previous_until=until, entry=an_entry("webhook.rotate")
        )
        (row,) = await store.database.fetch_all("SELECT secret, previous_secrets, previous_until FROM webhooks")
        assert row["previous_until"] == until
        return row["secret"], [(each.secret, each.until) for each in previous_secrets(row["previous_secrets"])]

    assert await rotate("second", NOW, TOMORROW) == ("second", [("whsec_whk_1", TOMORROW)])
    assert (await store.webhooks.any_by_id("whk_1")).previous_until == TOMORROW
    assert await rotate("third", NOW, LATER) == ("third", [("second", LATER), ("whsec_whk_1", TOMORROW)])
    assert await rotate("fourth", TOMORROW, LATER) == ("fourth", [("third", LATER), ("second", LATER)])
    for number in range(9):
        _, previous = await rotate(str(number), TOMORROW, LATER)
    assert [secret for secret, _ in previous] == ["7", "6", "5", "4", "3"]


async def test_a_webhook_is_changed_by_its_client_alone_and_keeps_its_secret(
    store: Store, acme: Client, other: Client
) -> None:
    await store.connections.add(a_connection(acme, "conn_1"))
    await store.connections.add(a_connection(other, "conn_2"))
    await add_webhook(store, acme, connections=("conn_1",))
    entry = an_entry("webhook.update")
    changed = msgspec.structs.replace(a_webhook(acme), url="https://new.example/", events=("sync.failed",))
    with pytest.raises(InvalidInput, match="conn_2"):
        await store.webhooks.update(msgspec.structs.replace(changed, connections=("conn_1", "conn_2")), entry=entry)
    await store.webhooks.update(msgspec.structs.replace(changed, client_id=other.id), entry=entry)
    assert await actions(store) == ["webhook.create"]

    await store.connections.remove(acme.id, "conn_1", entry=an_entry("connection.remove"))
    kept = msgspec.structs.replace(changed, connections=("conn_1",))
    await store.webhooks.update(kept, entry=entry)

    assert await store.webhooks.any_by_id("whk_1") == kept
    assert (await actions(store))[-1] == "webhook.update"
    (row,) = await store.database.fetch_all("SELECT secret FROM webhooks")
    assert row["secret"] == "whsec_whk_1"


async def test_whoever_has_a_webhook_listens(store: Store, acme: Client) -> None:
    assert not await store.webhooks.is_any_listening()
    await add_webhook(store, acme)

    assert await store.webhooks.is_any_listening()
    assert await store.webhooks.listening_clients() == [acme.id]
    await store.webhooks.remove(acme.id, "whk_1", entry=an_entry())
    assert not await store.webhooks.is_any_listening()
