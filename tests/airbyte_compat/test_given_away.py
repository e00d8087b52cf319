"""A connection that is given to another client while Airbyte is waited for is told of no more, by no call."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.airbyte import Deadlines
from gateway.errors import ConnectionNotFound, DestinationNotFound, JobNotFound
from gateway.sandbox.timeline import Step
from gateway.syncs.timings import PollTimings, SyncTimings
from tests.airbyte_compat.support import Tenant, assert_problem, tenant
from tests.support import BOUND_SECONDS, World, quiet, running_gateway

UNENDING = 10 * BOUND_SECONDS
PATIENT = SyncTimings(poll=PollTimings(answer=UNENDING, wait=UNENDING, look_age=UNENDING))
ALONE_SECONDS = 3.0
"""After them a job of which no change tells is read again."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway that waits for Airbyte as long as a test does."""
    deadlines = Deadlines(config=UNENDING, config_call=UNENDING)
    async with running_gateway(tmp_path, sync_timings=PATIENT, deadlines=deadlines) as running:
        yield running


@pytest.fixture
async def globex(world: World) -> Tenant:
    return await tenant(world, "globex")


async def give_away(acme: Tenant) -> None:
    services = acme.world.services
    await services.connections.remove(acme.connection_id)
    await services.connections.add("globex", connector_type="x", label="Moved", airbyte_id=acme.airbyte_id)


async def test_no_job_is_told_while_whose_attempts_were_waited_for(world: World, acme: Tenant, globex: Tenant) -> None:
    job = world.sandbox.world.add_job(acme.airbyte_id)
    release = world.sandbox.faults.config_api_hang = asyncio.Event()
    calls: dict[str, dict[str, object]] = {
        "/jobs/get": {"id": job.job_id},
        "/jobs/list": {"configId": acme.airbyte_id, "configTypes": ["sync"]},
    }
    tasks = []
    for path, content in calls.items():
        world.sandbox.requests.clear()
        tasks.append(asyncio.create_task(acme.config(path, **content)))
        await world.until_airbyte_is_asked("POST", "/jobs/list")

    await give_away(acme)
    release.set()

    assert_problem(await tasks[0], 404, JobNotFound.message)
    assert_problem(await tasks[1], 404, ConnectionNotFound.message)
    assert (await globex.config("/jobs/get", id=job.job_id)).status_code == 200


async def test_a_started_sync_is_told_no_more_while_whose_attempts_were_waited_for(world: World, acme: Tenant) -> None:
    await tenant(world, "globex")
    release = world.sandbox.faults.config_api_hang = asyncio.Event()
    task = asyncio.create_task(acme.config("/connections/sync", connectionId=acme.airbyte_id))
    await world.until_airbyte_is_asked("POST", "/jobs/list")

    await give_away(acme)
    release.set()

    assert_problem(await task, 404, ConnectionNotFound.message)


@pytest.mark.parametrize("status", ["succeeded", "pending"], ids=["one list", "several"])
async def test_no_list_of_jobs_is_told_that_was_waited_for(world: World, acme: Tenant, status: str) -> None:
    await tenant(world, "globex")
    world.sandbox.world.add_job(acme.airbyte_id)
    await quiet()
    world.sandbox.requests.clear()
    release = world.sandbox.faults.get_hang = asyncio.Event()
    asked = {"connectionId": acme.airbyte_id, "status": status}
    task = asyncio.create_task(acme.get("/jobs", params=asked))
    await world.until_airbyte_is_asked("GET", "/jobs")

    world.sandbox.faults.get_hang = None
    await give_away(acme)
    release.set()

    assert_problem(await task, 404, ConnectionNotFound.message)


async def test_no_job_is_told_that_was_read_again_meanwhile(world: World, acme: Tenant, globex: Tenant) -> None:
    running = Step(world.clock.now().timestamp() - 60, "running")
    job = world.sandbox.world.put_job(acme.airbyte_id, (running,), job_type="reset", rows=0, size=0)
    assert (await acme.get(f"/jobs/{job.job_id}")).status_code == 200
    await quiet()
    world.clock.advance(ALONE_SECONDS)
    world.sandbox.requests.clear()
    release = world.sandbox.faults.get_hang = asyncio.Event()
    task = asyncio.create_task(acme.get(f"/jobs/{job.job_id}"))
    await world.until_airbyte_is_asked("GET", f"/jobs/{job.job_id}")

    world.sandbox.faults.get_hang = None
    await give_away(acme)
    release.set()

    assert_problem(await task, 404, JobNotFound.message)
    assert (await globex.get(f"/jobs/{job.job_id}")).status_code == 200


async def test_no_source_or_destination_is_told_whose_kind_was_waited_for(
    world: World, acme: Tenant, globex: Tenant
) -> None:
    (row,) = (await acme.get("/connections")).json()["data"]
    record = world.sandbox.world.connections[acme.airbyte_id]
    release = world.sandbox.faults.get_hang = asyncio.Event()
    tasks = []
    for path, theirs in (
        ("/sources", record.source_id),
        (f"/destinations/{row['destinationId']}", record.destination_id),
    ):
        tasks.append(asyncio.create_task(acme.get(path)))
        await world.until_airbyte_is_asked("GET", theirs)

    world.sandbox.faults.get_hang = None
    await give_away(acme)
    release.set()

    assert (await tasks[0]).json()["data"] == []
    assert_problem(await tasks[1], 404, DestinationNotFound.message)
    assert (await globex.get("/sources")).status_code == 200


@pytest.mark.parametrize("api", ["public", "config"])
async def test_no_connection_is_told_that_was_known_while_another_was_waited_for(
    world: World, acme: Tenant, globex: Tenant, api: str
) -> None:
    (workspace,) = (await acme.get("/workspaces")).json()["data"]
    await acme.get("/connections")
    _, other = await world.mapped_connection()
    await quiet()
    world.sandbox.requests.clear()
    release = world.sandbox.faults.get_hang = asyncio.Event()
    call = acme.config("/connections/list", workspaceId=workspace["workspaceId"]) if api == "config" else None
    task = asyncio.create_task(call or acme.get("/connections"))
    await world.until_airbyte_is_asked("GET", f"/connections/{other}")

    world.sandbox.faults.get_hang = None
    await give_away(acme)
    release.set()

    listed = (await task).json()
    assert [row["connectionId"] for row in listed.get("data") or listed["connections"]] == [other]
    assert (await globex.get(f"/connections/{acme.airbyte_id}")).status_code == 200
