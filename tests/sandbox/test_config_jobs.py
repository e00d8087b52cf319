"""Jobs by the Config API: attempts, counts of streams and reasons of failures."""

from typing import Any

import httpx2
import pytest

from gateway.sandbox import CONFIG_API, Connection, Failure, Sandbox, Stream, StreamVolume
from gateway.sandbox.failures import (
    CREDENTIALS_REFUSED,
    DESTINATION_TIMEOUT,
    PLANTED_HOST,
    PLANTED_PASSWORD,
    PLATFORM,
    SCHEMA_REFRESH,
    TRANSIENT_SOURCE,
)
from gateway.sandbox.timeline import Status
from tests.sandbox.conftest import NOON, UNKNOWN, Clock, Trigger

ORDERS, REFUNDS = Stream("orders", "shop"), Stream("refunds")


async def listing(config: httpx2.AsyncClient, **body: object) -> Any:
    answer = await config.post("/jobs/list", json={"configTypes": ["sync"], **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def found(config: httpx2.AsyncClient, **body: object) -> list[int]:
    return [row["job"]["id"] for row in (await listing(config, **body))["jobs"]]


async def job_info(config: httpx2.AsyncClient, job_id: int) -> Any:
    answer = await config.post("/jobs/get", json={"id": job_id})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_list_shows_counts_of_the_job_its_streams_and_its_attempts(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    streams = [StreamVolume(ORDERS, 700, 7_000), StreamVolume(REFUNDS, 300, 3_000)]
    sandbox.world.add_job(connection.connection_id, streams=streams, created_at=NOON - 90.5, duration_seconds=60)

    (row,) = (await listing(config, configId=connection.connection_id))["jobs"]
    job, (attempt,) = row["job"], row["attempts"]

    assert (job["createdAt"], job["startedAt"], job["updatedAt"]) == (NOON - 91, NOON - 91, NOON - 31)
    assert (job["configType"], job["configId"], job["status"]) == ("sync", connection.connection_id, "succeeded")
    assert job["aggregatedStats"]["recordsCommitted"] == 1_000
    assert job["aggregatedStats"]["bytesCommitted"] == 10_000
    assert job["streamAggregatedStats"] == [
        {"streamName": "orders", "streamNamespace": "shop", **counts(700, 7_000)},
        {"streamName": "refunds", **counts(300, 3_000)},
    ]
    assert (attempt["id"], attempt["status"], attempt["endedAt"]) == (0, "succeeded", NOON - 31)
    assert (attempt["recordsSynced"], attempt["bytesSynced"]) == (1_000, 10_000)
    assert [stream["stats"]["recordsCommitted"] for stream in attempt["streamStats"]] == [700, 300]
    assert "failureSummary" not in attempt


def counts(rows: int, size: int) -> dict[str, int]:
    return {
        "recordsEmitted": rows,
        "bytesEmitted": size,
        "recordsCommitted": rows,
        "bytesCommitted": size,
        "recordsRejected": 0,
    }


async def test_get_wraps_attempts_has_logs_and_neither_sums_nor_namespaces(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    job = sandbox.world.add_job(connection.connection_id, streams=[StreamVolume(ORDERS, 700, 7_000)])

    info = await job_info(config, job.job_id)
    (attempt,) = info["attempts"]

    assert not {"aggregatedStats", "streamAggregatedStats"} & set(info["job"])
    assert attempt["attempt"]["recordsSynced"] == 700
    assert attempt["attempt"]["streamStats"][0].keys() == {"streamName", "stats"}
    assert attempt["logs"]["logLines"]
    assert await light(config, job.job_id) == {"job": info["job"]}


async def test_get_without_logs_has_the_sums_of_a_list_and_the_attempts_of_get(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    job = sandbox.world.add_job(connection.connection_id, streams=[StreamVolume(ORDERS, 700, 7_000)], attempts=2)

    bare = (await config.post("/jobs/get_without_logs", json={"id": job.job_id})).json()

    assert bare["job"] == (await listing(config))["jobs"][0]["job"]
    assert [row["attempt"] for row in bare["attempts"]] == [
        row["attempt"] for row in (await job_info(config, job.job_id))["attempts"]
    ]
    assert [set(row) for row in bare["attempts"]] == [{"attempt"}] * 2


async def test_a_list_reaches_to_a_job_in_whole_pages(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    for age in range(9, 0, -1):
        sandbox.world.add_job(connection.connection_id, created_at=NOON - 3_600 * age)
    other = sandbox.world.add_connection(connection.workspace_id)
    sandbox.world.add_job(other.connection_id, created_at=NOON - 3_600 * 24)

    page = {"pagination": {"pageSize": 2}}
    assert await found(config, includingJobId=7, **page) == [9, 8, 7, 6]
    assert await found(config, includingJobId=10, configId=other.connection_id, **page) == [10]
    assert await found(config, includingJobId=7, configId=other.connection_id, **page) == []
    assert await found(config, includingJobId=77, **page) == []


async def light(config: httpx2.AsyncClient, job_id: int) -> Any:
    return (await config.post("/jobs/get_light", json={"id": job_id})).json()


async def test_the_attempts_of_a_retrying_job_follow_its_status(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, trigger: Trigger, clock: Clock
) -> None:
    retrying = sandbox.world.add_connection(connection.workspace_id, "facebook-marketing")
    await trigger(retrying.connection_id)
    seen = []
    for seconds in (0, 3, 8, 4, 8):
        clock.advance(seconds)
        info = await job_info(config, 1)
        seen.append((info["job"]["status"], [row["attempt"]["status"] for row in info["attempts"]]))
    first, second = (row["attempt"] for row in info["attempts"])

    assert seen == [
        ("pending", []),
        ("running", ["running"]),
        ("incomplete", ["failed"]),
        ("running", ["failed", "running"]),
        ("succeeded", ["failed", "succeeded"]),
    ]
    assert (first["createdAt"], first["endedAt"]) == (NOON + 2, NOON + 10)
    assert (second["createdAt"], second["endedAt"]) == (NOON + 14, NOON + 22)
    assert (first["recordsSynced"], second["recordsSynced"]) == (6_000, 6_000)
    assert first["failureSummary"]["failures"][0]["failureType"] == "transient_error"
    assert first["failureSummary"]["partialSuccess"] is True


async def test_a_running_attempt_has_counts_in_a_list_only(
    config: httpx2.AsyncClient, connection: Connection, trigger: Trigger, clock: Clock
) -> None:
    await trigger(connection.connection_id)
    clock.advance(6)

    (row,) = (await listing(config))["jobs"]
    ((attempt),) = (row["attempt"] for row in (await job_info(config, 1))["attempts"])

    assert row["attempts"][0]["totalStats"]["recordsCommitted"] == 6_000
    assert not {"endedAt", "recordsSynced"} & set(row["attempts"][0])
    assert not {"endedAt", "recordsSynced", "totalStats", "streamStats"} & set(attempt)


@pytest.mark.parametrize(
    "failure",
    [CREDENTIALS_REFUSED, DESTINATION_TIMEOUT, TRANSIENT_SOURCE, SCHEMA_REFRESH, PLATFORM],
    ids=lambda failure: failure.kind,
)
async def test_a_failed_attempt_says_why_in_full(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, failure: Failure
) -> None:
    job = sandbox.world.add_job(connection.connection_id, status="failed", failures=[failure])

    (attempt,) = (await job_info(config, job.job_id))["attempts"]
    (told,) = attempt["attempt"]["failureSummary"]["failures"]

    assert (told["failureOrigin"], told["failureType"]) == (failure.origin, failure.kind)
    assert told["externalMessage"] == failure.external_message
    assert told["internalMessage"] == failure.internal_message
    assert told["stacktrace"] == failure.stacktrace
    assert told.get("retryable") == failure.retryable
    assert told["timestamp"] == NOON * 1000
    assert None not in told.values()


def test_one_kind_has_a_password_and_a_host_in_its_message() -> None:
    assert CREDENTIALS_REFUSED.external_message
    assert PLANTED_PASSWORD in CREDENTIALS_REFUSED.external_message
    assert PLANTED_HOST in CREDENTIALS_REFUSED.external_message


async def test_a_job_can_fail_without_a_summary_and_with_several_failures(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    silent = sandbox.world.add_job(connection.connection_id, status="failed", failures=[])
    loud = sandbox.world.add_job(
        connection.connection_id, status="failed", failures=[TRANSIENT_SOURCE, DESTINATION_TIMEOUT], attempts=3
    )

    assert "failureSummary" not in (await job_info(config, silent.job_id))["attempts"][0]["attempt"]
    attempts = [row["attempt"] for row in (await job_info(config, loud.job_id))["attempts"]]
    assert [attempt["status"] for attempt in attempts] == ["failed"] * 3
    assert [len(attempt["failureSummary"]["failures"]) for attempt in attempts] == [2, 2, 2]
    assert attempts[-1]["endedAt"] == NOON


async def test_a_cancelled_attempt_has_failed_by_hand_and_without_an_origin(
    config: httpx2.AsyncClient, client: httpx2.AsyncClient, connection: Connection, trigger: Trigger, clock: Clock
) -> None:
    await trigger(connection.connection_id)
    clock.advance(6)
    await client.delete("/jobs/1")

    ((row),) = (await job_info(config, 1))["attempts"]
    (failure,) = row["attempt"]["failureSummary"]["failures"]

    assert row["attempt"]["status"] == "failed"
    assert row["attempt"]["recordsSynced"] == 6_000
    assert (failure["failureType"], "failureOrigin" in failure) == ("manual_cancellation", False)


async def test_lists_are_newest_first_paged_and_counted(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    for age in (3, 2, 1):
        sandbox.world.add_job(connection.connection_id, created_at=NOON - 3_600 * age)
    other = sandbox.world.add_connection(connection.workspace_id)
    sandbox.world.add_job(other.connection_id, status="failed", job_type="reset")

    assert await found(config, configId=connection.connection_id) == [3, 2, 1]
    assert await found(config, configTypes=["sync", "reset_connection"]) == [4, 3, 2, 1]
    assert await found(config, orderByField="createdAt", orderByMethod="ASC") == [1, 2, 3]
    assert await found(config, updatedAtStart="2026-04-01T10:01:00Z", updatedAtEnd="2026-04-01T10:59:59Z") == [2]
    assert await found(config, configTypes=["reset_connection"], statuses=["failed"]) == [4]
    assert await found(config, statuses=["running", "pending"]) == []
    page = await listing(config, pagination={"pageSize": 2, "rowOffset": 2})
    assert ([row["job"]["id"] for row in page["jobs"]], page["totalJobCount"]) == ([1], 3)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"configTypes": []}, 500),
        ({"configTypes": ["backup"]}, 422),
        ({"configTypes": "sync"}, 422),
        ({"configTypes": ["sync"], "createdAtStart": "Wed, 1 Apr 2026 03:00:00 GMT"}, 422),
        ({"configTypes": ["sync"], "statuses": ["done"]}, 422),
    ],
)
async def test_a_list_needs_types_that_airbyte_knows(config: httpx2.AsyncClient, body: object, status: int) -> None:
    answer = await config.post("/jobs/list", json=body)

    assert (answer.status_code, list(answer.json())) == (status, ["errorId"])


async def test_unknown_jobs_are_a_500_to_an_admin_and_403_to_others(
    config: httpx2.AsyncClient, sandbox: Sandbox
) -> None:
    assert (await config.post("/jobs/get", json={"id": 77})).status_code == 500
    assert await found(config, configId=UNKNOWN) == []
    sandbox.faults.user_mode = True
    assert (await config.post("/jobs/get_light", json={"id": 77})).status_code == 403
    assert (await config.post("/jobs/list", json={"configTypes": ["sync"], "configId": UNKNOWN})).status_code == 403


async def test_the_config_api_wants_the_same_token(anonymous: httpx2.AsyncClient) -> None:
    answer = await anonymous.post(f"{CONFIG_API}/jobs/list", json={"configTypes": ["sync"]})

    assert (answer.status_code, answer.json()["message"]) == (401, "Unauthorized")


@pytest.mark.parametrize("status", ["pending", "queued"])
async def test_a_waiting_job_has_neither_a_start_nor_an_attempt(
    config: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, status: Status
) -> None:
    job = sandbox.world.add_job(connection.connection_id, status=status)

    info = await job_info(config, job.job_id)
    assert (info["attempts"], "startedAt" in info["job"]) == ([], False)
