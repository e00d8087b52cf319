"""Wishes to cancel jobs, and who may send them."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.errors import Overloaded
from gateway.models import ApiKey, Client, Connection
from gateway.store import CancelWish, Store
from gateway.store.tables.cancellations import MOST_WISHES_OF_CLIENT

NOW = "2026-04-01T03:00:00.000Z"
LATER = "2026-04-01T03:00:05.000Z"
LONG_AGO = "2026-03-01T03:00:00.000Z"


@pytest.fixture
async def acme(store: Store) -> Client:
    client = await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)
    await store.connections.add(
        Connection("conn_1", client.id, "shopify", "Shop", "active", NOW, airbyte_id="airbyte-1", workspace_id="w1")
    )
    await store.api_keys.add(key_of(client), digest=b"1")
    return client


def key_of(client: Client, key_id: str = "key_1", **other: Any) -> ApiKey:
    return ApiKey(key_id, client.id, "gw_1", "Key", "full", NOW, **other)


def wish_of(client: Client, *, job_id: int = 7, **other: Any) -> CancelWish:
    names = {"connection_id": "conn_1", "airbyte_id": "airbyte-1", "caller": "key_1"} | other
    return CancelWish(client_id=client.id, job_id=job_id, job_type="sync", request_id="r", created_at=NOW, **names)


async def begun(store: Store, client: Client) -> int:
    number = await store.cancellations.begin(wish_of(client))
    assert number is not None
    return number


async def test_a_job_has_one_open_wish_and_another_after_its_end(store: Store, acme: Client) -> None:
    first = await begun(store, acme)

    assert await store.cancellations.begin(wish_of(acme)) is None
    assert await store.cancellations.begin(wish_of(acme, job_id=8)) is not None
    await store.cancellations.resolve(acme.id, first, outcome="sent", at=LATER)
    assert await store.cancellations.begin(wish_of(acme)) is not None


async def test_the_jobs_to_be_cancelled_are_those_of_open_wishes_that_count_still(store: Store, acme: Client) -> None:
    globex = await store.clients.add(slug="globex", name="Globex", plan="free", created_at=NOW)
    first = await begun(store, acme)
    await store.cancellations.begin(wish_of(acme, job_id=8))

    assert await store.cancellations.jobs_of(acme.id, "airbyte-1", now=NOW) == {7, 8}
    assert await store.cancellations.jobs_of(acme.id, "airbyte-2", now=NOW) == set()
    assert await store.cancellations.jobs_of(globex.id, "airbyte-1", now=NOW) == set()

    await store.cancellations.resolve(acme.id, first, outcome="sent", at=LATER)
    assert await store.cancellations.jobs_of(acme.id, "airbyte-1", now=NOW) == {8}
    await store.connections.remove(acme.id, "conn_1")
    assert await store.cancellations.jobs_of(acme.id, "airbyte-1", now=NOW) == set()


@pytest.mark.parametrize("other", [{"connection_id": "conn_2"}, {"airbyte_id": "airbyte-2"}])
async def test_a_wish_is_of_a_mapped_connection_of_the_client(
    store: Store, acme: Client, other: dict[str, Any]
) -> None:
    globex = await store.clients.add(slug="globex", name="Globex", plan="free", created_at=NOW)

    assert await store.cancellations.begin(wish_of(acme, **other)) is None
    assert await store.cancellations.begin(wish_of(globex)) is None


async def test_one_gateway_sends_it_until_it_is_taken_for_dead(store: Store, acme: Client) -> None:
    number = await begun(store, acme)
    claims = [
        await store.cancellations.claim(acme.id, number, at=at, sent_before=sent_before)
        for at, sent_before in ((NOW, LONG_AGO), (LATER, NOW), (LATER, LATER))
    ]

    assert claims == [True, False, True]


async def test_what_is_being_sent_is_not_listed_until_it_is_released(store: Store, acme: Client) -> None:
    number = await begun(store, acme)
    await store.cancellations.claim(acme.id, number, at=NOW, sent_before=LONG_AGO)
    assert await store.cancellations.open(10, now=NOW, sent_before=NOW) == []
    assert len(await store.cancellations.open(10, now=NOW, sent_before=LATER)) == 1

    await store.cancellations.release(acme.id, number)
    (found,) = await store.cancellations.open(10, now=NOW, sent_before=LONG_AGO)

    assert (found.number, found.job_id, found.is_wanted, found.workspace_id) == (number, 7, True, "w1")


async def test_a_wish_of_a_connection_that_was_mapped_anew_may_not_be_sent(store: Store, acme: Client) -> None:
    number = await begun(store, acme)
    await store.connections.remove(acme.id, "conn_1")

    (found,) = await store.cancellations.open(10, now=NOW, sent_before=LATER)

    assert not found.is_wanted
    assert not await store.cancellations.claim(acme.id, number, at=NOW, sent_before=LONG_AGO)


async def test_another_client_neither_sends_nor_ends_it(store: Store, acme: Client) -> None:
    number = await begun(store, acme)

    assert not await store.cancellations.claim(acme.id + 1, number, at=NOW, sent_before=LONG_AGO)
    await store.cancellations.resolve(acme.id + 1, number, outcome="sent", at=LATER)

    assert len(await store.cancellations.open(10, now=NOW, sent_before=LATER)) == 1


async def test_what_came_of_it_first_stays_and_it_is_sent_no_more(store: Store, acme: Client) -> None:
    number = await begun(store, acme)
    await store.cancellations.resolve(acme.id, number, outcome="ended", at=NOW)
    await store.cancellations.resolve(acme.id, number, outcome="sent", at=LATER)

    (row,) = await store.database.fetch_all("SELECT outcome, resolved_at FROM cancellations")

    assert (row["outcome"], row["resolved_at"]) == ("ended", NOW)
    assert not await store.cancellations.claim(acme.id, number, at=NOW, sent_before=LONG_AGO)


async def revoke(store: Store, client: Client) -> None:
    await store.api_keys.revoke(client.id, "key_1", at=NOW)


async def disable(store: Store, client: Client) -> None:
    await store.clients.disable(client.id, at=NOW)


@pytest.mark.parametrize("end", [revoke, disable])
async def test_a_wish_of_a_key_that_was_ended_or_a_client_that_was_disabled_may_not_be_sent(
    store: Store, acme: Client, end: Callable[[Store, Client], Awaitable[None]]
) -> None:
    number = await begun(store, acme)
    await end(store, acme)

    (found,) = await store.cancellations.open(10, now=NOW, sent_before=LATER)

    assert not found.is_wanted
    assert not await store.cancellations.claim(acme.id, number, at=NOW, sent_before=LONG_AGO)


async def test_a_wish_may_be_sent_until_its_key_expires(store: Store, acme: Client) -> None:
    await store.api_keys.add(key_of(acme, "key_2", expires_at=LATER), digest=b"2")
    number = await store.cancellations.begin(wish_of(acme, caller="key_2"))
    assert number is not None

    found = [(await store.cancellations.open(1, now=now, sent_before=LATER))[0].is_wanted for now in (NOW, LATER)]

    assert found == [True, False]
    assert not await store.cancellations.claim(acme.id, number, at=LATER, sent_before=LONG_AGO)
    assert await store.cancellations.claim(acme.id, number, at=NOW, sent_before=LONG_AGO)


async def test_a_wish_that_may_not_be_sent_any_more_is_in_nobodys_way(store: Store, acme: Client) -> None:
    await begun(store, acme)
    globex = await store.clients.add(slug="globex", name="Globex", plan="free", created_at=NOW)
    await store.api_keys.add(key_of(globex, "key_2"), digest=b"2")
    moved = await store.connections.any_by_id("conn_1")
    await store.connections.move(moved, to_client=globex.id, new_id="conn_2", entries=())

    number = await store.cancellations.begin(wish_of(globex, connection_id="conn_2", caller="key_2"))

    assert number is not None
    rows = await store.database.fetch_all("SELECT outcome FROM cancellations ORDER BY number")
    assert [row["outcome"] for row in rows] == ["withdrawn", None]


async def test_each_client_has_its_oldest_listed_before_anybodys_second(store: Store, acme: Client) -> None:
    globex = await store.clients.add(slug="globex", name="Globex", plan="free", created_at=NOW)
    await store.connections.add(
        Connection("conn_2", globex.id, "shopify", "Shop", "active", NOW, airbyte_id="airbyte-2", workspace_id="w2")
    )
    for job_id in (1, 2, 3):
        await store.cancellations.begin(wish_of(acme, job_id=job_id))
    await store.api_keys.add(key_of(globex, "key_2"), digest=b"2")
    await store.cancellations.begin(
        wish_of(globex, job_id=4, connection_id="conn_2", airbyte_id="airbyte-2", caller="key_2")
    )

    found = await store.cancellations.open(3, now=NOW, sent_before=LATER)

    assert [wish.job_id for wish in found] == [1, 4, 2]


async def test_a_client_has_only_so_many_open_wishes_and_another_when_one_has_ended(store: Store, acme: Client) -> None:
    numbers = [await store.cancellations.begin(wish_of(acme, job_id=job_id)) for job_id in range(MOST_WISHES_OF_CLIENT)]

    with pytest.raises(Overloaded, match="Too many cancels are pending"):
        await store.cancellations.begin(wish_of(acme, job_id=MOST_WISHES_OF_CLIENT))
    assert (
        len(await store.cancellations.open(2 * MOST_WISHES_OF_CLIENT, now=NOW, sent_before=LATER))
        == MOST_WISHES_OF_CLIENT
    )
    assert await store.cancellations.begin(wish_of(acme, job_id=0)) is None

    assert numbers[0] is not None
    await store.cancellations.resolve(acme.id, numbers[0], outcome="sent", at=LATER)
    assert await store.cancellations.begin(wish_of(acme, job_id=MOST_WISHES_OF_CLIENT)) is not None


async def test_old_ones_are_forgotten(store: Store, acme: Client) -> None:
    await begun(store, acme)
    await store.cancellations.prune(NOW)
    assert len(await store.cancellations.open(10, now=NOW, sent_before=LATER)) == 1

    await store.cancellations.prune(LATER)

    assert await store.cancellations.open(10, now=NOW, sent_before=LATER) == []
