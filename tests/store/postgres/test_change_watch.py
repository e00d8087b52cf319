"""Whose records a commit makes stale: its clients' on every gateway; everybody's where that is not known."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec
import pytest

from gateway.models import ApiKey, Client, RatePolicy
from gateway.settings.secret import SecretUrl
from gateway.store import Store, ToldStatus
from gateway.store.bulk import Snapshot
from gateway.store.changes import Changes
from gateway.store.database import Transaction
from tests.postgres import PostgresServer, rows_of
from tests.store.tables.records import NOW, TOMORROW, a_connection, an_entry
from tests.support import BOUND_SECONDS, PATIENT, store_at

ONLY_NOTIFIED = msgspec.structs.replace(PATIENT, poll=10 * BOUND_SECONDS, trust=100 * BOUND_SECONDS)
FEW = 50
"""So many clients at most are named with a change; one more, and it is everybody's."""
AGAIN = b"digest of another key of acme"


@pytest.fixture
def url(postgres: PostgresServer) -> SecretUrl:
    return postgres.without_rows()


@pytest.fixture
async def two(url: SecretUrl) -> AsyncIterator[tuple[Store, Store]]:
    """The stores of two gateways, which learn of changes by notifications and before their own writes."""
    async with store_at(url, timings=ONLY_NOTIFIED) as one, store_at(url, timings=ONLY_NOTIFIED) as other:
        yield one, other


class Tenant(msgspec.Struct, frozen=True):
    """A client with a key and a connection."""

    client: Client
    key: ApiKey
    digest: bytes

    async def records(self, store: Store) -> tuple[object, object]:
        """What the gateway has in memory, read now if it has not. The same objects as before unless it forgot them."""
        return await store.api_keys.principal(self.digest), await store.connections.of_client(self.client.id)


async def a_tenant(store: Store, slug: str) -> Tenant:
    client = await store.clients.add(slug=slug, name=slug.title(), plan="free", created_at=NOW)
    key = ApiKey(id=f"key_{slug}", client_id=client.id, start="smrt_", name="k", scope="full", created_at=NOW)
    await store.api_keys.add(key, digest=slug.encode())
    await store.connections.add(a_connection(client, f"conn_{slug}", f"airbyte-{slug}"))
    return Tenant(client, key, slug.encode())


async def caught_up(store: Store) -> None:
    """A transaction reads what was committed before it."""

    async def nothing(_transaction: Transaction) -> None: ...

    await store.database.write(nothing)


def are_same(records: Sequence[object], others: Sequence[object]) -> list[bool]:
    return [one is other for one, other in zip(records, others, strict=True)]


async def add_key(store: Store, acme: Tenant) -> None:
    await store.api_keys.add(msgspec.structs.replace(acme.key, id="key_again"), digest=AGAIN)


async def replace_key(store: Store, acme: Tenant) -> None:
    new = msgspec.structs.replace(acme.key, id="key_again")
    await store.api_keys.replace(acme.key, new, digest=AGAIN, old_expires_at=TOMORROW)


async def revoke_key(store: Store, acme: Tenant) -> None:
    await store.api_keys.revoke(acme.client.id, acme.key.id, at=NOW)


async def change_rate(store: Store, acme: Tenant) -> None:
    await store.clients.update(msgspec.structs.replace(acme.client, rate=RatePolicy(5, 60)))


async def disable(store: Store, acme: Tenant) -> None:
    await store.clients.disable(acme.client.id, at=NOW)


async def remove_client(store: Store, acme: Tenant) -> None:
    await store.clients.remove(acme.client.id)


async def add_client(store: Store, _acme: Tenant) -> None:
    await a_tenant(store, "third")


async def rename_connection(store: Store, acme: Tenant) -> None:
    await store.connections.rename(acme.client.id, "conn_acme", label="Renamed")


async def remove_connection(store: Store, acme: Tenant) -> None:
    await store.connections.remove(acme.client.id, "conn_acme")


async def record_status(store: Store, _acme: Tenant) -> None:
    await store.statuses.record([ToldStatus("airbyte-acme", "inactive")], checked_at=NOW)


