"""Everything that can be broken on purpose."""

import asyncio
from typing import Any

import httpx2
import pytest

from gateway.sandbox import Answer, Connection, Sandbox
from tests.sandbox.conftest import UNKNOWN, Clock, Trigger, connect


async def until_one_job(sandbox: Sandbox) -> None:
    while sandbox.world.history.find(1) is None:
        await asyncio.sleep(0)


async def test_a_delay_holds_the_answer_back(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, trigger: Trigger
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    sandbox.faults.sleep = sleep
    sandbox.faults.post_delay_seconds = 30
    sandbox.faults.get_delay_seconds = 2

    assert (await trigger(connection.connection_id)).status_code == 200
    assert (await client.get("/connections")).status_code == 200
    assert slept == [30, 2]


async def test_a_hanging_trigger_has_made_its_job_although_the_client_gave_up(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, trigger: Trigger
) -> None:
    sandbox.faults.post_hang = asyncio.Event()
    waiting = asyncio.create_task(trigger(connection.connection_id))
    await until_one_job(sandbox)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert [row["jobId"] for row in (await client.get("/jobs")).json()["data"]] == [1]


async def test_a_hang_ends_when_it_is_released(client: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.get_hang = asyncio.Event()
    waiting = asyncio.create_task(client.get("/jobs"))
    await asyncio.sleep(0)
    sandbox.faults.get_hang.set()

    assert (await waiting).status_code == 200


async def test_a_job_can_be_made_behind_a_gateway_timeout(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, trigger: Trigger
) -> None:
    sandbox.faults.post_answer = Answer.html(504)
    answer = await trigger(connection.connection_id)

    assert (answer.status_code, answer.headers["content-type"]) == (504, "text/html")
    assert "504 Gateway Timeout" in answer.text
    assert (await client.get("/jobs/1")).json()["status"] == "pending"


async def test_canned_answers_replace_the_next_matching_ones(client: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    body = b'{"data": null}'
    sandbox.faults.answer_with(Answer(200, body=body), when=lambda method, path: path.endswith("/jobs"))
    sandbox.faults.answer_with(Answer.html(502), times=2)

    seen = [(await client.get(path)).status_code for path in ("/workspaces", "/jobs", "/jobs", "/jobs")]
    assert seen == [502, 200, 502, 200]


async def test_a_conflict_after_the_signal_is_followed_by_one_job(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection, trigger: Trigger, clock: Clock
) -> None:
    sandbox.faults.state_conflict_after_signal = 5
    first, second = await trigger(connection.connection_id), await trigger(connection.connection_id)
    before = (await client.get("/jobs")).json()["data"]
    clock.advance(5)
    after = (await client.get("/jobs")).json()["data"]

    assert {answer.status_code for answer in (first, second)} == {409}
    assert {answer.json()["title"] for answer in (first, second)} == {"state-conflict"}
    assert (before, [row["jobId"] for row in after]) == ([], [1])


async def test_without_capacity_a_job_is_queued_for_eight_hours(
    sandbox: Sandbox, connection: Connection, trigger: Trigger, clock: Clock
) -> None:
    sandbox.faults.capacity_exhausted = True
    queued = await trigger(connection.connection_id)
    again = await trigger(connection.connection_id)
    clock.advance(8 * 3_600)
    found = sandbox.world.history.find(1)

    assert (queued.status_code, queued.json()["status"], queued.json()["duration"]) == (200, "queued", "PT0S")
    assert again.json() == queued.json()
    assert found
    assert found[1].status == "cancelled"


async def test_shed_load_is_a_429_without_retry_after(client: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.rate_limited = True
    answer = await client.get("/jobs")

    assert (answer.status_code, answer.json()) == (429, {"message": "You are being rate limited."})
    assert "retry-after" not in answer.headers
    assert (await client.get("/health")).status_code == 200


async def test_an_ordinary_user_gets_403_for_whatever_is_unknown(
    client: httpx2.AsyncClient, sandbox: Sandbox, trigger: Trigger
) -> None:
    sandbox.faults.user_mode = True
    answers = [
        await client.get("/jobs", params={"connectionId": UNKNOWN}),
        await client.get("/jobs", params={"connectionId": "not-a-uuid"}),
        await client.get("/jobs", params={"workspaceIds": UNKNOWN}),
        await client.get("/jobs/77"),
        await client.get("/connections", params={"workspaceIds": UNKNOWN}),
        await client.get(f"/connections/{UNKNOWN}"),
        await client.get("/connections/not-a-uuid"),
        await trigger(UNKNOWN),
        await trigger("not-a-uuid"),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json()["title"]) == (403, "forbidden")
        assert answer.json()["detail"] == "The request is forbidden."
        assert answer.json()["data"]["message"].startswith("Caller does not have the required WORKSPACE_")


async def test_an_ordinary_user_reads_what_is_known(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    sandbox.faults.user_mode = True

    for params in ({"connectionId": connection.connection_id}, {"workspaceIds": connection.workspace_id}, {}):
        assert (await client.get("/jobs", params=params)).status_code == 200


async def test_an_old_server_breaks_on_any_order(client: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    sandbox.faults.legacy = True
    answer = await client.get("/jobs", params={"orderBy": "createdAt|DESC"})

    assert (answer.status_code, answer.json()) == (500, {"type": "about:blank", "status": 500})
    assert (await client.get("/jobs")).status_code == 200


async def test_jobs_of_other_connections_can_slip_in(
    client: httpx2.AsyncClient, sandbox: Sandbox, connection: Connection
) -> None:
    other = sandbox.world.add_connection(sandbox.world.add_workspace("Globex").workspace_id)
    own = sandbox.world.add_job(connection.connection_id)
    foreign = sandbox.world.add_job(other.connection_id)
    sandbox.faults.foreign_rows = 1

    for params in ({"connectionId": connection.connection_id}, {"workspaceIds": connection.workspace_id}):
        rows = (await client.get("/jobs", params=params)).json()["data"]
        assert [row["jobId"] for row in rows] == [own.job_id, foreign.job_id]


async def test_two_sandboxes_share_no_faults(clock: Clock, sandbox: Sandbox) -> None:
    sandbox.faults.answer_with(Answer.html(502))
    async with connect(Sandbox(clock=clock, empty=True)) as other:
        assert (await other.get("/api/v1/health")).status_code == 200


@pytest.mark.parametrize(("fault", "status"), [("absent", 404), ("forbidden", 403), ("other shape", 200)])
async def test_the_config_api_alone_can_be_taken_away(
    client: httpx2.AsyncClient, config: httpx2.AsyncClient, sandbox: Sandbox, fault: Any, status: int
) -> None:
    sandbox.faults.config_api = fault
    answer = await config.post("/jobs/list", json={"configTypes": ["sync"]})

    assert answer.status_code == status
    assert "totalJobCount" not in answer.text
    assert (await client.get("/jobs")).status_code == 200
    assert (await config.get("/health")).json() == {"available": True}

    sandbox.faults.config_api = "as usual"
    assert (await config.post("/jobs/list", json={"configTypes": ["sync"]})).json() == {"jobs": [], "totalJobCount": 0}


async def test_the_config_api_can_hang(
    client: httpx2.AsyncClient, config: httpx2.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.faults.config_api_hang = asyncio.Event()
    waiting = asyncio.create_task(config.post("/jobs/list", json={"configTypes": ["sync"]}))
    assert (await client.get("/jobs")).status_code == 200
    assert not waiting.done()
    sandbox.faults.config_api_hang.set()

    assert (await waiting).status_code == 200
