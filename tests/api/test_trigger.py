"""POST /api/v1/connections/{id}/sync."""

from typing import Literal

import pytest

from gateway.sandbox import Answer
from tests.support import World, bearer

UNKNOWN_OUTCOME = {"error": "Outcome unknown: check the job list before retrying"}


async def test_starts_a_sync_and_shows_exactly_the_contract_s_keys(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert answer.status_code == 200
    assert answer.text == f'{{"job":{{"jobId":1,"connectionId":"{theirs}","status":"pending","jobType":"sync"}}}}'


@pytest.mark.parametrize("seconds", [0, 5], ids=["pending", "running"])
async def test_a_trigger_while_a_sync_is_under_way_returns_that_one(world: World, seconds: float) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    first = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))
    world.clock.advance(seconds)

    second = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert second.status_code == 200
    assert second.json()["job"]["jobId"] == first.json()["job"]["jobId"]
    assert len(world.jobs_of(theirs)) == 1


async def test_a_sync_that_is_waiting_for_its_retry_counts_as_under_way(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.add_job(theirs, status="incomplete")

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert answer.status_code == 200
    assert answer.json()["job"] == {"jobId": 1, "connectionId": theirs, "status": "incomplete", "jobType": "sync"}


async def test_a_hundred_simultaneous_triggers_make_one_job_and_one_call(world: World) -> None:
    key = await world.client_with_key(rate="1000/60")
    ours, _ = await world.mapped_connection()
    await world.http.get("/api/v1/connections", headers=bearer(key))
    world.sandbox.requests.clear()

    answers = await world.simultaneously("POST", f"/api/v1/connections/{ours}/sync", [key] * 100)

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["job"]["jobId"] for answer in answers} == {1}
    assert [request.method for request in world.sandbox.requests] == ["POST"]


async def test_a_running_reset_is_no_sync_to_attach_to(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.add_job(theirs, status="running", job_type="reset")

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (503, {"error": "Upstream service is busy"})
    assert answer.headers["retry-after"] == "30"


@pytest.mark.parametrize("status", ["inactive", "locked", "deprecated"])
async def test_a_connection_that_is_not_active_is_refused_and_its_status_remembered(
    world: World, status: Literal["inactive", "locked", "deprecated"]
) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.set_connection_status(theirs, status)

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))
    listed = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert answer.status_code == 400
    assert answer.json() == {"error": f"Connection is not active in Airbyte (status: {status})"}
    assert listed.json()["data"][0]["status"] == status


async def test_a_connection_that_airbyte_no_longer_has_is_not_found(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.forget_connection(theirs)

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (404, {"error": "Connection not found"})


async def test_a_read_only_key_may_not_trigger(world: World) -> None:
    key = await world.client_with_key(scope="read")
    ours, _ = await world.mapped_connection()
    world.sandbox.requests.clear()

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (403, {"error": "This API key is read-only"})
    assert not world.sandbox.requests


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "The request body is not valid JSON; this call takes none"),
        (b'{"jobType":"reset"}', "This call takes no request body"),
        (b"[]", "This call takes no request body"),
        (b"[" * 5000, "The request body is not valid JSON; this call takes none"),
    ],
)
async def test_a_body_is_refused_before_anything_starts(world: World, body: bytes, message: str) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key), content=body)

    assert (answer.status_code, answer.json()) == (400, {"error": message})
    assert not world.jobs_of(theirs)


async def test_an_empty_object_counts_as_no_body(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key), content=b"{}")

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "answer",
    [
        Answer.html(504),
        Answer.html(502),
        Answer(200, body=b"{}"),
        Answer(200, body=b'{"jobId":'),
        Answer.html(200),
        Answer(302, (("location", "http://127.0.0.1:1/"),)),
    ],
    ids=["504 page", "502 page", "missing keys", "cut short", "page with 200", "redirect"],
)
async def test_a_job_that_started_behind_a_broken_answer_is_found_and_not_started_again(
    world: World, answer: Answer
) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.faults.post_answer = answer

    got = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert got.status_code == 200
    assert got.json()["job"]["jobId"] == 1
    assert len(world.jobs_of(theirs)) == 1


async def test_when_no_job_is_found_behind_a_broken_answer_the_outcome_is_unknown(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.add_job(theirs, created_at=world.clock.now().timestamp() - 3600)
    world.sandbox.faults.answer_with(Answer.html(502), when=lambda method, path: path.endswith("/jobs"))

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (504, UNKNOWN_OUTCOME)
    assert sum(request.method == "POST" for request in world.sandbox.requests if "jobs" in request.path) == 1


async def test_a_state_conflict_of_an_active_connection_is_reconciled(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    world.sandbox.faults.state_conflict_after_signal = 0.0

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert answer.status_code == 200
    assert answer.json()["job"]["jobId"] == 1


async def test_a_state_conflict_whose_job_has_not_appeared_yet_is_an_unknown_outcome(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    world.sandbox.faults.state_conflict_after_signal = 30.0

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (504, UNKNOWN_OUTCOME)


async def test_a_token_that_airbyte_forgot_is_renewed_and_the_trigger_sent_again(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.revoke_tokens()

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert answer.status_code == 200
    assert len(world.jobs_of(theirs)) == 1


async def test_credentials_that_airbyte_refuses_are_no_fault_of_the_caller_s(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.faults.unauthorized = 2

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (502, {"error": "Upstream service unreachable"})
    assert not world.jobs_of(theirs)


async def test_a_429_of_airbyte_s_pauses_everybody_and_is_not_the_key_s_own(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    world.sandbox.faults.rate_limited = True
    first = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))
    world.sandbox.requests.clear()
    second = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    for answer in (first, second):
        assert (answer.status_code, answer.json()) == (503, {"error": "Upstream service is busy"})
        assert answer.headers["retry-after"] == "30"
    assert not world.sandbox.requests


async def test_a_trigger_is_news_for_the_connection_at_once(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    await world.http.get("/api/v1/connections", headers=bearer(key))
    await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    answer = await world.http.get("/api/v1/connections", headers=bearer(key))

    assert answer.json()["data"][0]["last_sync_status"] == "pending"
    assert answer.json()["data"][0]["last_sync_at"] == "2026-04-01T03:00:00.000Z"
