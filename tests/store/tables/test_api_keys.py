"""Keys in the store: who a key belongs to, and how soon changes bite."""

import asyncio
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing

import msgspec
import pytest

from gateway.errors import InvalidInput, UnknownRecord
from gateway.models import ApiKey, Client, ClientLimit, Principal, RatePolicy, Scope, WorkingKeys
from gateway.store import Store
from gateway.store.database import ConstraintViolated
from gateway.times import parse_time
from tests.store.tables.records import a_connection
from tests.support import next_turn, sqlite_of, store_at

NOW = "2026-04-01T03:00:00.000Z"
LATER = "2026-04-02T03:00:00.000Z"
NOON_UNIX = 1_775_044_800.25
DIGEST = b"d" * 32
REVOKE = b"UPDATE api_keys SET revoked_at = '2026-04-01T03:00:00.000Z'\n"
RESTORE = b"UPDATE api_keys SET revoked_at = NULL\n"
OBEDIENT_PROCESS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
for line in sys.stdin:
    connection.execute(line)
    print("done", flush=True)
"""


def a_key(
    client: Client,
    key_id: str = "key_1",
    *,
    name: str = "k",
    scope: Scope = "full",
    rate: RatePolicy | None = None,
    expires_at: str | None = None,
    bucket_id: str | None = None,
) -> ApiKey:
    return ApiKey(
        id=key_id,
        client_id=client.id,
        start="smrt_abcd…",
        name=name,
        scope=scope,
        created_at=NOW,
        rate=rate,
        expires_at=expires_at,
        bucket_id=bucket_id,
    )


def from_outside(store: Store, sql: str, *parameters: object) -> None:
    """What another process does to the file."""
    with closing(sqlite3.connect(sqlite_of(store).path, isolation_level=None)) as connection:
        connection.execute(sql, parameters)


async def statements_of_reader(store: Store) -> list[str]:
    """Grows with each statement that requests make the database run."""
    seen: list[str] = []
    reader = sqlite_of(store)._reader  # noqa: SLF001 - only SQLite itself can tell that nothing was asked of it
    await reader.set_trace_callback(seen.append)
    return seen


async def test_a_digest_leads_to_the_client_and_what_its_key_may_do(store: Store, acme: Client) -> None:
    await store.api_keys.add(a_key(acme, scope="read", expires_at=LATER), digest=DIGEST)

    assert await store.api_keys.principal(DIGEST) == Principal(
        client=acme,
        key_id="key_1",
        scope="read",
        rate=None,
        expires_at=parse_time(LATER),
        limit=ClientLimit(working=(WorkingKeys(None, 1),)),
    )


async def test_an_unknown_digest_leads_to_nobody(store: Store, acme: Client) -> None:
    await store.api_keys.add(a_key(acme), digest=DIGEST)

    assert await store.api_keys.principal(b"e" * 32) is None
    assert await store.api_keys.principal(DIGEST[:-1]) is None


async def test_a_revoked_key_leads_to_nobody(store: Store, acme: Client) -> None:
    await store.api_keys.add(a_key(acme), digest=DIGEST)
    assert await store.api_keys.principal(DIGEST) is not None

    await store.api_keys.revoke(acme.id, "key_1", at=NOW)

    assert await store.api_keys.principal(DIGEST) is None


@pytest.mark.sqlite_only
async def test_the_key_of_a_disabled_client_leads_to_nobody(store: Store, acme: Client) -> None:
    await store.api_keys.add(a_key(acme), digest=DIGEST)
    assert await store.api_keys.principal(DIGEST) is not None

    from_outside(store, "UPDATE clients SET disabled_at = ?", NOW)
    await next_turn()
    assert await store.api_keys.principal(DIGEST) is None

    from_outside(store, "UPDATE clients SET disabled_at = NULL")
    await next_turn()
    assert await store.api_keys.principal(DIGEST) is not None


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("of_client", "of_key", "expected"),
    [
        (None, None, None),
        (RatePolicy(5, 10), None, RatePolicy(5, 10)),
        (None, RatePolicy(7, 60), RatePolicy(7, 60)),
        (RatePolicy(5, 10), RatePolicy(7, 60), RatePolicy(7, 60)),
    ],
)
async def test_the_rate_of_a_key_goes_before_that_of_its_client(
    store: Store, acme: Client, of_client: RatePolicy | None, of_key: RatePolicy | None, expected: RatePolicy | None
) -> None:
    if of_client:
        from_outside(
            store, "UPDATE clients SET rate_requests = ?, rate_seconds = ?", of_client.requests, of_client.per_seconds
        )
    await store.api_keys.add(a_key(acme, rate=of_key), digest=DIGEST)

    principal = await store.api_keys.principal(DIGEST)

    assert principal is not None
    assert principal.rate == expected


@pytest.mark.sqlite_only
async def test_a_known_key_costs_no_statement(store: Store, acme: Client) -> None:
    await store.api_keys.add(a_key(acme), digest=DIGEST)
    statements = await statements_of_reader(store)

    first = await store.api_keys.principal(DIGEST)
    assert len(statements) == 2
    for _ in range(100):
        assert await store.api_keys.principal(DIGEST) is first

    assert len(statements) == 2


@pytest.mark.sqlite_only
async def test_writing_down_uses_costs_a_known_key_no_statement(store: Store, acme: Client) -> None:
    await store.api_keys.add(a_key(acme), digest=DIGEST)
    statements = await statements_of_reader(store)
    await store.api_keys.principal(DIGEST)

    for _ in range(10):
        store.usage.count_first("key_1", NOON_UNIX, address=None, agent=None)
        await store.usage.flush()
        await store.api_keys.principal(DIGEST)

    assert len(statements) == 2


async def test_a_new_key_works_although_it_was_tried_before_it_existed(store: Store, acme: Client) -> None:
    assert await store.api_keys.principal(DIGEST) is None

    await store.api_keys.add(a_key(acme), digest=DIGEST)

    assert await store.api_keys.principal(DIGEST) is not None


@pytest.mark.sqlite_only
async def test_a_new_key_made_by_another_process_works_although_it_was_tried_before(store: Store, acme: Client) -> None:
    assert await store.api_keys.principal(DIGEST) is None

    async with store_at(sqlite_of(store).path) as command_line:
        await command_line.api_keys.add(a_key(acme), digest=DIGEST)

    assert await store.api_keys.principal(DIGEST) is not None


@pytest.mark.sqlite_only
async def test_revocation_by_another_process_bites_at_once_even_amid_housekeeping(store: Store, acme: Client) -> None:
    await store.api_keys.add(a_key(acme), digest=DIGEST)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        OBEDIENT_PROCESS,
        str(sqlite_of(store).path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    wrong = []

    for number in range(60):
        is_revoked = number % 2 == 0
        process.stdin.write(REVOKE if is_revoked else RESTORE)
        store.usage.count_first("key_1", NOON_UNIX, address=None, agent=None)
        flushes = [asyncio.create_task(store.usage.flush())]
        answered = asyncio.create_task(process.stdout.readline())
        while not answered.done():
            await store.api_keys.principal(DIGEST)
            if flushes[-1].done():
                store.usage.count_first("key_1", NOON_UNIX, address=None, agent=None)
                flushes.append(asyncio.create_task(store.usage.flush()))
            await asyncio.wait({answered, flushes[-1]}, return_when=asyncio.FIRST_COMPLETED)
        if (await store.api_keys.principal(DIGEST) is None) is not is_revoked:
            wrong.append(number)
        await asyncio.gather(*flushes)
        if (await store.api_keys.principal(DIGEST) is None) is not is_revoked:
            wrong.append(number)
    process.stdin.close()

    assert await process.wait() == 0
    assert wrong == []


async def test_the_first_revocation_counts(store: Store, acme: Client) -> None:
    await store.api_keys.add(a_key(acme), digest=DIGEST)

    await store.api_keys.revoke(acme.id, "key_1", at=NOW)
    await store.api_keys.revoke(acme.id, "key_1", at=LATER)

    assert (await store.api_keys.any_by_id("key_1")).revoked_at == NOW


async def test_another_clients_id_revokes_nothing(store: Store, acme: Client, other: Client) -> None:
    await store.api_keys.add(a_key(acme), digest=DIGEST)

    await store.api_keys.revoke(other.id, "key_1", at=NOW)

    assert (await store.api_keys.any_by_id("key_1")).revoked_at is None
    assert await store.api_keys.principal(DIGEST) is not None


async def test_a_client_sees_its_own_keys_oldest_first_revoked_ones_too(
    store: Store, acme: Client, other: Client
) -> None:
    for number, (key_id, owner) in enumerate([("key_z", acme), ("key_o", other), ("key_a", acme), ("key_m", acme)]):
        await store.api_keys.add(a_key(owner, key_id), digest=bytes([number]))
    await store.api_keys.revoke(acme.id, "key_a", at=NOW)

    assert [key.id for key in await store.api_keys.of_client(acme.id)] == ["key_z", "key_a", "key_m"]
    assert [key.id for key in await store.api_keys.all()] == ["key_z", "key_a", "key_m", "key_o"]


async def test_a_key_comes_back_as_it_was_added(store: Store, acme: Client) -> None:
    key = a_key(acme, name="'; DROP TABLE api_keys", scope="read", rate=RatePolicy(7, 60), expires_at=LATER)

    await store.api_keys.add(key, digest=DIGEST)

    assert await store.api_keys.any_by_id("key_1") == key


async def test_an_unknown_key_id_is_answered_with_the_way_to_the_known_ones(store: Store) -> None:
    with pytest.raises(UnknownRecord) as refusal:
        await store.api_keys.any_by_id("key_1")

    assert str(refusal.value) == "there is no key 'key_1'; see: gateway key list"


@pytest.mark.parametrize(
    ("expires_at", "ends_at", "expected"),
    [(None, LATER, LATER), (NOW, LATER, NOW), (LATER, NOW, NOW)],
    ids=["it gets an end", "an earlier end stays", "a later end moves"],
)
async def test_a_rotation_adds_the_new_key_and_ends_the_old_one(
    store: Store, acme: Client, expires_at: str | None, ends_at: str, expected: str
) -> None:
    old, new = a_key(acme, expires_at=expires_at), a_key(acme, "key_2")
    await store.api_keys.add(old, digest=DIGEST)

    await store.api_keys.replace(old, new, digest=b"n", old_expires_at=ends_at)

    assert (await store.api_keys.any_by_id("key_1")).expires_at == expected
    assert (await store.api_keys.any_by_id("key_2")).expires_at is None
    assert await store.api_keys.principal(b"n") is not None


async def test_a_rotation_that_fails_leaves_the_old_key_as_it_was(store: Store, acme: Client) -> None:
    old = a_key(acme)
    await store.api_keys.add(old, digest=DIGEST)

    with pytest.raises(ConstraintViolated):
        await store.api_keys.replace(old, a_key(acme, "key_2"), digest=DIGEST, old_expires_at=NOW)

    assert await store.api_keys.all() == [old]


async def test_a_key_is_replaced_once_even_when_two_ask_at_once(store: Store, acme: Client) -> None:
    old = a_key(acme)
    await store.api_keys.add(old, digest=DIGEST)

    outcomes = await asyncio.gather(
        *(
            store.api_keys.replace(old, a_key(acme, f"key_{each}"), digest=each.encode(), old_expires_at=LATER)
            for each in ("2", "3")
        ),
        return_exceptions=True,
    )

    assert [isinstance(outcome, InvalidInput) for outcome in outcomes] == [False, True]
    assert [key.id for key in await store.api_keys.all()] == ["key_1", "key_2"]
    assert (await store.api_keys.any_by_id("key_1")).successor_id == "key_2"


async def test_a_key_that_was_revoked_meanwhile_is_not_replaced(store: Store, acme: Client) -> None:
    old = a_key(acme)
    await store.api_keys.add(old, digest=DIGEST)
    await store.api_keys.revoke(acme.id, "key_1", at=NOW)

    with pytest.raises(InvalidInput, match="the key key_1 was rotated or revoked just now"):
        await store.api_keys.replace(old, a_key(acme, "key_2"), digest=b"2", old_expires_at=LATER)

    assert [key.id for key in await store.api_keys.all()] == ["key_1"]


async def test_another_clients_key_is_as_unknown_as_none(store: Store, acme: Client, other: Client) -> None:
    await store.api_keys.add(a_key(acme), digest=DIGEST)

    assert await store.api_keys.by_id(acme.id, "key_1") == a_key(acme)
    refusals = []
    for client, key_id in ((other, "key_1"), (acme, "key_2")):
        with pytest.raises(UnknownRecord) as refusal:
            await store.api_keys.by_id(client.id, key_id)
        refusals.append(str(refusal.value).replace(key_id, "key"))
    assert set(refusals) == {"there is no key 'key'; see: gateway key list"}


@pytest.mark.parametrize("scope", ["admin", "", "FULL"])
async def test_a_scope_that_does_not_exist_cannot_be_stored(store: Store, acme: Client, scope: str) -> None:
    with pytest.raises(ConstraintViolated):
        await store.api_keys.add(msgspec.structs.replace(a_key(acme), scope=scope), digest=DIGEST)


async def test_a_key_without_a_client_cannot_be_stored(store: Store, acme: Client) -> None:
    await store.clients.remove(acme.id)

    with pytest.raises(ConstraintViolated):
        await store.api_keys.add(a_key(acme), digest=DIGEST)


@pytest.mark.sqlite_only
async def test_the_file_holds_nothing_of_a_key_but_digest_and_start(store: Store, acme: Client) -> None:
    await store.api_keys.add(a_key(acme), digest=DIGEST)

    with closing(sqlite3.connect(sqlite_of(store).path)) as connection:
        dump = "\n".join(connection.iterdump())

    assert DIGEST.hex().upper() in dump.upper()
    assert dump.count("smrt_") == 1
    assert "smrt_abcd…" in dump


async def test_the_rate_of_a_client_follows_from_its_terms_and_its_working_keys(
    store: Store, acme: Client, other: Client
) -> None:
    own = RatePolicy(7, 60)
    terms = msgspec.structs.replace(acme, rate=RatePolicy(5, 10), rate_total=RatePolicy(99, 60), most_keys=3)
    keys = [
        a_key(acme),
        a_key(acme, "key_successor", bucket_id="key_1"),
        a_key(acme, "key_quick", rate=own),
        a_key(acme, "key_ended", expires_at=NOW),
        a_key(acme, "key_revoked"),
        a_key(other, "key_other"),
    ]
    for number, key in enumerate(keys):
        await store.api_keys.add(key, digest=bytes([number]) * 32)
    await store.api_keys.revoke(acme.id, "key_revoked", at=NOW)

    assert await store.api_keys.limit_of(terms) == ClientLimit(
        total=RatePolicy(99, 60),
        rate=RatePolicy(5, 10),
        most_keys=3,
        working=(WorkingKeys(None, 1), WorkingKeys(own, 1)),
    )


@pytest.mark.sqlite_only
async def test_the_keys_of_a_client_are_counted_once_for_all_of_them_until_one_more_works(
    store: Store, acme: Client
) -> None:
    for number in range(3):
        await store.api_keys.add(a_key(acme, f"key_{number}"), digest=bytes([number]) * 32)
    statements = await statements_of_reader(store)

    async def working() -> list[int]:
        principals = [await store.api_keys.principal(bytes([number]) * 32) for number in range(3)]
        assert sum("count(*) AS keys" in statement for statement in statements) == 1
        statements.clear()
        return [principal.limit.working[0].count for principal in principals if principal is not None]

    assert await working() == [3, 3, 3]

    await store.api_keys.add(a_key(acme, "key_new"), digest=b"n" * 32)
    assert await working() == [4, 4, 4]


async def test_a_successor_takes_the_tokens_of_the_first_of_its_chain(store: Store, acme: Client) -> None:
    await store.api_keys.add(a_key(acme, bucket_id="key_0"), digest=DIGEST)

    principal = await store.api_keys.principal(DIGEST)

    assert principal is not None
    assert principal.bucket_id == "key_0"


CHANGES: dict[str, Callable[[Store, Client], Awaitable[object]]] = {
    "a key is made": lambda store, acme: store.api_keys.add(a_key(acme, "key_new"), digest=b"n" * 32),
    "a key is rotated": lambda store, acme: store.api_keys.replace(
        a_key(acme), a_key(acme, "key_new"), digest=b"n" * 32, old_expires_at=NOW
    ),
    "a key is revoked": lambda store, acme: store.api_keys.revoke(acme.id, "key_1", at=NOW),
    "the client is changed": lambda store, acme: store.clients.update(msgspec.structs.replace(acme, name="New")),
    "the client is disabled": lambda store, acme: store.clients.disable(acme.id, at=NOW),
    "the client is removed": lambda store, acme: store.clients.remove(acme.id),
    "a connection is made": lambda store, acme: store.connections.add(a_connection(acme)),
    "another client comes": lambda store, _: store.clients.add(slug="n", name="N", plan="free", created_at=NOW),
}


@pytest.mark.sqlite_only
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_what_is_done_about_one_client_costs_the_keys_of_another_nothing(
    store: Store, acme: Client, other: Client, change: Callable[[Store, Client], Awaitable[object]]
) -> None:
    await store.api_keys.add(a_key(acme), digest=DIGEST)
    await store.api_keys.add(a_key(other, "key_other"), digest=b"o" * 32)
    known = await store.api_keys.principal(b"o" * 32)
    connections = await store.connections.of_client(other.id)

    await change(store, acme)

    assert known is not None
    assert store.api_keys.remembered(b"o" * 32) is known
    assert await store.connections.of_client(other.id) is connections


async def test_whatever_a_client_s_key_was_refused_for_is_seen_when_it_ends(store: Store, acme: Client) -> None:
    assert await store.api_keys.principal(DIGEST) is None
    await store.api_keys.add(a_key(acme), digest=DIGEST)
    seen = [await store.api_keys.principal(DIGEST) is not None]

    await store.clients.disable(acme.id, at=NOW)
    seen.append(await store.api_keys.principal(DIGEST) is not None)
    await store.clients.enable(acme.id)
    seen.append(await store.api_keys.principal(DIGEST) is not None)
    await store.api_keys.revoke(acme.id, "key_1", at=NOW)
    seen.append(await store.api_keys.principal(DIGEST) is not None)

    assert seen == [True, False, True, False]
