"""Cancelling: both APIs end what the job's connection is doing, whichever job is named."""

from collections.abc import Callable, Coroutine
from typing import Any

import httpx2
import pytest

from gateway.sandbox import Connection, Sandbox
from tests.sandbox.conftest import Clock, Trigger, listed

COUNTS = {"bytesSynced", "rowsSynced"}
Cancel = Callable[[int], Coroutine[Any, Any, tuple[int, str]]]


@pytest.fixture(params=["public", "config"])
def cancel(request: pytest.FixtureRequest, client: httpx2.AsyncClient, config: httpx2.AsyncClient) -> Cancel:
    """Cancel by one of the two APIs; returns HTTP status and the named job's status."""

    async def delete(job_id: int) -> tuple[int, str]:
        answer = await client.delete(f"/jobs/{job_id}")
        return answer.status_code, answer.json().get("status", "")

    async def post(job_id: int) -> tuple[int, str]:
        answer = await config.post("/jobs/cancel", json={"id": job_id})
        return answer.status_code, answer.json().get("job", {}).get("status", "")

    return delete if request.param == "public" else post


async def test_cancelling_ends_a_job_and_keeps_what_it_committed(
    client: httpx2.AsyncClient, connection: Connection, trigger: Trigger, clock: Clock
) -> None:
    await trigger(connection.connection_id)
    clock.advance(6)
    answer = await client.delete("/jobs/1")
    clock.advance(60)
    read = (await client.get("/jobs/1")).json()

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert not COUNTS & set(answer.json())
    assert (read["rowsSynced"], read["duration"]) == (6_000, "PT6S")
    assert await listed(client, updatedAtStart="2026-04-01T12:00:06Z") == [1]
    assert (await trigger(connection.connection_id)).json()["jobId"] == 2


async def status_of(client: httpx2.AsyncClient, job_id: int) -> str:
    status: str = (await client.get(f"/jobs/{job_id}")).json()["status"]
    return status


async def test_a_running_job_ends(
    client: httpx2.AsyncClient, connection: Connection, trigger: Trigger, clock: Clock, cancel: Cancel
) -> None:
    await trigger(connection.connection_id)
    clock.advance(5)

    assert await cancel(1) == (200, "cancelled")
    assert await status_of(client, 1) == "cancelled"


async def test_a_pending_job_runs_on(
    client: httpx2.AsyncClient, connection: Connection, trigger: Trigger, clock: Clock, cancel: Cancel
) -> None:
    await trigger(connection.connection_id)
    clock.advance(1)

    assert await cancel(1) == (200, "pending")
    clock.advance(9)
    assert await status_of(client, 1) == "succeeded"


@pytest.mark.parametrize("seconds", [10, 12])
async def test_a_job_between_two_attempts_ends(
    sandbox: Sandbox, connection: Connection, trigger: Trigger, clock: Clock, cancel: Cancel, seconds: float
) -> None:
    retrying = sandbox.world.add_connection(connection.workspace_id, "facebook-marketing")
    await trigger(retrying.connection_id)
    clock.advance(seconds)

    assert await cancel(1) == (200, "cancelled")


async def test_a_queued_job_ends(
    sandbox: Sandbox, connection: Connection, trigger: Trigger, clock: Clock, cancel: Cancel
) -> None:
    sandbox.faults.capacity_exhausted = True
    await trigger(connection.connection_id)
    clock.advance(60)

    assert await cancel(1) == (200, "cancelled")


async def test_an_ended_job_stays_as_it_is(sandbox: Sandbox, connection: Connection, cancel: Cancel) -> None:
    done = sandbox.world.add_job(connection.connection_id)

    assert await cancel(done.job_id) == (200, "succeeded")


async def test_naming_an_ended_job_cancels_the_one_that_runs(
    client: httpx2.AsyncClient,
    sandbox: Sandbox,
    connection: Connection,
    trigger: Trigger,
    clock: Clock,
    cancel: Cancel,
) -> None:
    old = sandbox.world.add_job(connection.connection_id)
    await trigger(connection.connection_id)
    clock.advance(5)

    assert await cancel(old.job_id) == (200, "succeeded")
    assert await status_of(client, old.job_id + 1) == "cancelled"


async def test_other_connections_run_on(
    client: httpx2.AsyncClient,
    sandbox: Sandbox,
    connection: Connection,
    trigger: Trigger,
    clock: Clock,
    cancel: Cancel,
) -> None:
    other = sandbox.world.add_connection(connection.workspace_id)
    await trigger(connection.connection_id)
    await trigger(other.connection_id)
    clock.advance(5)

    await cancel(1)

    assert await status_of(client, 2) == "running"


async def test_nothing_of_a_deleted_connection_can_be_cancelled(
    client: httpx2.AsyncClient, config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    job = sandbox.world.add_job(connection.connection_id, status="running")
    sandbox.world.remove_connection(connection.connection_id)

    public = await client.delete(f"/jobs/{job.job_id}")
    internal = await config.post("/jobs/cancel", json={"id": job.job_id})

    assert (public.status_code, public.json()["title"]) == (409, "state-conflict")
    assert (internal.status_code, list(internal.json())) == (500, ["errorId"])
