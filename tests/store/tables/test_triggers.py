"""The audit rows of triggers."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import msgspec
import pytest

from gateway.errors import StorageUnavailable
from gateway.models import Client, Connection
from gateway.store import Intent, Outcome, Store, TriggerUnderWay
from gateway.store.database import Transaction
from gateway.store.pruning import PRUNE_STEP
from tests.support import sqlite_of

NOW = "2026-04-01T03:00:00.000Z"
LATER = "2026-04-01T03:00:05.000Z"


@pytest.fixture
async def acme(store: Store) -> Client:
    client = await store.clients.add(slug="acme", name="Acme", plan="free", created_at=NOW)
    await store.connections.add(connection_of(client))
    return client


def connection_of(client: Client, id_: str = "conn_1", airbyte_id: str = "airbyte-1") -> Connection:
    return Connection(id_, client.id, "shopify", "Shop", "active", NOW, airbyte_id=airbyte_id)


def intent_of(client: Client, connection_id: str = "conn_1", airbyte_id: str = "airbyte-1", **other: str) -> Intent:
    times = {"created_at": NOW, "since": NOW} | other
    return Intent(
        client_id=client.id,
        connection_id=connection_id,
        airbyte_id=airbyte_id,
        caller="key_1",
        request_id="request-1",
        **times,
    )


async def rows(store: Store) -> list[dict[str, Any]]:
    return [dict(row) for row in await store.database.fetch_all("SELECT * FROM triggers ORDER BY number")]


async def begun(store: Store, client: Client) -> int:
    number = await store.triggers.begin(intent_of(client))
    assert number is not None
    return number


@pytest.mark.sqlite_only
async def test_an_intent_is_durable_before_anything_is_sent(store: Store, acme: Client) -> None:
    number = await store.triggers.begin(intent_of(acme))

    with closing(sqlite3.connect(sqlite_of(store).path)) as another_process:
        (row,) = another_process.execute("SELECT * FROM triggers").fetchall()
    assert row == (number, acme.id, "conn_1", "airbyte-1", "key_1", "request-1", NOW, NOW, *[None] * 6)


@pytest.mark.parametrize(
    ("connection_id", "airbyte_id"),
    [("conn_9", "airbyte-1"), ("conn_1", "airbyte-9")],
    ids=["removed", "mapped anew"],
)
async def test_a_connection_that_is_no_longer_so_mapped_has_no_intent(
    store: Store, acme: Client, connection_id: str, airbyte_id: str
) -> None:
    assert await store.triggers.begin(intent_of(acme, connection_id, airbyte_id)) is None
    assert await rows(store) == []


async def test_another_client_s_connection_has_no_intent(store: Store, acme: Client) -> None:
    other = await store.clients.add(slug="other", name="Other", plan="free", created_at=NOW)

    assert await store.triggers.begin(intent_of(other)) is None
    assert await rows(store) == []


@pytest.mark.parametrize(("outcome", "job_id"), [("ok", 7), ("unreachable", None)])
async def test_an_outcome_is_added_to_its_row(store: Store, acme: Client, outcome: str, job_id: int | None) -> None:
    first, second = await begun(store, acme), await begun(store, acme)

    await store.triggers.resolve(acme.id, first, outcome=outcome, job_id=job_id, at=LATER)

    resolved, open_ = await rows(store)
    assert (resolved["outcome"], resolved["job_id"], resolved["resolved_at"]) == (outcome, job_id, LATER)
    assert (open_["outcome"], open_["job_id"], open_["resolved_at"]) == (None, None, None)
    assert [each.number for each in await store.triggers.unresolved(10)] == [second]


async def test_a_client_cannot_resolve_another_s_trigger(store: Store, acme: Client) -> None:
    number = await begun(store, acme)

    await store.triggers.resolve(acme.id + 1, number, outcome="ok", job_id=7, at=LATER)

    assert [each.number for each in await store.triggers.unresolved(10)] == [number]


async def test_the_first_outcome_stays(store: Store, acme: Client) -> None:
    number = await begun(store, acme)
    await store.triggers.resolve(acme.id, number, outcome="ok", job_id=7, at=LATER)

    await store.triggers.resolve(acme.id, number, outcome="none", job_id=None, at="2026-04-02T00:00:00.000Z")

    (row,) = await rows(store)
    assert (row["outcome"], row["job_id"], row["resolved_at"]) == ("ok", 7, LATER)


async def test_the_oldest_unresolved_come_first_and_no_more_than_asked_for(store: Store, acme: Client) -> None:
    numbers = [await begun(store, acme) for _ in range(4)]

    left = await store.triggers.unresolved(3)

    assert [each.number for each in left] == numbers[:3]
    assert (left[0].client_id, left[0].connection_id, left[0].airbyte_id) == (acme.id, "conn_1", "airbyte-1")
    assert (left[0].created_at, left[0].since) == (NOW, NOW)
    assert (left[0].newest_before, left[0].span_seconds) == (None, None)


async def mark_sent(store: Store, client_id: int, number: int) -> bool:
    return await store.triggers.mark_sent(client_id, number, newest_before=7, since=LATER, span_seconds=80)


async def test_what_is_known_when_a_trigger_is_sent_is_kept_with_it(store: Store, acme: Client) -> None:
    number = await begun(store, acme)

    assert await mark_sent(store, acme.id, number)

    (left,) = await store.triggers.unresolved(10)
    assert (left.number, left.newest_before, left.since, left.span_seconds) == (number, 7, LATER, 80)


@pytest.mark.parametrize("change", ["another client's", "resolved", "removed", "mapped anew"])
async def test_a_trigger_that_may_not_be_sent_any_more_is_not_marked(store: Store, acme: Client, change: str) -> None:
    number = await begun(store, acme)
    if change == "resolved":
        await store.triggers.resolve(acme.id, number, outcome="none", job_id=None, at=LATER)
    elif change == "removed":
        await store.connections.remove(acme.id, "conn_1")
    elif change == "mapped anew":
        await store.connections.map(connection_of(acme, airbyte_id="airbyte-2"))

    assert not await mark_sent(store, acme.id + (change == "another client's"), number)

    assert [row["span_seconds"] for row in await rows(store)] == [None]


@pytest.mark.sqlite_only
async def test_neither_write_flushes_what_is_cached(store: Store, acme: Client) -> None:
    before = sqlite_of(store).watch.epoch()

    number = await begun(store, acme)
    await store.triggers.resolve(acme.id, number, outcome="ok", job_id=7, at=LATER)
    await store.triggers.prune(NOW)

    assert sqlite_of(store).watch.epoch() == before


@pytest.mark.sqlite_only
async def test_each_write_is_one_transaction(store: Store, acme: Client) -> None:
    commits = sqlite_of(store).watch.count()

    number = await begun(store, acme)
    await store.triggers.resolve(acme.id, number, outcome="ok", job_id=7, at=LATER)

    assert sqlite_of(store).watch.count() == commits + 2


async def test_pruning_forgets_the_old_and_keeps_the_new(store: Store, acme: Client) -> None:
    for time in ("2025-12-31T00:00:00.000Z", "2026-01-01T00:00:00.000Z", NOW):
        await store.triggers.begin(intent_of(acme, created_at=time))

    await store.triggers.prune("2026-01-01T00:00:00.000Z")

    assert [row["created_at"] for row in await rows(store)] == ["2026-01-01T00:00:00.000Z", NOW]


@pytest.mark.sqlite_only
async def test_pruning_goes_in_steps_until_all_that_is_old_is_gone(store: Store, acme: Client) -> None:
    with closing(sqlite3.connect(sqlite_of(store).path)) as another_process, another_process:
        another_process.executemany(
            """
            INSERT INTO triggers (client_id, connection_id, airbyte_id, caller, request_id, created_at, since)
            VALUES (?, 'conn_1', 'airbyte-1', 'key_1', 'request', ?, '2025')
            """,
            [(acme.id, "2025" if number % 3 else NOW) for number in range(3 * PRUNE_STEP)],
        )
    commits = sqlite_of(store).watch.count()

    await store.triggers.prune(NOW)

    assert [row["created_at"] for row in await rows(store)] == [NOW] * PRUNE_STEP
    # Two full steps, and the one that finds nothing and so commits nothing.
    assert sqlite_of(store).watch.count() == commits + 2


async def test_the_rows_of_a_removed_client_go_with_it(store: Store, acme: Client) -> None:
    await begun(store, acme)

    await store.clients.remove(acme.id)

    assert await rows(store) == []


async def test_the_rows_of_a_removed_connection_stay(store: Store, acme: Client) -> None:
    number = await begun(store, acme)
    await store.connections.remove(acme.id, "conn_1")

    await store.triggers.resolve(acme.id, number, outcome="ok", job_id=7, at=LATER)

    assert [row["job_id"] for row in await rows(store)] == [7]


@pytest.mark.sqlite_only
async def test_an_intent_that_cannot_be_written_says_so(store: Store, acme: Client) -> None:
    with closing(sqlite3.connect(sqlite_of(store).path, isolation_level=None)) as another_process:
        another_process.execute("BEGIN IMMEDIATE")

        with pytest.raises(StorageUnavailable):
            await store.triggers.begin(intent_of(acme))

    assert await rows(store) == []


async def begin_at(store: Store, client: Client, gateway_id: str, *, young_since: str = NOW) -> int | None:
    intent = msgspec.structs.replace(intent_of(client), gateway_id=gateway_id)
    return await store.triggers.begin(intent, young_since=young_since)


@pytest.fixture
async def living(store: Store) -> None:
    for gateway_id in ("a", "b"):
        await store.gateways.join(gateway_id, name=gateway_id, is_alone=False)


@pytest.mark.usefixtures("living")
async def test_of_many_gateways_one_triggers_a_connection(store: Store, acme: Client) -> None:
    begun = await asyncio.gather(*(begin_at(store, acme, "ab"[n % 2]) for n in range(10)), return_exceptions=True)

    numbers = [each for each in begun if isinstance(each, int)]
    assert {row["gateway_id"] for row in await rows(store)} == {"a"}
    assert len(numbers) == 5
    assert {each.number for each in begun if isinstance(each, TriggerUnderWay)} == {numbers[0]}


@pytest.mark.usefixtures("living")
async def test_the_outcome_of_another_s_is_told_when_it_is_there(store: Store, acme: Client) -> None:
    number = await begin_at(store, acme, "a")
    assert number is not None
    assert await store.triggers.outcome(acme.id, number) is None

    await store.triggers.resolve(acme.id, number, outcome="ok", job_id=7, at=NOW)

    assert await store.triggers.outcome(acme.id, number) == Outcome("ok", 7)
    assert await store.triggers.outcome(acme.id + 1, number) is None
    assert await begin_at(store, acme, "b") is not None


@pytest.mark.usefixtures("living")
async def test_another_s_that_is_old_or_dead_holds_nobody_up(store: Store, acme: Client) -> None:
    assert await begin_at(store, acme, "a") is not None
    assert await begin_at(store, acme, "b", young_since="2026-04-01T03:00:00.001Z") is not None
    await store.gateways.leave("b")

    assert await begin_at(store, acme, "c", young_since="2026-04-01T03:00:00.001Z") is not None


@pytest.mark.usefixtures("living")
async def test_after_an_outage_who_was_silent_may_live_still(store: Store, acme: Client) -> None:
    number = await begin_at(store, acme, "a")
    await store.database.write(_silent_for_a_minute)
    intent = msgspec.structs.replace(intent_of(acme), gateway_id="b")

    with pytest.raises(TriggerUnderWay) as other:
        await store.triggers.begin(intent, young_since=NOW, silence_seconds=100)
    await store.database.write(_seen_now)
    await mark_sent(store, acme.id, number or 0)
    with pytest.raises(TriggerUnderWay) as sent:
        await store.triggers.begin(intent, young_since=NOW)
    await store.database.write(_silent_for_a_minute)
    assert (sent.value.number, sent.value.is_sent) == (number, True)

    assert (other.value.number, other.value.is_sent) == (number, False)
    assert await store.triggers.begin(intent, young_since=NOW) is not None


async def _seen_now(connection: Transaction) -> None:
    await connection.execute_fetchall("UPDATE gateways SET seen_at = seen_at + 60000")


async def _silent_for_a_minute(connection: Transaction) -> None:
    await connection.execute_fetchall("UPDATE gateways SET seen_at = seen_at - 60000")


async def test_an_intent_whose_number_nobody_learned_can_be_withdrawn(store: Store, acme: Client) -> None:
    intent = msgspec.structs.replace(intent_of(acme), gateway_id="a")
    await store.triggers.begin(intent)
    for field, other in (("client_id", acme.id + 1), ("gateway_id", "b"), ("request_id", "x"), ("created_at", LATER)):
        another = msgspec.structs.replace(intent, **{field: other})
        await store.triggers.withdraw(another, outcome="none", at=LATER)
    assert [row["outcome"] for row in await rows(store)] == [None]

    await store.triggers.withdraw(intent, outcome="none", at=LATER)
    await store.triggers.withdraw(intent, outcome="other", at=LATER)

    assert [(row["outcome"], row["resolved_at"]) for row in await rows(store)] == [("none", LATER)]


@pytest.mark.usefixtures("living")
async def test_what_a_living_gateway_is_at_is_not_left_over(store: Store, acme: Client) -> None:
    begun = await begin_at(store, acme, "a")

    async def left_over(young_since: str | None) -> list[int]:
        return [each.number for each in await store.triggers.unresolved(10, young_since=young_since)]

    assert await left_over(NOW) == []
    assert await left_over("2026-04-01T03:00:00.001Z") == [begun]
    assert await left_over(None) == [begun]
    await store.gateways.leave("a")
    assert await left_over(NOW) == [begun]