async def use_key(store: Store, acme: Tenant) -> None:
    store.usage.count_first(acme.key.id, 1_000_000.0, address="127.0.0.1", agent="curl")
    await store.usage.flush()


async def apply_manifest(store: Store, acme: Tenant) -> None:
    async def work(_: Snapshot, changes: Changes) -> None:
        await changes.update_client(msgspec.structs.replace(acme.client, name="Acme Ltd"), an_entry())
        await changes.revoke_key("acme", acme.key, msgspec.structs.replace(an_entry(), at=NOW))
        await changes.remove_connection("acme", "conn_acme", an_entry())

    await store.bulk.change(work)


@pytest.mark.parametrize(
    "change",
    [
        add_key,
        replace_key,
        revoke_key,
        change_rate,
        disable,
        remove_client,
        add_client,
        rename_connection,
        remove_connection,
        record_status,
        use_key,
        apply_manifest,
    ],
)
async def test_a_change_about_one_client_leaves_the_others_in_every_gateways_memory(
    two: tuple[Store, Store], change: Callable[[Store, Tenant], Awaitable[None]]
) -> None:
    acme, other = [await a_tenant(two[0], slug) for slug in ("acme", "other")]
    for store in two:
        await caught_up(store)
    before = [await other.records(store) for store in two]

    await change(two[0], acme)
    await caught_up(two[1])

    for store, records in zip(two, before, strict=True):
        assert are_same(await other.records(store), records) == [True, True]


@pytest.mark.parametrize(
    ("change", "is_known"),
    [
        (revoke_key, [False, True]),
        (rename_connection, [True, False]),
        (record_status, [True, False]),
        (use_key, [True, True]),
        (apply_manifest, [False, False]),
        (remove_client, [False, False]),
    ],
)
async def test_what_a_change_is_about_is_read_again_by_every_gateway(
    two: tuple[Store, Store], change: Callable[[Store, Tenant], Awaitable[None]], is_known: list[bool]
) -> None:
    acme = await a_tenant(two[0], "acme")
    for store in two:
        await caught_up(store)
    before = [await acme.records(store) for store in two]

    await change(two[0], acme)
    await caught_up(two[1])

    for store, records in zip(two, before, strict=True):
        assert are_same(await acme.records(store), records) == is_known


async def heard(store: Store, other: Tenant, url: SecretUrl) -> None:
    """Wait until a change that comes after all that was notified has been noticed."""
    before = await other.records(store)
    rows_of(url, f"UPDATE clients SET plan = plan || '+' WHERE id = {other.client.id}")
    async with asyncio.timeout(BOUND_SECONDS):
        while are_same(await other.records(store), before)[0]:
            await asyncio.sleep(0.01)


async def test_notifications_alone_make_only_the_changed_client_read_again(
    two: tuple[Store, Store], url: SecretUrl
) -> None:
    acme, other, third = [await a_tenant(two[0], slug) for slug in ("acme", "other", "third")]
    await caught_up(two[1])
    before = [await tenant.records(two[1]) for tenant in (acme, third)]

    for number in range(20):
        await two[0].clients.update(msgspec.structs.replace(acme.client, name=f"Acme {number}"))
    await heard(two[1], other, url)

    assert are_same(await acme.records(two[1]), before[0]) == [False, True]
    assert are_same(await third.records(two[1]), before[1]) == [True, True]


async def test_a_key_revoked_by_another_program_is_refused_by_a_gateway_that_only_listens(
    two: tuple[Store, Store], url: SecretUrl
) -> None:
    acme, other = [await a_tenant(two[0], slug) for slug in ("acme", "other")]
    await caught_up(two[1])
    assert await acme.records(two[1])

    rows_of(url, f"UPDATE api_keys SET revoked_at = '{NOW}' WHERE id = 'key_acme'")
    await heard(two[1], other, url)

    assert await two[1].api_keys.principal(acme.digest) is None


