"""What ten thousand connections cost while nothing happens: calls to Airbyte and transactions a minute."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.installation import LONG_FRESH
from tests.other_program import other_program
from tests.support import World, quiet, running_gateway
from tests.syncs.test_last_sync_watch import MINUTE, RARELY, until, watching
from tests.webhooks.support import ALLOWED

CONNECTIONS = 10_000
MINUTES = 3
FRESHNESS_SECONDS = 5.0
MANY = f"""
    WITH RECURSIVE counted(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM counted WHERE number < {CONNECTIONS})
    INSERT INTO connections (id, client_id, connector_type, label, status, airbyte_id, workspace_id, status_checked_at,
        schedule_since, watched_since, backfilled_at, created_at)
    SELECT 'conn_' || number, 1, 'shopify', 'Shop', 'active', printf('%08d-0000-4000-8000-000000000000', number),
        '{{workspace}}', '{LONG_FRESH}', '{LONG_FRESH}', '2026', '2026', '2026' FROM counted
    """


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Every connection was asked for long ago, as on a gateway that has run for a while."""
    async with running_gateway(tmp_path, sync_timings=RARELY, airbyte={"freshness_seconds": 0.0}, **ALLOWED) as running:
        await running.client_with_key()
        _, theirs = await running.mapped_connection()
        running.sandbox.world.add_job(theirs, status="running")
        (workspace,) = running.sandbox.world.workspaces
        with other_program(running.services.settings.database_location) as other:
            other.rows(MANY.format(workspace=workspace))
        await running.services.syncs.last_sync.refresh_if_older(0)
        await quiet()
        running.clock.advance(MINUTE)
        yield running


async def cost(world: World, *, seconds: float, refreshes: int) -> tuple[int, int]:
    """Calls and transactions of so many refreshes, between which so many seconds pass."""
    world.sandbox.requests.clear()
    before = world.services.store.health.writes
    async with watching(world, idle_rounds=1, seconds=seconds) as happened:
        await until(happened, "refreshed", refreshes)
    await quiet()
    return len(world.sandbox.requests), world.services.store.health.writes - before


async def test_while_a_sync_runs_a_minute_costs_one_call_and_one_mark(world: World) -> None:
    calls, writes = await cost(world, seconds=MINUTE, refreshes=MINUTES)

    assert MINUTES <= calls <= MINUTES + 1
    assert writes <= MINUTES + 1


async def test_while_nothing_runs_nothing_is_asked_and_nothing_is_written(world: World) -> None:
    with other_program(world.services.settings.database_location) as other:
        other.rows("UPDATE connections SET last_sync_status = 'succeeded'")
    world.sandbox.requests.clear()
    before = world.services.store.health.writes

    async with watching(world, idle_rounds=1) as happened:
        await until(happened, "round", 20)

    assert "refreshed" not in happened
    assert (len(world.sandbox.requests), world.services.store.health.writes - before) == (0, 0)


async def test_for_a_webhook_airbyte_is_asked_as_often_as_figures_may_be_old_and_a_minute_costs_two_marks(
    world: World,
) -> None:
    """How far reading has come, and the one connection that was asked for by itself."""
    await world.services.webhooks.endpoints.add("acme", url="http://127.0.0.1:1/")
    await world.services.syncs.last_sync.refresh_if_older(0)
    await quiet()
    of_a_minute = int(MINUTE / FRESHNESS_SECONDS)

    calls, writes = await cost(world, seconds=FRESHNESS_SECONDS, refreshes=MINUTES * of_a_minute)

    assert calls <= MINUTES * (of_a_minute + 1) + 2
    assert writes <= 2 * MINUTES + 2
