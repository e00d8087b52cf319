"""Connections by the Config API."""

from typing import Any

import httpx2
import pytest

from gateway.sandbox import Connection, Sandbox, Stream
from gateway.sandbox.failures import CREDENTIALS_REFUSED
from gateway.sandbox.records import JobType
from gateway.sandbox.timeline import Status
from tests.sandbox.conftest import CREDENTIALS, NOON, UNKNOWN, Clock, Trigger


async def status_of(config: httpx2.AsyncClient, connection: Connection) -> Any:
    answer = await config.post("/connections/status", json={"connectionIds": [connection.connection_id]})
    assert answer.status_code == 200, answer.text
    (status,) = answer.json()
    return status


async def test_a_connection_that_never_ran_is_pending(config: httpx2.AsyncClient, connection: Connection) -> None:
    assert await status_of(config, connection) == {
        "connectionId": connection.connection_id,
        "connectionSyncStatus": "pending",
    }


async def test_a_status_names_the_running_job_and_the_last_success(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, trigger: Trigger, clock: Clock
) -> None:
    done = sandbox.world.add_job(connection.connection_id)
    assert (await status_of(config, connection))["connectionSyncStatus"] == "synced"

    await trigger(connection.connection_id)
    clock.advance(5)
    status = await status_of(config, connection)

    assert (status["connectionSyncStatus"], status["activeJob"]["status"]) == ("running", "running")
    assert (status["lastSuccessfulSync"], status["lastSyncJobId"]) == (NOON, done.job_id)
    assert (status["lastSyncAttemptNumber"], status["lastSyncJobCreatedAt"]) == (0, NOON)


