"""Listing and reading jobs."""

from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from gateway.sandbox import Connection, Sandbox
from gateway.sandbox.timeline import Status
from tests.sandbox.conftest import NOON, UNKNOWN, Clock, listed

ALWAYS_PRESENT = {"jobId", "status", "jobType", "startTime", "connectionId"}
COUNTS = {"bytesSynced", "rowsSynced"}


@pytest.mark.parametrize(
    ("status", "optional"),
    [
        ("pending", set()),
        ("queued", {"duration"}),
        ("running", {"duration"}),
        ("incomplete", {"duration"}),
        ("failed", {"duration", "lastUpdatedAt"}),
        ("succeeded", {"duration", "lastUpdatedAt"}),
        ("cancelled", {"duration", "lastUpdatedAt"}),
    ],
)
async def test_a_job_shows_exactly_the_fields_of_its_status(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, status: Status, optional: set[str]
) -> None:
    job = sandbox.world.add_job(connection.connection_id, status=status)
    read = (await client.get(f"/jobs/{job.job_id}")).json()
    row = (await client.get("/jobs")).json()["data"][0]

    assert read == row
    assert read["status"] == status
    assert set(read) == ALWAYS_PRESENT | COUNTS | optional
    assert None not in read.values()


async def test_a_finished_job_is_written_the_airbyte_way(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    sandbox.world.add_job(
        connection.connection_id, created_at=NOON - 93_780, duration_seconds=93_780, bytes=2**40, rows=2**33
    )

    assert (await client.get("/jobs")).json()["data"] == [
        {
            "jobId": 1,
            "status": "succeeded",
            "jobType": "sync",
            "startTime": "2026-03-31T09:57Z",
            "connectionId": connection.connection_id,
            "lastUpdatedAt": "2026-04-01T12:00Z",
            "duration": "PT26H3M",
            "bytesSynced": 2**40,
            "rowsSynced": 2**33,
        }
    ]


async def test_jobs_come_oldest_first_and_twenty_at_a_time(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    for age in range(30):
        sandbox.world.add_job(connection.connection_id, created_at=NOON - 3_600 * (age + 1))

    assert await listed(client) == list(range(30, 10, -1))
    assert await listed(client, orderBy="createdAt|DESC", limit=3) == [1, 2, 3]
    assert await listed(client, connectionId=connection.connection_id, limit=2, offset=28) == [2, 1]
    assert await listed(client, connectionId=connection.connection_id, orderBy="createdAt|DESC", limit=2) == [
        1,
        2,
    ]


@pytest.mark.parametrize("scope", ["connectionId", "workspaceIds"])
async def test_jobs_can_be_ordered_by_their_last_change(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, scope: str
) -> None:
    long = sandbox.world.add_job(connection.connection_id, created_at=NOON - 900, duration_seconds=800)
    short = sandbox.world.add_job(connection.connection_id, created_at=NOON - 800, duration_seconds=10)
    moving = sandbox.world.add_job(connection.connection_id, created_at=NOON - 50, duration_seconds=100)
    value = connection.connection_id if scope == "connectionId" else connection.workspace_id
    newest_first = [moving.job_id, long.job_id, short.job_id]

    assert await listed(client, **{scope: value, "orderBy": "updatedAt|DESC"}) == newest_first
    assert await listed(client, **{scope: value, "orderBy": "UPDATEDAT|ASC"}) == newest_first[::-1]


@pytest.mark.parametrize("order", ["createdAt|desc", "created_at|DESC", "startTime|DESC", "createdAt", ""])
async def test_refuses_an_order_it_does_not_know(client: httpx2.AsyncClient, order: str) -> None:
    answer = await client.get("/jobs", params={"orderBy": order})

    assert answer.status_code == 400
    assert answer.json()["title"] == "bad-request"
    assert answer.json()["documentationUrl"] is None
    assert answer.json()["data"]["message"] == f"Invalid order by clause provided: {order}"


async def test_time_bounds_are_inclusive_and_finer_than_what_is_shown(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    sandbox.world.add_job(connection.connection_id, created_at=NOON - 600.5, duration_seconds=60)

    assert await listed(client, createdAtStart="2026-04-01T11:49:59.5Z") == [1]
    assert await listed(client, createdAtEnd="2026-04-01T11:49:59.500Z") == [1]
    assert await listed(client, createdAtEnd="2026-04-01T11:49:59Z") == []
    assert await listed(client, updatedAtStart="2026-04-01T13:50:59.5+02:00") == [1]
    assert await listed(client, updatedAtStart="2026-04-01T11:51Z") == []
    assert await listed(client, updatedAtEnd="2026-04-01T11:51Z", createdAtStart="2026-04-01T11:00Z") == [1]


@pytest.mark.parametrize(
    "query",
    [
        "createdAtStart=1687450500000",
        "updatedAtEnd=2026-04-01",
        "createdAtStart=2026-04-01T03:00:00+02:00",  # an unencoded plus is a space
        "status=done",
        "jobType=backup",
        "limit=many",
    ],
)
async def test_unreadable_parameters_are_a_400_in_hal(client: httpx2.AsyncClient, query: str) -> None:
    answer = await client.get(f"/jobs?{query}")

    assert answer.status_code == 400
    assert answer.json()["message"] == "Bad Request"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "offset=-1"])
async def test_a_page_out_of_range_is_a_400_with_an_error_id(client: httpx2.AsyncClient, query: str) -> None:
    answer = await client.get(f"/jobs?{query}")

    assert answer.status_code == 400
    assert list(answer.json()) == ["errorId"]


async def test_status_and_type_filter_in_any_case(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    sandbox.world.add_job(connection.connection_id, status="failed")
    sandbox.world.add_job(connection.connection_id, job_type="refresh")

    assert await listed(client, status="FAILED") == [1]
    assert await listed(client, jobType="refresh") == [2]
    assert await listed(client, status="failed", jobType="refresh") == []


async def test_workspaces_bind_as_list_or_repeated_and_misspelt_ones_widen(
    client: httpx2.AsyncClient, sandbox: Sandbox
) -> None:
    workspaces = [sandbox.world.add_workspace(name).workspace_id for name in ("a", "b", "c")]
    for workspace_id in workspaces:
        sandbox.world.add_job(sandbox.world.add_connection(workspace_id).connection_id)

    assert await listed(client, workspaceIds=",".join(workspaces[:2])) == [1, 2]
    assert await listed(client, workspaceIds=workspaces[1:]) == [2, 3]
    for widened in ({}, {"workspaceIds": ""}, {"workspaceId": workspaces[0]}, {"workspaceIds": "garbage"}):
        assert await listed(client, **widened) == [1, 2, 3]


async def test_a_connection_wins_over_workspaces(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    elsewhere = sandbox.world.add_workspace("Globex").workspace_id
    sandbox.world.add_job(connection.connection_id)

    assert await listed(client, connectionId=connection.connection_id, workspaceIds=elsewhere) == [1]
    assert await listed(client, workspaceIds=elsewhere) == []


async def test_next_is_there_on_the_last_page_and_forgets_the_filters(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    for _ in range(3):
        sandbox.world.add_job(connection.connection_id)
    params: dict[str, str | int] = {
        "connectionId": connection.connection_id,
        "orderBy": "createdAt|DESC",
        "status": "succeeded",
        "createdAtStart": "2026-01-01T00:00Z",
        "jobType": "sync",
        "limit": 2,
    }
    first = (await client.get("/jobs", params=params)).json()
    last = (await client.get("/jobs", params={**params, "offset": 2})).json()
    beyond = (await client.get("/jobs", params={**params, "offset": 4})).json()

    assert first["previous"] == ""
    assert last["next"].startswith("http://localhost:8001/api/public/v1/jobs?")
    assert dict(parse_qsl(urlsplit(last["next"]).query)) == {
        "jobType": "sync",
        "connectionId": connection.connection_id,
        "limit": "2",
        "offset": "4",
    }
    assert "limit=2&limit=2&offset=0" in last["previous"]
    assert (beyond["data"], beyond["next"]) == ([], "")
    assert beyond["previous"].endswith("limit=2&offset=2")


async def test_an_unknown_job_is_a_conflict(client: httpx2.AsyncClient) -> None:
    for answer in (await client.get("/jobs/77"), await client.delete("/jobs/77")):
        assert answer.status_code == 409
        assert answer.json()["title"] == "state-conflict"
        assert answer.json()["data"]["message"] == "Job is not currently running"
    assert (await client.get("/jobs/x")).status_code == 400


async def test_unknown_connections_answer_an_admin_as_airbyte_does(client: httpx2.AsyncClient) -> None:
    assert await listed(client, connectionId=UNKNOWN) == []
    broken = await client.get("/jobs", params={"connectionId": "not-a-uuid"})
    assert (broken.status_code, list(broken.json())) == (500, ["errorId"])


async def test_the_history_of_a_removed_connection_stays_and_of_a_forgotten_one_goes(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    sandbox.world.add_job(connection.connection_id)
    sandbox.world.remove_connection(connection.connection_id)
    assert await listed(client, connectionId=connection.connection_id) == [1]

    sandbox.world.forget_connection(connection.connection_id)
    assert await listed(client, connectionId=connection.connection_id) == []
    assert await listed(client, updatedAtStart="2020-01-01T00:00Z") == []


async def test_a_job_that_changes_again_is_listed_once_at_its_new_place(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, clock: Clock
) -> None:
    stuck = sandbox.world.add_job(connection.connection_id, status="running")
    clock.advance(60)
    other = sandbox.world.add_job(connection.connection_id, duration_seconds=30)
    assert await listed(client, orderBy="updatedAt|DESC") == [other.job_id, stuck.job_id]

    clock.advance(60)
    await client.delete(f"/jobs/{stuck.job_id}")
    assert await listed(client, orderBy="updatedAt|DESC") == [stuck.job_id, other.job_id]
