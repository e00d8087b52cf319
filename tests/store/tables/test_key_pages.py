"""What pages show of a client's keys: a page of them, however many there are."""

import pytest

from gateway.models import ApiKey, Client
from gateway.store import Excerpt, Store
from tests.store.tables.records import NOW, TOMORROW

EARLIER = "2026-03-31T03:00:00.000Z"


async def add(
    store: Store,
    client: Client,
    key_id: str,
    *,
    name: str = "loader",
    ends: str | None = None,
    start: str = "smrt_ab12…",
) -> ApiKey:
    key = ApiKey(key_id, client.id, start, name, "full", EARLIER, expires_at=ends)
    await store.api_keys.add(key, digest=key_id.encode())
    return key


async def working(store: Store, client: Client, query: str = "", *, limit: int = 50, offset: int = 0) -> list[str]:
    excerpt = Excerpt(limit=limit, offset=offset, query=query)
    keys, _ = await store.key_pages.working(client.id, excerpt, now=NOW)
    return [key.id for key in keys]


async def test_working_keys_are_paged_the_newest_first(store: Store, acme: Client, other: Client) -> None:
    for number in range(7):
        await add(store, acme, f"key_{number}", ends=TOMORROW if number % 2 else None)
    await add(store, acme, "key_expired", ends=NOW)
    await add(store, acme, "key_revoked")
    await store.api_keys.revoke(acme.id, "key_revoked", at=NOW)
    await add(store, other, "key_of_another")

    pages = [
        await store.key_pages.working(acme.id, Excerpt(limit=3, offset=offset), now=NOW) for offset in (0, 3, 6, 9)
    ]

    assert [[key.id[-1] for key in keys] for keys, _ in pages] == [["6", "5", "4"], ["3", "2", "1"], ["0"], ["0"]]
    assert {total for _, total in pages} == {7}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("NIGHTLY", ["key_1"]),
        ("report", ["key_2", "key_1"]),
        ("smrt_zz", ["key_2"]),
        ("KEY_1", ["key_1"]),
        ("100%", ["key_2"]),
        ("%", ["key_2"]),
        ("nightly_report", []),
        ("a\\b", ["key_3"]),
        ("nothing", []),
        ("MÜLLER", ["key_4"]),
        ("müller", ["key_4"]),
        ("\0", []),
    ],
)
async def test_keys_are_found_by_name_start_and_id(store: Store, acme: Client, query: str, found: list[str]) -> None:
    await add(store, acme, "key_1", name="Nightly report")
    await add(store, acme, "key_2", name="100% report", start="smrt_zz99…")
    await add(store, acme, "key_3", name="a\\b")
    await add(store, acme, "key_4", name="Müller")

    assert await working(store, acme, query) == found


async def test_the_newest_ended_keys_are_read_and_all_of_them_counted(
    store: Store, acme: Client, other: Client
) -> None:
    for number in range(5):
        await add(store, acme, f"key_{number}", ends=NOW)
    await add(store, acme, "key_works", ends=TOMORROW)
    await add(store, acme, "key_5")
    await store.api_keys.revoke(acme.id, "key_5", at=NOW)
    await add(store, other, "key_of_another", ends=NOW)

    keys, count = await store.key_pages.ended(acme.id, Excerpt(limit=2), now=NOW)

    assert ([key.id for key in keys], count) == (["key_5", "key_4"], 6)
    assert await store.key_pages.count_ended(acme.id, now=NOW) == 6


async def test_of_a_period_are_shown_the_keys_that_work_or_were_called(
    store: Store, acme: Client, other: Client
) -> None:
    for key_id, ends in (("key_works", None), ("key_called", NOW), ("key_ended", NOW), ("key_called_before", NOW)):
        await add(store, acme, key_id, ends=ends)
    await add(store, other, "key_of_another")
    for key_id, moment in (("key_called", 1_775_012_400.0), ("key_called_before", 1_774_900_000.0)):
        store.usage.count_first(key_id, moment, address=None, agent=None)
    await store.usage.flush()

    keys = await store.key_pages.working_or_used(acme.id, now=NOW, since=EARLIER)

    assert [key.id for key in keys] == ["key_works", "key_called"]


async def test_a_key_s_neighbours_are_those_of_its_own_client(store: Store, acme: Client, other: Client) -> None:
    old, new = await add(store, acme, "key_old"), ApiKey("key_new", acme.id, "smrt_", "n", "full", NOW)
    await store.api_keys.replace(old, new, digest=b"new", old_expires_at=TOMORROW)
    old = await store.api_keys.by_id(acme.id, "key_old")
    neighbours = store.key_pages.successor_and_predecessor

    found = [[each and each.id for each in await neighbours(key)] for key in (old, new)]

    assert found == [["key_new", None], [None, "key_old"]]
    assert await store.key_pages.starts(acme.id, ["key_new", "key_none"]) == {"key_new": "smrt_"}
    assert await store.key_pages.starts(other.id, ["key_new"]) == {}
