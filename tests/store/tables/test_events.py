"""Events: whom they are told to, once each, and what is done with keys."""

import msgspec
import pytest

from gateway.errors import InvalidInput
from gateway.models import TEST_EVENT, ApiKey, Client, KeyRow
from gateway.store import NewEvent, Store
from gateway.store.bulk import Snapshot
from gateway.store.changes import Changes
from gateway.store.database import Transaction
from gateway.times import format_time
from tests.store.tables.records import NOW, TOMORROW, a_connection, a_webhook, add_webhook, an_entry, written
from tests.support import START


def a_key(client: Client, key_id: str = "key_1", **other: object) -> ApiKey:
    return msgspec.convert(
        {"id": key_id, "client_id": client.id, "start": "smrt_ab12", "name": "Key", "scope": "full", "created_at": NOW}
        | other,
        ApiKey,
    )


def an_event(client: Client, connection_id: str | None = "conn_1", **other: object) -> NewEvent:
    values = {
        "client_id": client.id,
        "type": "connection.late",
        "subject": "it",
        "at": NOW,
        "data": KeyRow("", "", "", "full", NOW, None, None),
        "connection_id": connection_id,
    }
    return NewEvent(**{**values, **other})  # type: ignore[arg-type]  # as the names say


async def told(store: Store, webhook_id: str = "whk_1") -> list[str]:
    """The types of the events that a webhook is told of, whosever it is."""
    client_id = (await store.webhooks.any_by_id(webhook_id)).client_id
    return [each.event_type for each in await store.delivery_pages.of_webhook(client_id, webhook_id, limit=100)]


async def test_a_key_is_told_when_it_is_made_rotated_and_revoked(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    key, successor = a_key(acme), a_key(acme, "key_2")
    await store.api_keys.add(key, digest=b"1")
    await store.api_keys.replace(key, successor, digest=b"2", old_expires_at=TOMORROW)
    for _ in range(2):
        await store.api_keys.revoke(acme.id, "key_2", at=TOMORROW)

    async def work(_: Snapshot, changes: Changes) -> None:
        await changes.revoke_key("acme", key, an_entry())

    await store.bulk.change(work)

    events = await written(store)
    assert [(event, data["id"]) for event, data in events] == [
        ("key.created", "key_1"),
        ("key.created", "key_2"),
        ("key.revoked", "key_2"),
        ("key.revoked", "key_1"),
    ]
    assert events[2][1] == {
        "id": "key_2",
        "start": "smrt_ab12",
        "name": "Key",
        "scope": "full",
        "created_at": NOW,
        "expires_at": None,
        "revoked_at": TOMORROW,
    }


async def test_an_event_is_written_once(store: Store, acme: Client, other: Client) -> None:
    await add_webhook(store, acme)
    await add_webhook(store, other, "whk_2")

    await store.events.add([an_event(acme), an_event(acme), an_event(acme, subject="another")])
    await store.events.add([an_event(acme), an_event(other)])

    assert (len(await told(store)), len(await told(store, "whk_2"))) == (2, 1)
    rows = await store.database.fetch_all("SELECT DISTINCT id FROM events")
    assert len(rows) == 3


async def test_a_webhook_is_told_of_what_it_asks_for(store: Store, acme: Client) -> None:
    await store.connections.add(a_connection(acme, "conn_1"))
    await add_webhook(store, acme, "whk_1", events=("connection.late",))
    await add_webhook(store, acme, "whk_2", events=("sync.failed", "key.revoked"))
    await add_webhook(store, acme, "whk_3", connections=("conn_1",))
    await add_webhook(store, acme, "whk_4")
    await add_webhook(store, acme, "whk_5", events=("key.revoked", "sync.failed"), connections=("conn_1",))

    await store.events.add(
        [
            an_event(acme),
            an_event(acme, "conn_2", subject="2"),
            an_event(acme, None, type="key.revoked"),
            an_event(acme, type="sync.failed"),
        ]
    )

    assert await told(store, "whk_1") == ["connection.late"] * 2
    assert await told(store, "whk_2") == ["sync.failed", "key.revoked"]
    assert await told(store, "whk_3") == ["sync.failed", "connection.late"]
    assert len(await told(store, "whk_4")) == 4
    assert await told(store, "whk_5") == ["sync.failed", "key.revoked"]


async def test_a_webhook_is_not_told_of_what_was_so_before_it(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)

    by_a_clock_behind = an_event(acme, at="2026-04-01T02:59:30.000Z", subject="told by a clock that is behind")
    await store.events.add([an_event(acme, at="2026-04-01T02:59:00.000Z"), by_a_clock_behind])

    (row,) = await store.database.fetch_all("SELECT subject FROM events")
    assert row["subject"] == by_a_clock_behind.subject


async def test_a_webhook_that_is_enabled_again_is_told_of_what_happens_from_then_on(store: Store, acme: Client) -> None:
    await add_webhook(store, acme, created_at="2026-03-31T03:00:00.000Z")

    async def disable(transaction: Transaction) -> None:
        await transaction.execute_fetchall("UPDATE webhooks SET disabled_at = id, disabled_reason = 'gone'")

    await store.database.write(disable)
    await store.webhooks.enable(acme.id, "whk_1", now=NOW, entry=an_entry("webhook.enable"))
    await store.events.add([an_event(acme, at="2026-04-01T02:59:00.000Z"), an_event(acme, subject="new")])

    assert len(await told(store)) == 1


async def test_an_event_that_nobody_is_told_of_is_not_stored(store: Store, acme: Client) -> None:
    await add_webhook(store, acme, events=("sync.failed",))

    await store.events.add([an_event(acme)])

    assert await written(store) == []


async def test_keys_that_end_soon_are_found_unless_they_have_a_successor(store: Store, acme: Client) -> None:
    soon, late = format_time(START.replace(day=10)), format_time(START.replace(day=20))
    for number, values in enumerate(
        ({"expires_at": soon}, {"expires_at": late}, {}, {"expires_at": soon}, {"expires_at": soon})
    ):
        await store.api_keys.add(a_key(acme, f"key_{number}", **values), digest=bytes([number]))
    await store.api_keys.revoke(acme.id, "key_3", at=NOW)
    await store.api_keys.replace(
        a_key(acme, "key_4"), a_key(acme, "key_5"), digest=b"5", old_expires_at=format_time(START.replace(day=5))
    )

    ending = await store.api_keys.ending([acme.id], after=NOW, until=format_time(START.replace(day=15)))

    assert [key.id for key in ending] == ["key_0"]
    assert await store.api_keys.ending([acme.id + 1], after=NOW, until=late) == []


async def test_a_test_is_for_who_can_be_told_and_ten_are_under_way_at_most(store: Store, acme: Client) -> None:
    await add_webhook(store, acme)
    await add_webhook(store, acme, "whk_2")

    async def add_test(subject: object, webhook_id: str = "whk_1") -> int:
        event = an_event(acme, None, type=TEST_EVENT, subject=str(subject))
        return await store.events.add_test(a_webhook(acme, webhook_id), event)

    for number in range(10):
        await add_test(number)
    with pytest.raises(InvalidInput, match="10 tests are on their way"):
        await add_test("one more")
    await add_test("another", "whk_2")
    await store.clients.disable(acme.id, at=NOW)
    with pytest.raises(InvalidInput, match="the client of the webhook whk_2 is disabled"):
        await add_test("late", "whk_2")
    assert len(await written(store)) == 11
