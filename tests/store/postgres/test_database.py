"""What a server's database does that a file does not: other gateways' changes, lost notifications, a server that goes.

Changes are waited for; how soon they must be seen is a bound that only a broken watch exceeds.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import msgspec
import psycopg
import pytest

from gateway.errors import StorageUnavailable
from gateway.models import ApiKey, Client
from gateway.settings.secret import SecretUrl
from gateway.store import Store, create_database
from gateway.store.database import Transaction
from gateway.store.postgres.database import PostgresDatabase
from gateway.store.timings import STORE_TIMINGS, StoreTimings
from tests.other_program import other_program
from tests.postgres import USER, PostgresServer, pgbouncer, postgres_server, rows_of
from tests.support import BOUND_SECONDS, PATIENT, store_at

NOW = "2026-04-01T03:00:00.000Z"
BY_NOTIFICATION = msgspec.structs.replace(PATIENT, poll=10 * BOUND_SECONDS, trust=30 * BOUND_SECONDS)
"""What a notification does not tell is not learned in time."""
DIGEST = b"digest"


@pytest.fixture
def url(postgres: PostgresServer) -> SecretUrl:
    return postgres.without_rows()


@pytest.fixture
async def two(url: SecretUrl) -> AsyncIterator[tuple[Store, Store]]:
    """The stores of two gateways."""
    async with store_at(url) as one, store_at(url) as other:
        yield one, other


async def add_key(store: Store) -> tuple[Client, ApiKey]:
    client = await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)
    key = ApiKey(id="key_1", client_id=client.id, start="smrt_", name="k", scope="full", created_at=NOW)
    await store.api_keys.add(key, digest=DIGEST)
    return client, key


async def until(condition: Callable[[], Any], *, seconds: float = BOUND_SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_warm_look_up_asks_nobody(two: tuple[Store, Store]) -> None:
    store, _ = two
    await add_key(store)
    assert await store.api_keys.principal(DIGEST)

    asked: list[str] = []
    assert isinstance(store.database, PostgresDatabase)
    store.database._read = lambda sql, _: asked.append(sql)  # type: ignore[method-assign,assignment,return-value]  # noqa: SLF001 - to see that it is not asked

    assert store.api_keys.remembered(DIGEST)
    assert await store.api_keys.principal(DIGEST)
    assert asked == []


@pytest.mark.parametrize("change", ["revoke", "disable", "rate", "remove"])
async def test_what_one_gateway_changes_the_other_knows_at_once(url: SecretUrl, change: str) -> None:
    async with store_at(url) as one, store_at(url, timings=BY_NOTIFICATION) as other:
        await assert_known_at_once(one, other, change)


async def assert_known_at_once(one: Store, other: Store, change: str) -> None:
    client, key = await add_key(one)
    before = await other.api_keys.principal(DIGEST)
    assert before
    assert before.rate is None

    if change == "revoke":
        await one.api_keys.revoke(client.id, key.id, at=NOW)
    elif change == "disable":
        await one.clients.disable(client.id, at=NOW)
    elif change == "remove":
        await one.clients.remove(client.id)
    else:
        rows_of(one.database.url, "UPDATE api_keys SET rate_requests = 5, rate_seconds = 60")  # type: ignore[attr-defined]  # of a server

    async with asyncio.timeout(BOUND_SECONDS):
        while await other.api_keys.principal(DIGEST) == before:
            await asyncio.sleep(0.01)


async def test_a_lost_notification_is_made_up_for(two: tuple[Store, Store], url: SecretUrl) -> None:
    one, other = two
    (before,) = rows_of(url, "SELECT pg_get_functiondef('announce_change'::regproc)")
    client, key = await add_key(one)
    assert await other.api_keys.principal(DIGEST)
    # Whoever listens hears nothing from now on.
    rows_of(
        url,
        "CREATE OR REPLACE FUNCTION announce_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE changes SET number = number + 1, clients = '{}' WHERE subject = TG_ARGV[0]; RETURN NULL; END $$",
    )

    await one.api_keys.revoke(client.id, key.id, at=NOW)

    async with asyncio.timeout(BOUND_SECONDS):
        while await other.api_keys.principal(DIGEST):
            await asyncio.sleep(0.05)
    rows_of(url, str(before[0]))


async def test_what_another_program_commits_in_the_middle_of_housekeeping_is_noticed(
    two: tuple[Store, Store], url: SecretUrl
) -> None:
    store, _ = two
    await add_key(store)
    assert await store.api_keys.principal(DIGEST)

    async def unit(_: Transaction) -> None:
        # The count goes up as the triggers would have it; nobody is notified.
        rows_of(
            url,
            "SET session_replication_role = replica; UPDATE changes SET number = number + 1, clients = '{}' "
            f"WHERE subject = 'keys'; UPDATE api_keys SET revoked_at = '{NOW}'",
        )

    await store.database.write(unit, housekeeping=True)

    assert await store.api_keys.principal(DIGEST) is None


async def test_one_writes_at_a_time_whoever_it_is(two: tuple[Store, Store]) -> None:
    """Read, then write: without the lock most of the sums would be lost."""
    await two[0].clients.add(slug="acme", name="Acme", plan="0", created_at=NOW)

    async def add_one(connection: Transaction) -> None:
        (row,) = await connection.execute_fetchall("SELECT plan FROM clients")
        await connection.execute_fetchall("UPDATE clients SET plan = :plan", {"plan": str(int(row["plan"]) + 1)})

    await asyncio.gather(*(store.database.write(add_one) for store in two * 20))

    assert (await two[0].clients.by_slug("acme")).plan == "40"


async def test_who_waits_too_long_for_the_write_lock_is_told_to_come_back(url: SecretUrl) -> None:
    async with store_at(url, timings=msgspec.structs.replace(PATIENT, write_lock=3.0)) as store:
        with other_program(url) as other:
            other.keep_others_from_writing()
            with pytest.raises(StorageUnavailable):
                await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)

        await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)


async def test_a_gateway_that_stands_still_in_its_transaction_loses_the_lock(
    two: tuple[Store, Store], url: SecretUrl
) -> None:
    _, other = two
    begun, thawed = asyncio.Event(), asyncio.Event()

    async def stand_still(connection: Transaction) -> None:
        await connection.execute_fetchall("DELETE FROM clients")
        begun.set()
        await thawed.wait()
        await connection.execute_fetchall("SELECT 1")

    await other.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)
    async with store_at(url, timings=msgspec.structs.replace(PATIENT, stalled_transaction=1.0)) as one:
        standing = asyncio.create_task(one.database.write(stand_still))
        await begun.wait()

        await other.clients.add(slug="other", name="Other", plan="free", created_at=NOW)

        thawed.set()
        with pytest.raises(StorageUnavailable):
            await standing
        assert [client.slug for client in await one.clients.all()] == ["acme", "other"]
        await one.clients.add(slug="third", name="Third", plan="free", created_at=NOW)


async def test_a_server_that_is_no_longer_the_primary_is_left(two: tuple[Store, Store], url: SecretUrl) -> None:
    store, _ = two
    rows_of(url, f"ALTER ROLE {USER} IN DATABASE without_rows SET default_transaction_read_only = on")
    try:
        assert isinstance(store.database, PostgresDatabase)
        await store.database._writer.close()  # noqa: SLF001 - the next connection is to a server that only reads
        with pytest.raises(StorageUnavailable, match="Storage"):
            await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)
    finally:
        with psycopg.connect(url.reveal(), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER ROLE {USER} IN DATABASE without_rows RESET ALL".encode())

    await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)


async def test_a_cancelled_caller_leaves_a_whole_commit(two: tuple[Store, Store]) -> None:
    task = asyncio.create_task(two[0].clients.add(slug="acme", name="Acme", plan="free", created_at=NOW))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

    async with asyncio.timeout(BOUND_SECONDS):
        while not await two[1].clients.all():
            await asyncio.sleep(0.01)


async def test_a_killed_connection_is_nobody_s_trouble(two: tuple[Store, Store], url: SecretUrl) -> None:
    one, _ = two
    await add_key(one)
    rows_of(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()",
    )

    assert [client.slug for client in await one.clients.all()] == ["acme"]
    await one.clients.add(slug="other", name="Other", plan="free", created_at=NOW)


@asynccontextmanager
async def on_a_server_of_its_own(
    timings: StoreTimings = STORE_TIMINGS,
) -> AsyncIterator[tuple[PostgresServer, SecretUrl, Store]]:
    """A server to stop or pause, and an open store on it which knows a key."""
    with postgres_server() as server:
        url = server.new_database()
        await create_database(url)
        async with store_at(url, timings=timings) as store:
            await add_key(store)
            assert await store.api_keys.principal(DIGEST)
            yield server, url, store


async def test_a_server_that_restarts_is_reached_again_by_itself() -> None:
    async with on_a_server_of_its_own() as (server, url, store):
        server.stop()
        with pytest.raises(StorageUnavailable):
            await store.clients.all()
        with pytest.raises(StorageUnavailable):
            await store.clients.add(slug="other", name="Other", plan="free", created_at=NOW)
        server.start()

        assert [client.slug for client in await store.clients.all()] == ["acme"]
        rows_of(url, "UPDATE api_keys SET revoked_at = '2026'")
        async with asyncio.timeout(BOUND_SECONDS):
            while await store.api_keys.principal(DIGEST):
                await asyncio.sleep(0.05)


async def test_a_write_that_fails_takes_no_known_key_away() -> None:
    async with on_a_server_of_its_own(StoreTimings(trust=10 * BOUND_SECONDS)) as (server, _, store):
        server.stop()
        with pytest.raises(StorageUnavailable):
            await store.clients.add(slug="other", name="Other", plan="free", created_at=NOW)

        assert await store.api_keys.principal(DIGEST)


async def test_what_a_paused_server_no_longer_vouches_for_is_not_used() -> None:
    async with on_a_server_of_its_own() as (server, _, store):
        server.send(signal.SIGSTOP)
        try:
            await until(lambda: store.api_keys.remembered(DIGEST) is None, seconds=STORE_TIMINGS.trust + BOUND_SECONDS)
            with pytest.raises(StorageUnavailable):
                await store.api_keys.principal(DIGEST)
            with pytest.raises(StorageUnavailable):
                await store.clients.add(slug="other", name="Other", plan="free", created_at=NOW)
        finally:
            server.send(signal.SIGCONT)

        async with asyncio.timeout(BOUND_SECONDS):
            while True:
                with suppress(StorageUnavailable):
                    assert await store.api_keys.principal(DIGEST)
                    break


async def test_behind_pgbouncer_all_is_as_without(postgres: PostgresServer, url: SecretUrl) -> None:
    """In transaction mode each transaction may be on another connection of the server's, and no notification comes."""
    async with AsyncExitStack() as stack:
        through = stack.enter_context(pgbouncer(postgres, url))
        one = await stack.enter_async_context(store_at(through))
        other = await stack.enter_async_context(store_at(through))
        client, key = await add_key(one)
        assert await other.api_keys.principal(DIGEST)
        await asyncio.gather(*(store.clients.all() for store in (one, other) * 20))
        one.usage.count_first(key.id, 1_000_000.0, address="127.0.0.1", agent="curl")
        await one.usage.flush()

        await one.api_keys.revoke(client.id, key.id, at=NOW)

        async with asyncio.timeout(BOUND_SECONDS):
            while await other.api_keys.principal(DIGEST):
                await asyncio.sleep(0.05)