async def test_a_status_says_why_the_last_sync_failed(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    sandbox.world.add_job(connection.connection_id, created_at=NOON - 900)
    sandbox.world.add_job(connection.connection_id, status="failed", attempts=2)
    assert (await status_of(config, connection))["connectionSyncStatus"] == "incomplete"

    sandbox.world.add_job(connection.connection_id, status="failed", failures=[CREDENTIALS_REFUSED])
    status = await status_of(config, connection)

    assert status["connectionSyncStatus"] == "failed"
    assert status["failureReason"]["externalMessage"] == CREDENTIALS_REFUSED.external_message
    assert status["failureReason"]["timestamp"] == NOON * 1000


async def test_a_sync_that_succeeded_after_a_failed_attempt_has_no_reason(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    sandbox.world.add_job(connection.connection_id, attempts=2)
    status = await status_of(config, connection)

    assert (status["connectionSyncStatus"], status["lastSyncAttemptNumber"]) == ("synced", 1)
    assert "failureReason" not in status


@pytest.mark.parametrize(
    ("status", "job_type", "word"),
    [
        ("queued", "sync", "queued"),
        ("incomplete", "sync", "pending"),
        ("cancelled", "sync", "incomplete"),
        ("succeeded", "reset", "pending"),
    ],
)
async def test_the_newest_job_decides_the_word(
    config: httpx2.AsyncClient,
    sandbox: Sandbox,
    connection: Connection,
    status: Status,
    job_type: JobType,
    word: str,
) -> None:
    sandbox.world.add_job(connection.connection_id, created_at=NOON - 900)
    sandbox.world.add_job(connection.connection_id, status=status, job_type=job_type)

    assert (await status_of(config, connection))["connectionSyncStatus"] == word


async def test_an_inactive_connection_is_paused(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    sandbox.world.set_connection_status(connection.connection_id, "inactive")

    assert (await status_of(config, connection))["connectionSyncStatus"] == "paused"


@pytest.mark.parametrize(
    ("schedule", "data"),
    [
        (
            {"scheduleType": "basic", "basicTiming": "Every 6 HOURS"},
            {"basicSchedule": {"timeUnit": "hours", "units": 6}},
        ),
        (
            {"scheduleType": "cron", "cronExpression": "0 0 3 * * ? Europe/Berlin"},
            {"cron": {"cronExpression": "0 0 3 * * ?", "cronTimeZone": "Europe/Berlin"}},
        ),
        ({"scheduleType": "manual"}, None),
    ],
)
async def test_a_schedule_is_text_in_the_public_api_and_parts_in_this_one(
    config: httpx2.AsyncClient,
    client: httpx2.AsyncClient,
    sandbox: Sandbox,
    connection: Connection,
    schedule: dict[str, str],
    data: object,
) -> None:
    scheduled = sandbox.world.add_connection(connection.workspace_id, schedule=schedule)

    assert (await status_of(config, scheduled)).get("scheduleData") == data
    assert (await client.get(f"/connections/{scheduled.connection_id}")).json()["schedule"] == schedule


async def test_an_unknown_connection_is_a_404_to_an_admin_and_403_to_others(
    config: httpx2.AsyncClient, sandbox: Sandbox
) -> None:
    unknown = await config.post("/connections/status", json={"connectionIds": [UNKNOWN]})
    malformed = await config.post("/connections/status", json={"connectionIds": ["x"]})
    sandbox.faults.user_mode = True
    hidden = await config.post("/connections/status", json={"connectionIds": [UNKNOWN]})

    assert (unknown.status_code, list(unknown.json())) == (404, ["errorId"])
    assert malformed.status_code == 422
    assert (hidden.status_code, hidden.json()["message"]) == (403, "Forbidden")


async def test_a_connection_shows_its_catalog_and_its_schedule_in_parts(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    made = sandbox.world.add_connection(
        connection.workspace_id,
        schedule={"scheduleType": "basic", "basicTiming": "Every 6 HOURS"},
        streams=[Stream("deals", "crm"), Stream("stages", cursor=None)],
    )

    body = (await config.post("/connections/get", json={"connectionId": made.connection_id})).json()
    first, second = body["syncCatalog"]["streams"]

    assert (body["connectionId"], body["status"], body["created_at"]) == (made.connection_id, "active", NOON)
    assert (body["scheduleType"], body["schedule"]) == ("basic", {"timeUnit": "hours", "units": 6})
    assert body["scheduleData"] == {"basicSchedule": {"timeUnit": "hours", "units": 6}}
    assert (first["stream"]["name"], first["stream"]["namespace"]) == ("deals", "crm")
    assert first["stream"]["jsonSchema"]["properties"].keys() == {"id", "updated_at"}
    assert (first["config"]["selected"], first["config"]["syncMode"]) == (True, "incremental")
    assert (second["config"]["syncMode"], "namespace" in second["stream"]) == ("full_refresh", False)


async def test_a_workspace_lists_its_connections_without_deleted_ones(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    deleted = sandbox.world.add_connection(connection.workspace_id)
    sandbox.world.remove_connection(deleted.connection_id)
    sandbox.world.add_connection(sandbox.world.add_workspace("Globex").workspace_id)

    body = (await config.post("/connections/list", json={"workspaceId": connection.workspace_id})).json()

    assert [row["connectionId"] for row in body["connections"]] == [connection.connection_id]


async def test_a_sync_is_started_joined_and_refused(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, clock: Clock
) -> None:
    async def sync() -> httpx2.Response:
        return await config.post("/connections/sync", json={"connectionId": connection.connection_id})

    first, again = await sync(), await sync()
    clock.advance(5)
    running = await sync()
    clock.advance(5)
    sandbox.world.set_connection_status(connection.connection_id, "inactive")
    inactive = await sync()

    assert (first.status_code, first.json()["job"]["id"], first.json()["attempts"]) == (200, 1, [])
    assert again.json() == first.json()
    assert (running.status_code, running.json()["message"]) == (
        409,
        f"A sync is already running for: {connection.connection_id}",
    )
    assert (inactive.status_code, list(inactive.json())) == (500, ["errorId"])


async def test_one_trailing_slash_is_taken_off(
    config: httpx2.AsyncClient, client: httpx2.AsyncClient, anonymous: httpx2.AsyncClient, connection: Connection
) -> None:
    body = {"connectionId": connection.connection_id}

    assert (await config.post("/connections/get/", json=body)).status_code == 200
    assert (await config.post("/connections/get//", json=body)).status_code == 403
    assert (await client.get(f"/connections/{connection.connection_id}/")).status_code == 200
    assert (await anonymous.get("/api/v1/health/")).json() == {"available": True}
    assert (await anonymous.post("/api/v1/applications/token/", json=CREDENTIALS)).status_code == 200
