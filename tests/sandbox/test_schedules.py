"""Seeded connections run at the times of their schedules."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from gateway.sandbox import CONFIG_API, Connection, Sandbox
from gateway.sandbox.history import JobQuery
from tests.sandbox.conftest import NOON, Clock, connect

HOUR = 3_600.0


@pytest.fixture
def seeded(clock: Clock) -> Sandbox:
    return Sandbox(clock=clock, auth=False)


@pytest.fixture
async def visitor(seeded: Sandbox) -> AsyncIterator[httpx2.AsyncClient]:
    async with connect(seeded) as client:
        yield client


def named(sandbox: Sandbox, start: str) -> Connection:
    return next(row for row in sandbox.world.connections.values() if row.name.startswith(start))


def started(sandbox: Sandbox, connection: Connection) -> Iterator[float]:
    """Yield when the connection's jobs since the start began, the newest first."""
    query = JobQuery(connection_id=connection.connection_id, descending=True, limit=500)
    return (job.created_at for job, _ in sandbox.world.history.select(query) if job.created_at > NOON)


async def test_a_time_that_comes_starts_one_job(seeded: Sandbox, visitor: httpx2.AsyncClient, clock: Clock) -> None:
    every_three_hours = named(seeded, "Orders")
    clock.advance(3 * HOUR - 1)
    await visitor.get("/")
    assert list(started(seeded, every_three_hours)) == []

    clock.advance(2)
    await visitor.get("/")
    await visitor.get("/")

    assert list(started(seeded, every_three_hours)) == [NOON + 3 * HOUR]
    body: Any = {"connectionIds": [every_three_hours.connection_id]}
    (status,) = (await visitor.post(f"{CONFIG_API}/connections/status", json=body)).json()
    assert status["activeJob"]["status"] == "pending"


async def test_times_that_nobody_saw_have_their_jobs(
    seeded: Sandbox, visitor: httpx2.AsyncClient, clock: Clock
) -> None:
    clock.advance(24 * HOUR)
    await visitor.get("/")

    assert list(started(seeded, named(seeded, "Shopify"))) == [NOON + hours * HOUR for hours in (24, 18, 12, 6)]
    assert list(started(seeded, named(seeded, "Google Ads"))) == [NOON + 15 * HOUR]  # at three
    assert list(started(seeded, named(seeded, "Analytics"))) == []  # inactive


async def test_a_time_that_comes_while_the_connection_is_busy_is_passed_over(
    seeded: Sandbox, visitor: httpx2.AsyncClient, clock: Clock
) -> None:
    connection = named(seeded, "Orders")
    clock.advance(2.9 * HOUR)
    busy = seeded.world.add_job(connection.connection_id, status="running", created_at=clock.now)
    clock.advance(HOUR)
    await visitor.get("/")

    assert list(started(seeded, connection)) == [busy.created_at]
