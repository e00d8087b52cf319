"""The seeded world, and how little of a large one is read."""

import sys
from collections import Counter
from types import FrameType
from typing import Any

import httpx2
import pytest

from gateway.sandbox import Sandbox
from gateway.sandbox.failures import CREDENTIALS_REFUSED
from gateway.sandbox.history import JobQuery
from gateway.sandbox.index import Span
from gateway.sandbox.records import Job
from tests.sandbox.conftest import NOON, Clock, connect

DAY = 86_400.0
JOBS = 100_000


async def everything(client: httpx2.AsyncClient, path: str) -> list[Any]:
    rows: list[Any] = []
    while page := (await client.get(path, params={"limit": 100, "offset": len(rows)})).json()["data"]:
        rows += page
    return rows


async def test_the_seeded_world_is_two_customers_with_a_month_of_history(clock: Clock) -> None:
    async with connect(Sandbox(clock=clock, auth=False)) as client:
        client.base_url = httpx2.URL("http://airbyte/api/public/v1")
        workspaces = {row["workspaceId"]: row["name"] for row in await everything(client, "/workspaces")}
        sources = await everything(client, "/sources")
        connections = await everything(client, "/connections")
        jobs = await everything(client, "/jobs")

    assert sorted(workspaces.values()) == ["Acme Inc", "Globex"]
    assert Counter(workspaces[row["workspaceId"]] for row in connections) == {"Acme Inc": 6, "Globex": 4}
    assert {row["sourceType"] for row in sources} >= {"shopify", "postgres", "google-ads", "stripe", ""}
    assert Counter(row["status"] for row in connections) == {"active": 9, "inactive": 1}
    assert 300 < len(jobs) < 1_000
    assert {row["connectionId"] for row in jobs} == {row["connectionId"] for row in connections}
    statuses = Counter(row["status"] for row in jobs)
    assert statuses["incomplete"] == 1
    assert statuses["failed"] > 10
    assert set(statuses) == {"succeeded", "failed", "incomplete"}
    assert [row["jobId"] for row in jobs] == list(range(1, len(jobs) + 1))
    assert any(len(row["startTime"]) == len("2026-04-01T12:00Z") for row in jobs)
    assert jobs[0]["startTime"] < "2026-03-03"
    assert jobs[-1]["startTime"] > "2026-04-01"


def test_counts_grow_over_the_month(clock: Clock) -> None:
    history = Sandbox(clock=clock).world.history
    connection_id = history.select(JobQuery(limit=1))[0][0].connection_id
    jobs = history.select(JobQuery(connection_id=connection_id, statuses=frozenset({"succeeded"}), limit=500))
    early, late = jobs[: len(jobs) // 3], jobs[-len(jobs) // 3 :]

    assert sum(state.rows for _, state in early) / len(early) < sum(state.rows for _, state in late) / len(late)


def test_equal_seeds_give_equal_worlds(clock: Clock) -> None:
    first, second = Sandbox(clock=clock, seed=7), Sandbox(clock=clock, seed=7)

    assert first.world.connections == second.world.connections
    assert first.world.history.select(JobQuery(limit=2_000)) == second.world.history.select(JobQuery(limit=2_000))
    assert first.world.connections.keys().isdisjoint(Sandbox(clock=clock, seed=8).world.connections)


def test_failed_jobs_of_the_seed_are_of_five_kinds(clock: Clock) -> None:
    history = Sandbox(clock=clock).world.history
    failed = history.select(JobQuery(statuses=frozenset({"failed"}), limit=1_000))

    assert {failure.kind for job, _ in failed for failure in job.failures} == {
        "config_error",
        "destination_timeout",
        "transient_error",
        "refresh_schema",
        "system_error",
    }
    assert any(CREDENTIALS_REFUSED in job.failures for job, _ in failed)


def test_no_two_connections_of_a_workspace_have_a_stream_of_one_name(clock: Clock) -> None:
    for workspace_id in (world := Sandbox(clock=clock).world).workspaces:
        rows = [row for row in world.connections.values() if row.workspace_id == workspace_id]
        names = Counter(stream.name for row in rows for stream in row.streams)
        assert len(names) > len(rows)
        assert set(names.values()) == {1}


@pytest.mark.parametrize("late_seconds", [0, 30, 3_600, 50_000])
def test_every_time_of_a_schedule_has_its_job(late_seconds: float) -> None:
    now = NOON + late_seconds
    world = Sandbox(clock=Clock(now)).world
    for connection in world.connections.values():
        query = JobQuery(connection_id=connection.connection_id, descending=True, limit=1)
        ((newest, state),) = world.history.select(query)
        timing = connection.schedule.get("basicTiming", "Every 24 HOURS")
        period = int(timing.split(" ")[1]) * 3_600.0
        offset = 3 * 3_600 if connection.schedule["scheduleType"] == "cron" else 0
        due = (now - offset) // period * period + offset

        assert newest.created_at >= due
        assert connection.outcome == "retries" or state.is_terminal


def test_the_connection_that_cannot_sync_has_failed_lately(clock: Clock) -> None:
    world = Sandbox(clock=clock).world
    failing = next(row for row in world.connections.values() if row.outcome == "fails")
    query = JobQuery(connection_id=failing.connection_id, descending=True, limit=2)

    assert [state.status for _, state in world.history.select(query)] == ["failed", "failed"]


def test_the_retry_under_way_comes_to_its_end(clock: Clock) -> None:
    world = Sandbox(clock=clock).world
    retrying = next(row for row in world.connections.values() if row.outcome == "retries")

    seen = []
    for _ in range(4):
        active = world.history.active(retrying.connection_id)
        seen.append(active[1].status if active else None)
        clock.advance(300)
    assert seen == ["incomplete", "incomplete", "running", None]


def test_a_hundred_thousand_jobs_are_listed_without_reading_them_all() -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock, empty=True)
    workspace_id = sandbox.world.add_workspace("Big").workspace_id
    connections = [sandbox.world.add_connection(workspace_id).connection_id for _ in range(500)]
    for number in range(JOBS):
        sandbox.world.add_job(connections[number % 500], created_at=NOON - 30 * DAY + number * 20, duration_seconds=10)
    queries = [
        JobQuery(limit=100),
        JobQuery(descending=True, limit=100),
        JobQuery(order="updatedAt", descending=True, limit=100),
        JobQuery(updated=Span(start=NOON - 7 * DAY - 60), workspace_ids=frozenset({workspace_id})),
        JobQuery(connection_id=connections[0], descending=True, limit=100),
    ]
    looked_at = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal looked_at
        looked_at += event == "call" and frame.f_code is Job.state_at.__code__

    for query in queries:
        sys.setprofile(count)
        try:
            rows = sandbox.world.history.select(query)
        finally:
            sys.setprofile(None)
        assert len(rows) == min(query.limit, 100)
    assert looked_at < JOBS / 50
