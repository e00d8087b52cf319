"""Writes that wait share one commit, and each still stands or falls alone. On both databases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway.errors import StorageUnavailable
from gateway.models import Client
from gateway.store import DatabaseLocation, Store
from gateway.store.database import ConstraintViolated, Transaction, Unit
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.timings import StoreTimings
from gateway.store.writing import MOST_UNITS
from tests.support import BOUND_SECONDS, store_at

NOW = "2026-04-01T03:00:00.000Z"


@pytest.fixture
async def store(database_location: DatabaseLocation) -> AsyncIterator[Store]:
    """One whose transactions are joined however long they take, so that no slow moment of the machine decides."""
    timings = StoreTimings(write_lock=BOUND_SECONDS, joining=BOUND_SECONDS)
    async with store_at(database_location, timings=timings) as opened:
        yield opened


def adding(slug: str) -> Unit[str]:
    async def unit(transaction: Transaction) -> str:
        await transaction.execute_fetchall(
            "INSERT INTO clients (slug, name, plan, created_at) VALUES (:slug, 'A', 'free', :now)",
            {"slug": slug, "now": NOW},
        )
        return slug

    return unit


def failing(slug: str) -> Unit[str]:
    async def unit(transaction: Transaction) -> str:
        await adding(slug)(transaction)
        raise ZeroDivisionError

    return unit


def after(event: asyncio.Event, unit: Unit[str]) -> Unit[str]:
    async def waiting(transaction: Transaction) -> str:
        done = await unit(transaction)
        await event.wait()
        return done

    return waiting


async def slugs(store: Store) -> list[str]:
    return [row["slug"] for row in await store.database.fetch_all("SELECT slug FROM clients ORDER BY slug")]


async def at_once(store: Store, *units: Unit[str], then: Callable[[], Awaitable[None]] | None = None) -> list[Any]:
    """What came of the units, which wait together behind one that is under way, and join its transaction."""
    hold = asyncio.Event()
    tasks = [asyncio.create_task(store.database.write(unit)) for unit in (after(hold, adding("first")), *units)]
    await asyncio.sleep(0)
    if then is not None:
        await then()
    hold.set()
    async with asyncio.timeout(BOUND_SECONDS):
        return (await asyncio.gather(*tasks, return_exceptions=True))[1:]


async def commits(store: Store) -> int:
    """How many transactions the database has committed."""
    if isinstance(store.database, SqliteDatabase):
        return store.database.watch.count()
    row = await store.database.fetch_one("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS number")
    assert row
    return int(row["number"])


async def test_writes_that_wait_share_one_commit(store: Store) -> None:
    before = await commits(store)

    told = await at_once(store, *(adding(f"c{number}") for number in range(10)))

    assert told == [f"c{number}" for number in range(10)]
    assert len(await slugs(store)) == 11
    # PostgreSQL gives each savepoint that writes a number as well: all of one transaction, and no other.
    assert await commits(store) - before == (1 if isinstance(store.database, SqliteDatabase) else 11)


async def test_a_unit_that_fails_is_undone_alone(store: Store) -> None:
    told = await at_once(store, adding("a"), failing("b"), adding("a"), adding("c"))

    assert [told[0], told[3]] == ["a", "c"]
    assert [type(told[1]), type(told[2])] == [ZeroDivisionError, ConstraintViolated]
    assert await slugs(store) == ["a", "c", "first"]


async def test_the_first_that_fails_takes_nobody_along(store: Store) -> None:
    tasks = [asyncio.create_task(store.database.write(unit)) for unit in (failing("a"), adding("b"), adding("c"))]

    told = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(told[0]), told[1], told[2]] == [ZeroDivisionError, "b", "c"]
    assert await slugs(store) == ["b", "c"]


async def test_nobody_is_answered_before_the_common_commit(store: Store) -> None:
    hold, last_runs = asyncio.Event(), asyncio.Event()

    async def last(transaction: Transaction) -> str:
        last_runs.set()
        await hold.wait()
        return await adding("last")(transaction)

    early = [asyncio.create_task(store.database.write(unit)) for unit in (adding("a"), failing("b"), adding("c"))]
    late = asyncio.create_task(store.database.write(last))
    await last_runs.wait()

    # The first of them fails or succeeds by itself only when it is alone in its transaction; here it is not.
    assert [task.done() for task in early] == [False, False, False]
    assert await slugs(store) == []
    hold.set()
    assert await late == "last"
    assert [type(task.exception()) if task.exception() else task.result() for task in early] == [
        "a",
        ZeroDivisionError,
        "c",
    ]


async def test_a_transaction_that_is_lost_is_lost_for_all_its_units_and_for_no_other(store: Store) -> None:
    """As SQLite undoes all of it when the disk is full: what comes after must not be committed by itself."""

    async def losing(transaction: Transaction) -> str:
        await transaction.execute_fetchall("ROLLBACK")
        return "lost"

    told = await at_once(store, adding("a"), losing, adding("c"))

    assert [type(told[0]), type(told[1]), told[2]] == [StorageUnavailable, StorageUnavailable, "c"]
    assert await slugs(store) == ["c"]


async def test_one_transaction_takes_so_many_units_and_the_next_the_rest(store: Store) -> None:
    told = await at_once(store, *(adding(f"c{number:03}") for number in range(2 * MOST_UNITS)))

    assert told == [f"c{number:03}" for number in range(2 * MOST_UNITS)]
    assert len(await slugs(store)) == 2 * MOST_UNITS + 1


async def test_a_caller_that_leaves_ends_neither_its_unit_nor_the_others(store: Store) -> None:
    hold = asyncio.Event()
    leaving = asyncio.create_task(store.database.write(after(hold, adding("a"))))
    staying = asyncio.create_task(store.database.write(adding("b")))
    await asyncio.sleep(0)
    leaving.cancel()
    hold.set()

    assert await staying == "b"
    assert await slugs(store) == ["a", "b"]


async def test_who_waits_too_long_behind_another_is_told_and_its_unit_never_runs(
    database_location: DatabaseLocation,
) -> None:
    async with store_at(database_location, timings=StoreTimings(write_lock=0.05)) as store:
        hold = asyncio.Event()
        long = asyncio.create_task(store.database.write(after(hold, adding("long"))))
        await asyncio.sleep(0)
        long_runs_since = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < long_runs_since + 0.03:
            await asyncio.sleep(0.005)
        with pytest.raises(StorageUnavailable) as refusal:
            await store.database.write(adding("late"))
        hold.set()

        assert refusal.value.detail == "no write lock within 0.05 s"
        assert await long == "long"
        assert await slugs(store) == ["long"]


@pytest.mark.sqlite_only
@pytest.mark.parametrize("housekeeping", [True, False])
async def test_what_is_cached_is_read_again_if_one_of_the_units_was_no_housekeeping(
    store: Store, acme: Client, *, housekeeping: bool
) -> None:
    before = store.database.epoch("keys")
    hold = asyncio.Event()
    writes = [
        asyncio.create_task(store.database.write(after(hold, adding("first")), housekeeping=True)),
        asyncio.create_task(store.database.write(adding("second"), housekeeping=housekeeping)),
    ]
    await asyncio.sleep(0)
    hold.set()
    await asyncio.gather(*writes)
    await asyncio.sleep(0)

    assert (store.database.epoch("keys") == before) is housekeeping
