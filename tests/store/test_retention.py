"""How long rows are kept."""

import asyncio
import io
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta

import pytest

from gateway.airbyte.in_process import in_process
from gateway.models import ApiKey, SyncDay
from gateway.services import build_services
from gateway.store.database import Transaction
from gateway.store.pruning import PRUNE_STEP
from gateway.store.retention import Retention
from gateway.store.timings import RetentionTimings
from gateway.telemetry.log import configure_log
from gateway.times import format_time
from tests.support import BOUND_SECONDS, START, World

pytestmark = pytest.mark.sqlite_only

DAY = timedelta(days=1)
KEPT = {
    "triggers": timedelta(days=90),
    "key_usage": timedelta(days=40),
    "key_callers": timedelta(days=30),
    "activity": timedelta(days=400),
    "events": timedelta(days=14),
}
"""Rows by their age. Keys go by their end: see below."""
INSERT = {
    "triggers": (
        "INSERT INTO triggers (client_id, connection_id, airbyte_id, caller, request_id, created_at, since)"
        " VALUES (1, 'conn_1', 'airbyte-1', 'key_1', 'request-1', :at, '')"
    ),
    "key_usage": "INSERT INTO key_usage VALUES ('key_1', 1, :at, 1, 0, 0)",
    "key_callers": "INSERT INTO key_callers VALUES ('key_1', 1, '192.0.2.1', :at, :at, :at)",
    "events": (
        "INSERT INTO events (id, client_id, type, subject, at, data, created_at)"
        " VALUES (:at, 1, 'key.created', :at, '', '{}', :at)"
    ),
    "activity": "INSERT INTO activity (at, actor, action, subject, by_operator) VALUES (:at, '', '', '', 0)",
}
SELECT = {
    "triggers": "SELECT created_at FROM triggers ORDER BY 1",
    "key_usage": "SELECT hour FROM key_usage ORDER BY 1",
    "key_callers": "SELECT last_at FROM key_callers ORDER BY 1",
    "events": "SELECT created_at FROM events ORDER BY 1",
    "activity": "SELECT at FROM activity WHERE action = '' ORDER BY 1",
}
every_table = pytest.mark.parametrize("table", KEPT)


async def insert(world: World, table: str, moment: datetime) -> None:
    async def write(connection: Transaction) -> None:
        await connection.execute_fetchall(INSERT[table], {"at": format_time(moment)})

    await world.services.store.database.write(write)


async def times(world: World, table: str) -> list[str]:
    return [row[0] for row in await world.services.store.database.fetch_all(SELECT[table])]


async def until_left(world: World, table: str, count: int) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while len(await times(world, table)) != count:
            await asyncio.sleep(0.001)


@asynccontextmanager
async def often(world: World) -> AsyncIterator[list[None]]:
    """Looks for old rows a hundred times a second instead of once a day; each time that was done is in the list."""
    rounds: list[None] = []
    timings = RetentionTimings(every=0.01)
    task = asyncio.create_task(
        Retention(world.services.store, world.clock, timings=timings).run(lambda: rounds.append(None))
    )
    yield rounds
    task.cancel()
    await asyncio.wait({task})


@pytest.fixture(autouse=True)
async def _acme(world: World) -> None:
    """A client for the rows to belong to."""
    await world.services.clients.add(slug="acme", name="Acme", plan="free")


@every_table
async def test_a_start_forgets_what_is_older_than_its_time_and_nothing_else(world: World, table: str) -> None:
    edge = START - KEPT[table]
    for moment in (edge - DAY, edge - timedelta(milliseconds=1), edge, START):
        await insert(world, table, moment)

    services = build_services(world.services.settings, world.clock, connect=in_process(world.sandbox.app))
    async with services.serving():
        await until_left(world, table, 2)

    assert await times(world, table) == [format_time(edge), format_time(START)]


@every_table
async def test_what_grows_old_while_the_gateway_runs_is_forgotten_too(world: World, table: str) -> None:
    await insert(world, table, START)

    async with often(world) as rounds:
        async with asyncio.timeout(BOUND_SECONDS):
            while len(rounds) < 2:
                await asyncio.sleep(0.01)
        assert await times(world, table) == [format_time(START)]
        world.clock.advance((KEPT[table] + DAY).total_seconds())
        await until_left(world, table, 0)


async def test_a_database_that_is_busy_is_tried_again(world: World) -> None:
    stream = io.StringIO()
    configure_log(level="warning", style="json", stream=stream)
    await insert(world, "activity", START - KEPT["activity"] - DAY)

    with closing(sqlite3.connect(world.services.settings.database_path, isolation_level=None)) as another_process:
        another_process.execute("BEGIN IMMEDIATE")
        async with often(world), asyncio.timeout(BOUND_SECONDS):
            while "old_rows_not_pruned" not in stream.getvalue():
                await asyncio.sleep(0.01)
            another_process.execute("ROLLBACK")
            await until_left(world, "activity", 0)


@pytest.mark.parametrize("ending", ["revoked", "expired"])
async def test_a_key_goes_ninety_days_after_its_end_with_its_usage(world: World, ending: str) -> None:
    key, _, other = [await world.key(expires="1d"), await world.key(), await world.key()]
    await world.services.keys.revoke(other.record.id)
    if ending == "revoked":
        await world.services.keys.revoke(key.record.id)
    moment = timedelta(days=90 if ending == "revoked" else 91).total_seconds()
    store = world.services.store
    retention = Retention(store, world.clock)
    for number in range(PRUNE_STEP + 1):
        await insert_ended(world, f"key_old_{number}")

    world.clock.advance(moment)
    await use(world, key.record.id)
    await retention.prune()
    kept = await store.api_keys.all()
    world.clock.advance(0.001)
    await retention.prune()

    assert key.record.id in {each.id for each in kept}
    left = await store.api_keys.all()
    assert [each.revoked_at or each.expires_at for each in left] == [None]
    assert await times(world, "key_usage") == []


async def insert_ended(world: World, key_id: str) -> None:
    ended = format_time(START - DAY)
    record = ApiKey(key_id, 1, "smrt_", "old", "full", ended, expires_at=ended)
    await world.services.store.api_keys.add(record, digest=key_id.encode())


async def use(world: World, key_id: str) -> None:
    """A call that came late to the database: of an hour that is kept."""

    async def write(connection: Transaction) -> None:
        await connection.execute_fetchall(
            "INSERT INTO key_usage VALUES (:key_id, 1, :hour, 1, 0, 0)",
            {"key_id": key_id, "hour": format_time(world.clock.now())},
        )

    await world.services.store.database.write(write)


async def test_the_days_of_syncs_are_kept_for_thirteen_months(world: World) -> None:
    _, theirs = await world.mapped_connection()
    days = [f"{START - age * DAY:%Y-%m-%d}" for age in (402, 396, 0)]
    await world.services.store.sync_days.replace(
        theirs, [SyncDay(theirs, day, 1, 0, 0, 1, 1) for day in days], first="", before="9", read_upto=""
    )

    await Retention(world.services.store, world.clock).prune()

    rows = await world.services.store.database.fetch_all("SELECT day FROM sync_days ORDER BY 1")
    assert [row["day"] for row in rows] == days[1:]
