"""Triggering jobs."""

import httpx2
import pytest

from gateway.sandbox import Connection, Sandbox
from gateway.sandbox.records import ConnectionStatus
from tests.sandbox.conftest import UNKNOWN, Clock, Trigger, listed


async def test_a_triggered_job_lives_on_its_own(
    client: httpx2.AsyncClient, connection: Connection, trigger: Trigger, clock: Clock
) -> None:
    answer = await trigger(connection.connection_id)
    assert answer.status_code == 200
    assert answer.json() == {
        "jobId": 1,
        "status": "pending",
        "jobType": "sync",
        "startTime": "2026-04-01T12:00Z",
        "connectionId": connection.connection_id,
    }

    clock.advance(6)
    running = (await client.get("/jobs/1")).json()
    clock.advance(4)
    done = (await client.get("/jobs/1")).json()

    assert (running["status"], running["duration"]) == ("running", "PT2S")
    assert 0 < running["rowsSynced"] < done["rowsSynced"]
    assert (done["status"], done["duration"]) == ("succeeded", "PT10S")
    assert done["lastUpdatedAt"] == "2026-04-01T12:00:10Z"


async def test_every_transition_moves_the_last_change(
    client: httpx2.AsyncClient, connection: Connection, trigger: Trigger, clock: Clock
) -> None:
    await trigger(connection.connection_id)
    clock.advance(5)
    assert await listed(client, updatedAtStart="2026-04-01T12:00:02Z") == [1]
    assert await listed(client, updatedAtStart="2026-04-01T12:00:03Z") == []
    clock.advance(5)
    assert await listed(client, updatedAtStart="2026-04-01T12:00:10Z", orderBy="updatedAt|DESC") == [1]


async def test_a_waiting_job_is_answered_again_and_a_running_one_conflicts(
    connection: Connection, trigger: Trigger, clock: Clock
) -> None:
    first = await trigger(connection.connection_id)
    clock.advance(1)
    again = await trigger(connection.connection_id)
    clock.advance(1)
    running = await trigger(connection.connection_id)
    clock.advance(8)
    after = await trigger(connection.connection_id)

    assert (again.status_code, again.json()) == (200, first.json())
    assert running.status_code == 409
    assert running.json() == {
        "status": 409,
        "type": "https://reference.airbyte.com/reference/errors#try-again-later",
        "title": "try-again-later",
        "detail": "Please try again later.",
        "documentationUrl": None,
        "data": {"message": f"A sync is already running for: {connection.connection_id}"},
    }
    assert running.headers["content-type"] == "application/json"
    assert after.json()["jobId"] == 2


async def test_between_two_attempts_a_job_is_incomplete_and_still_conflicts(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, trigger: Trigger, clock: Clock
) -> None:
    retrying = sandbox.world.add_connection(connection.workspace_id, "facebook-marketing")
    await trigger(retrying.connection_id)
    seen = []
    for _ in range(24):
        seen.append((await client.get("/jobs/1")).json()["status"])
        if seen[-1] == "incomplete":
            assert (await trigger(retrying.connection_id)).json()["title"] == "try-again-later"
        clock.advance(1)

    assert list(dict.fromkeys(seen)) == ["pending", "running", "incomplete", "succeeded"]
    assert seen[seen.index("incomplete") :].count("running") == 8


async def test_some_connections_fail(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, trigger: Trigger, clock: Clock
) -> None:
    failing = sandbox.world.add_connection(connection.workspace_id, outcome="fails")
    await trigger(failing.connection_id)
    clock.advance(10)

    assert (await client.get("/jobs/1")).json()["status"] == "failed"


@pytest.mark.parametrize("status", ["inactive", "deprecated", "locked"])
async def test_a_connection_that_is_not_active_conflicts_without_a_reason(
    sandbox: Sandbox, connection: Connection, trigger: Trigger, status: ConnectionStatus
) -> None:
    sandbox.world.set_connection_status(connection.connection_id, status)
    answer = await trigger(connection.connection_id)

    assert answer.status_code == 409
    assert answer.json()["type"].endswith("#409-state-conflict")
    assert (answer.json()["title"], answer.json()["detail"]) == ("state-conflict", "State conflict")
    assert answer.json()["data"] == {"message": "Could not fulfill request"}


async def test_triggering_an_unknown_connection_is_a_404(trigger: Trigger) -> None:
    answer = await trigger(UNKNOWN)

    assert (answer.status_code, answer.json()["title"]) == (404, "resource-not-found")
    assert answer.json()["data"] == {"resourceType": "connection", "resourceId": UNKNOWN}
    assert (await trigger("not-a-uuid")).status_code == 500


async def test_a_refresh_cannot_be_triggered(client: httpx2.AsyncClient, connection: Connection) -> None:
    answer = await client.post("/jobs", json={"connectionId": connection.connection_id, "jobType": "refresh"})

    assert (answer.status_code, answer.json()["title"]) == (422, "unprocessable-entity")
    assert answer.json()["data"]["message"] == "Refreshes are not supported in the public API"


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"{}", b'{"connectionId":"x","jobType":"backup"}', b'{"connectionId":1,"jobType":"sync"}'],
)
async def test_a_body_that_cannot_be_read_is_a_422(client: httpx2.AsyncClient, body: bytes) -> None:
    answer = await client.post("/jobs", content=body)

    assert (answer.status_code, list(answer.json())) == (422, ["errorId"])


@pytest.mark.parametrize("job_type", ["clear", "reset", "CLEAR"])
async def test_a_clear_reads_back_as_a_reset(client: httpx2.AsyncClient, connection: Connection, job_type: str) -> None:
    answer = await client.post("/jobs", json={"connectionId": connection.connection_id, "jobType": job_type})

    assert (answer.status_code, answer.json()["jobType"]) == (200, "reset")
