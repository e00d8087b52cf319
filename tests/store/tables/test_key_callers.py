"""From where and by what keys are called: noted once an hour, kept whole, and no more than fifty of a key."""

import asyncio

import pytest

from gateway.errors import StorageUnavailable
from gateway.models import ApiKey, Client, KeyCaller
from gateway.store import Store
from gateway.store.tables.key_callers import MOST_KEY_CALLERS, KeyCallers
from gateway.times import parse_time
from tests.store.tables.test_usage import locked_by_another_process

THREE = "2026-04-01T03:00:00.000Z"
HALF_PAST = "2026-04-01T03:30:00.000Z"
FOUR = "2026-04-01T04:00:00.000Z"
EVER = ""


@pytest.fixture
async def acme(store: Store, acme: Client) -> Client:
    """With the keys key_1 and key_2."""
    for key_id in ("key_1", "key_2"):
        key = ApiKey(id=key_id, client_id=acme.id, start="smrt_…", name="k", scope="full", created_at=THREE)
        await store.api_keys.add(key, digest=key_id.encode())
    return acme


def call(
    callers: KeyCallers, at: str = THREE, *, key_id: str = "key_1", address: str = "192.0.2.1", agent: str = "curl/8"
) -> bool:
    """As the middleware does; return whether the caller was new to this process in this hour."""
    origin, moment = (address, agent.encode()), parse_time(at).timestamp()
    if callers.is_noted(key_id, origin, moment):
        return False
    callers.note(key_id, origin, moment, agent=agent or None)
    return True


async def test_each_address_and_program_is_kept_with_its_first_and_its_last_call(store: Store, acme: Client) -> None:
    call(store.key_callers, THREE)
    call(store.key_callers, HALF_PAST, address="2001:db8::7", agent="")
    await store.key_callers.flush()
    call(store.key_callers, FOUR)
    await store.key_callers.flush()

    assert await store.key_callers.of_key(acme.id, "key_1", since=EVER) == [
        KeyCaller("192.0.2.1", "curl/8", THREE, FOUR),
        KeyCaller("2001:db8::7", "", HALF_PAST, HALF_PAST),
    ]
    assert await store.key_callers.of_key(acme.id, "key_1", since=FOUR) == [
        KeyCaller("192.0.2.1", "curl/8", THREE, FOUR)
    ]


async def test_a_caller_is_noted_once_an_hour(store: Store, acme: Client) -> None:
    assert [call(store.key_callers, at) for at in (THREE, HALF_PAST, HALF_PAST, FOUR)] == [True, False, False, True]


async def test_nobody_sees_callers_of_another_key_or_client(store: Store, acme: Client) -> None:
    call(store.key_callers, key_id="key_2")
    await store.key_callers.flush()

    assert await store.key_callers.of_key(acme.id, "key_1", since=EVER) == []
    assert await store.key_callers.of_key(acme.id + 1, "key_2", since=EVER) == []


async def test_whoever_changes_his_name_with_each_call_fills_neither_memory_nor_database(
    store: Store, acme: Client
) -> None:
    noted = [call(store.key_callers, agent=f"nasty/{number}") for number in range(MOST_KEY_CALLERS + 10)]
    assert sum(noted) == MOST_KEY_CALLERS
    assert call(store.key_callers, key_id="key_2")  # nobody else's share
    await store.key_callers.flush()
    for number in range(MOST_KEY_CALLERS):
        call(store.key_callers, FOUR, agent=f"again/{number}")
    await store.key_callers.flush()

    kept = await store.database.fetch_all("SELECT key_id, agent FROM key_callers ORDER BY key_id")
    assert {row["agent"] for row in kept if row["key_id"] == "key_1"} == {f"again/{n}" for n in range(MOST_KEY_CALLERS)}
    assert len(kept) == MOST_KEY_CALLERS + 1


async def test_a_key_that_was_removed_before_the_flush_hinders_nobody(store: Store, acme: Client) -> None:
    call(store.key_callers, key_id="key_gone")
    call(store.key_callers)

    await store.key_callers.flush()

    assert [row["key_id"] for row in await store.database.fetch_all("SELECT key_id FROM key_callers")] == ["key_1"]


async def test_many_callers_are_written_in_several_transactions(store: Store, acme: Client) -> None:
    callers = KeyCallers(store.database, written_at_once=2)
    for number in range(5):
        call(callers, address=f"192.0.2.{number}")

    await asyncio.gather(callers.flush(), callers.flush())

    assert len(await callers.of_key(acme.id, "key_1", since=EVER)) == 5


@pytest.mark.sqlite_only
async def test_what_could_not_be_written_is_kept_for_the_next_flush(store: Store, acme: Client) -> None:
    call(store.key_callers)
    with locked_by_another_process(store), pytest.raises(StorageUnavailable):
        await store.key_callers.flush()

    await store.key_callers.flush()

    assert await store.key_callers.of_key(acme.id, "key_1", since=EVER) == [
        KeyCaller("192.0.2.1", "curl/8", THREE, THREE)
    ]