async def test_a_key_that_changes_hands_is_read_again_for_both(two: tuple[Store, Store], url: SecretUrl) -> None:
    acme, other = [await a_tenant(two[0], slug) for slug in ("acme", "other")]
    before = [await tenant.records(two[0]) for tenant in (acme, other)]

    rows_of(url, f"UPDATE api_keys SET client_id = {other.client.id} WHERE id = 'key_acme'")
    rows_of(url, f"UPDATE connections SET client_id = {other.client.id} WHERE id = 'conn_acme'")
    await caught_up(two[0])

    for tenant, records in zip((acme, other), before, strict=True):
        assert are_same(await tenant.records(two[0]), records) == [False, False]


@pytest.mark.parametrize(("changed", "is_known"), [(FEW, True), (FEW + 1, False)])
async def test_a_change_of_more_than_a_few_clients_is_everybodys(
    two: tuple[Store, Store], url: SecretUrl, changed: int, is_known: bool
) -> None:
    other = await a_tenant(two[0], "other")
    rows_of(
        url,
        "INSERT INTO clients (slug, name, plan, created_at) "
        f"SELECT 'client-' || number, '', '', '' FROM generate_series(1, {FEW + 1}) AS number",
    )
    await caught_up(two[0])
    before = await other.records(two[0])

    rows_of(url, f"UPDATE clients SET plan = 'gold' WHERE slug LIKE 'client-%' AND id <= {other.client.id + changed}")
    await caught_up(two[0])

    assert are_same(await other.records(two[0]), before) == [is_known, True]


@pytest.mark.parametrize("change", ["two", "back", "all", "truncated"])
async def test_what_a_gateway_cannot_tell_whose_it_is_makes_it_read_everything_again(
    two: tuple[Store, Store], url: SecretUrl, change: str
) -> None:
    acme, other = [await a_tenant(two[0], slug) for slug in ("acme", "other")]
    await caught_up(two[0])
    before = await other.records(two[0])

    counted = "SET session_replication_role = replica; UPDATE changes SET number = number + {}, clients = '{}'"
    rows_of(
        url,
        {
            "two": counted.format(2, f"{{{acme.client.id}}}"),
            "back": counted.format(-1, f"{{{acme.client.id}}}"),
            "all": counted.format(1, "{}"),
            "truncated": "BEGIN; TRUNCATE connections, api_keys, recent_syncs; COMMIT",
        }[change],
    )
    await caught_up(two[0])

    assert are_same(await other.records(two[0]), before) == [False, False]


async def test_what_a_transaction_took_back_is_nobodys(two: tuple[Store, Store], url: SecretUrl) -> None:
    acme, other = [await a_tenant(two[0], slug) for slug in ("acme", "other")]
    before = [await tenant.records(two[0]) for tenant in (acme, other)]

    rows_of(
        url,
        "BEGIN; SAVEPOINT here; UPDATE clients SET plan = 'gold'; ROLLBACK TO here; "
        f"UPDATE clients SET plan = 'gold' WHERE id = {acme.client.id}; COMMIT",
    )
    await caught_up(two[0])

    assert are_same(await acme.records(two[0]), before[0]) == [False, True]
    assert are_same(await other.records(two[0]), before[1]) == [True, True]


async def test_a_gateway_that_reaches_the_server_again_reads_everything_again(
    two: tuple[Store, Store], url: SecretUrl
) -> None:
    """It may be another server, whose counts are others'."""
    acme = await a_tenant(two[0], "acme")
    assert await acme.records(two[0])

    rows_of(url, f"SET session_replication_role = replica; UPDATE api_keys SET revoked_at = '{NOW}'")
    rows_of(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND query LIKE '%FROM changes%'",
    )

    async with asyncio.timeout(BOUND_SECONDS):
        while await two[0].api_keys.principal(acme.digest):
            await asyncio.sleep(0.01)


async def test_a_notification_that_is_none_of_ours_makes_it_read_everything_again(
    two: tuple[Store, Store], url: SecretUrl
) -> None:
    acme, other = [await a_tenant(two[0], slug) for slug in ("acme", "other")]
    before = await acme.records(two[1])

    rows_of(url, "NOTIFY gateway_changes, 'keys 18'")
    await heard(two[1], other, url)

    assert are_same(await acme.records(two[1]), before) == [False, False]
