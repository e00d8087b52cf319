"""POST /api/v1/connections/{id}/sync."""

import asyncio
from typing import Literal

import pytest

from gateway.sandbox import Answer
from tests.support import SPINS, World, bearer

BUSY = {"error": "Upstream service is busy"}
UNKNOWN_OUTCOME = {"error": "Outcome unknown: check the job list before retrying"}


def is_trigger(method: str, path: str) -> bool:
    return method == "POST" and path.endswith("/jobs")


def is_job_list(method: str, path: str) -> bool:
    return method == "GET" and path.endswith("/jobs")


def posts(world: World) -> int:
    return sum(is_trigger(request.method, request.path) for request in world.sandbox.requests)


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


async def test_a_hundred_simultaneous_triggers_make_one_job_by_one_look_and_one_call(world: World) -> None:
    key = await world.client_with_key(rate="1000/60")
    ours, _ = await world.mapped_connection()
    await world.http.get("/api/v1/connections", headers=bearer(key))
    world.sandbox.requests.clear()

    answers = await world.simultaneously("POST", f"/api/v1/connections/{ours}/sync", [key] * 100)

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["job"]["jobId"] for answer in answers} == {1}
    assert [request.method for request in world.sandbox.requests] == ["GET", "POST"]


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
        (b'"\xff"', "The request body is not valid JSON; this call takes none"),
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
    world.sandbox.faults.answer_with(Answer.html(502), when=is_trigger)

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (504, UNKNOWN_OUTCOME)
    assert sum(request.method == "POST" for request in world.sandbox.requests if "jobs" in request.path) == 1


async def test_a_sync_that_is_running_is_joined_without_a_call_that_could_start_one(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job = world.sandbox.world.add_job(theirs, status="running")

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert answer.json()["job"]["jobId"] == job.job_id
    assert posts(world) == 0


async def test_a_clear_that_ends_while_it_keeps_a_sync_from_starting_is_not_answered(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.add_job(theirs, status="running", job_type="reset", created_at=world.clock.now().timestamp())
    looks: list[str] = []

    def end_before_the_second_look(method: str, path: str) -> bool:
        if is_job_list(method, path):
            looks.append(path)
            if len(looks) == 2:
                world.sandbox.world.cancel(*world.sandbox.world.history.active(theirs) or ())
        return False

    world.sandbox.faults.answer_with(Answer.html(502), when=end_before_the_second_look)

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert len(looks) == 2
    assert (answer.status_code, answer.json()) == (503, BUSY)


@pytest.mark.parametrize("has_ended", [False, True])
async def test_a_sync_that_something_else_begins_just_before_the_trigger_is_joined(
    world: World, *, has_ended: bool
) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.add_job(theirs)

    def begin_or_end(method: str, path: str) -> bool:
        running = world.sandbox.world.history.active(theirs)
        if is_trigger(method, path):
            world.sandbox.world.add_job(theirs, status="running")
        elif running and has_ended:
            world.sandbox.world.cancel(*running)
        return False

    world.sandbox.faults.answer_with(Answer.html(502), when=begin_or_end)

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert answer.status_code == 200
    assert answer.json()["job"]["jobId"] == 2
    assert answer.json()["job"]["status"] == ("cancelled" if has_ended else "running")


async def test_a_pending_clear_that_airbyte_answers_is_no_sync(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.add_job(theirs, status="pending", job_type="reset")

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (503, BUSY)
    assert answer.headers["retry-after"] == "30"


async def test_a_job_that_had_ended_is_not_the_triggers_even_if_airbyte_names_it(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    old = world.sandbox.world.add_job(theirs)
    body = f'{{"jobId":{old.job_id},"connectionId":"{theirs}","status":"succeeded","jobType":"sync"}}'
    world.sandbox.faults.answer_with(Answer(200, body=body.encode()), when=is_trigger)

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (504, UNKNOWN_OUTCOME)


async def test_when_the_look_fails_the_sync_is_started_all_the_same(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.faults.answer_with(Answer.html(502), times=2, when=is_job_list)

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert answer.status_code == 200
    assert world.jobs_of(theirs) == [answer.json()["job"]["jobId"]]


async def test_when_the_look_fails_an_unclear_answer_is_an_unknown_outcome(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    world.sandbox.faults.answer_with(Answer.html(502), times=2, when=is_job_list)
    world.sandbox.faults.post_answer = Answer.html(502)

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (504, UNKNOWN_OUTCOME)


async def test_a_state_conflict_whose_reason_cannot_be_asked_for_is_an_unknown_outcome(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    world.sandbox.faults.state_conflict_after_signal = 30.0
    world.sandbox.faults.answer_with(Answer.html(502), times=2, when=lambda _, path: "/connections/" in path)

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (504, UNKNOWN_OUTCOME)


@pytest.mark.parametrize("held_back", ["the look", "the trigger"])
async def test_a_trigger_of_a_connection_that_changed_hands_meanwhile_is_not_found(
    world: World, held_back: str
) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    await world.services.clients.add(slug="other", name="Other", plan="free")
    world.sandbox.requests.clear()
    faults, release = world.sandbox.faults, asyncio.Event()
    if held_back == "the look":
        faults.get_hang = release
    else:
        faults.post_hang = release

    asking = asyncio.create_task(world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key)))
    await world.until_airbyte_is_asked("GET" if held_back == "the look" else "POST", "/jobs")
    faults.get_hang = faults.post_hang = None
    await world.services.connections.remove(ours)
    await world.services.connections.add("other", connector_type="x", label="Shop", airbyte_id=theirs)
    release.set()
    answer = await asking

    assert (answer.status_code, answer.json()) == (404, {"error": "Connection not found"})
    assert posts(world) == (held_back == "the trigger")


async def test_who_comes_after_the_trigger_was_sent_is_not_answered_with_a_job_that_had_ended(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    path = f"/api/v1/connections/{ours}/sync"
    world.sandbox.faults.post_hang = release = asyncio.Event()

    first = asyncio.create_task(world.http.post(path, headers=bearer(key)))
    await world.until_airbyte_is_asked("POST", "/jobs")
    world.clock.advance(60)
    await world.services.cluster.membership.send_heartbeat()
    second = asyncio.create_task(world.http.post(path, headers=bearer(key)))
    for _ in range(SPINS):
        await asyncio.sleep(0)
    world.sandbox.faults.post_hang = None
    release.set()
    jobs = [(await each).json()["job"]["jobId"] for each in (first, second)]

    assert jobs == sorted(world.jobs_of(theirs)) == [1, 2]


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
