"""GET /api/v1/connections/{id}/jobs/{jobId}."""

from pathlib import Path

import pytest

from gateway.api.job_query import NO_INCLUDE
from gateway.provisioning.keys import NewKey
from gateway.sandbox.failures import (
    CANCELLED,
    CREDENTIALS_REFUSED,
    DESTINATION_TIMEOUT,
    PLANTED_HOST,
    PLANTED_PASSWORD,
    PLATFORM,
    SCHEMA_REFRESH,
    TRANSIENT_SOURCE,
    Failure,
)
from gateway.sandbox.faults import ConfigApi as ConfigState
from gateway.sandbox.records import Stream, StreamVolume
from gateway.web.responses import JSONAnswer
from tests.support import NEVER_OURS, World, bearer, running_gateway


async def test_shows_the_eight_keys_of_the_list_then_what_else_is_known(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job = world.sandbox.world.add_job(theirs, created_at=world.clock.now().timestamp() - 3600, bytes=4096, rows=8)
    listed = await world.http.get(f"/api/v1/connections/{ours}/jobs", headers=bearer(key))

    answer = await world.http.get(f"/api/v1/connections/{ours}/jobs/{job.job_id}", headers=bearer(key))

    detail = answer.json()["job"]
    (row,) = listed.json()["data"]
    assert answer.status_code == 200
    assert list(detail) == [*row, "endTime", "attempts", "failure", "streams"]
    assert {name: detail[name] for name in row} == row
    assert detail["endTime"] == "2026-04-01T02:01:00.000Z"


async def test_a_job_that_goes_on_has_no_end(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    triggered = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))
    job_id = triggered.json()["job"]["jobId"]

    answer = await world.http.get(f"/api/v1/connections/{ours}/jobs/{job_id}", headers=bearer(key))

    assert (answer.json()["job"]["status"], answer.json()["job"]["endTime"]) == ("pending", None)


async def test_shows_a_job_of_any_type(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job = world.sandbox.world.add_job(theirs, job_type="reset")

    answer = await world.http.get(f"/api/v1/connections/{ours}/jobs/{job.job_id}", headers=bearer(key))

    assert answer.json()["job"]["jobType"] == "reset"


async def test_unknown_and_malformed_jobs_are_answered_as_one_of_another_client(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    await world.client_with_key("other")
    _, elsewhere = await world.mapped_connection("other")
    foreign = world.sandbox.world.add_job(elsewhere)
    malformed = ("abc", "-1", "1.0", "0x1", "٣", "1%0a", "9" * 40, "1/2", "%00", "01", "")

    for job_id in (foreign.job_id, "99999", *malformed):
        answer = await world.http.get(f"/api/v1/connections/{ours}/jobs/{job_id}", headers=bearer(key))

        assert (answer.status_code, answer.content) == (404, b'{"error":"Job not found"}'), job_id


async def test_a_job_of_another_connection_of_the_client_is_not_this_one_s(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    _, second = await world.mapped_connection()
    job = world.sandbox.world.add_job(second)

    answer = await world.http.get(f"/api/v1/connections/{ours}/jobs/{job.job_id}", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (404, {"error": "Job not found"})


async def test_a_connection_of_another_client_is_not_found_and_airbyte_is_not_asked(world: World) -> None:
    key = await world.client_with_key()
    await world.client_with_key("other")
    foreign, theirs = await world.mapped_connection("other")
    job = world.sandbox.world.add_job(theirs)
    world.sandbox.requests.clear()

    answer = await world.http.get(f"/api/v1/connections/{foreign}/jobs/{job.job_id}", headers=bearer(key))
    unknown = await world.http.get(f"/api/v1/connections/{NEVER_OURS}/jobs/{job.job_id}", headers=bearer(key))

    assert (answer.status_code, answer.content) == (404, b'{"error":"Connection not found"}')
    assert unknown.content == answer.content
    assert not world.sandbox.requests


async def test_simultaneous_readers_of_one_job_share_a_call(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job = world.sandbox.world.add_job(theirs)
    world.sandbox.requests.clear()

    answers = await world.simultaneously("GET", f"/api/v1/connections/{ours}/jobs/{job.job_id}", [key] * 32)

    assert {answer.status_code for answer in answers} == {200}
    assert [request.path for request in world.sandbox.requests].count(f"/api/public/v1/jobs/{job.job_id}") == 1


async def test_another_method_names_the_right_one(world: World) -> None:
    key = await world.client_with_key()

    answer = await world.http.post(f"/api/v1/connections/{NEVER_OURS}/jobs/1", headers=bearer(key))

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def failed_job(world: World, *failures: Failure, attempts: int = 1) -> tuple[NewKey, str]:
    """A client's key, and where its one job is, whose attempts failed so."""
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job = world.sandbox.world.add_job(
        theirs,
        status="failed",
        created_at=world.clock.now().timestamp() - 3600,
        failures=failures,
        attempts=attempts,
        streams=[StreamVolume(Stream("orders", "public"), 600, 6000), StreamVolume(Stream("clients"), 400, 2000)],
    )
    return key, f"/api/v1/connections/{ours}/jobs/{job.job_id}"


async def test_shows_attempts_streams_and_why_the_last_attempt_failed(world: World) -> None:
    key, path = await failed_job(world, CREDENTIALS_REFUSED, attempts=2)

    job = (await world.http.get(path, headers=bearer(key))).json()["job"]

    first, second = job["attempts"]
    assert list(second) == ["number", "status", "startTime", "endTime", "bytesSynced", "rowsSynced", "failure"]
    assert (first["number"], second["number"], second["status"]) == (1, 2, "failed")
    assert first["startTime"] == "2026-04-01T02:00:00.000Z"
    assert second["endTime"] == job["endTime"] == "2026-04-01T02:01:00.000Z"
    assert job["failure"] == second["failure"]
    assert list(job["failure"]) == ["origin", "type", "message", "retryable"]
    assert (job["failure"]["origin"], job["failure"]["type"]) == ("source", "credentials")
    assert job["failure"]["retryable"] is False
    assert [(each["name"], each["namespace"]) for each in job["streams"]] == [("orders", "public"), ("clients", None)]
    assert sum(each["rowsSynced"] for each in job["streams"]) == job["rowsSynced"]
    assert sum(each["bytesSynced"] for each in job["streams"]) == job["bytesSynced"]


async def test_a_source_s_message_is_shown_without_its_secrets(world: World) -> None:
    key, path = await failed_job(world, CREDENTIALS_REFUSED)

    answer = await world.http.get(path, headers=bearer(key))

    assert "password authentication failed for user" in answer.json()["job"]["failure"]["message"]
    for secret in (PLANTED_PASSWORD, PLANTED_HOST, "stacktrace", "PSQLException", "10.20.30.40"):
        assert secret not in answer.text


@pytest.mark.parametrize(
    ("failure", "origin", "kind", "message"),
    [
        (DESTINATION_TIMEOUT, "destination", "timeout", "The destination made no progress in time."),
        (SCHEMA_REFRESH, "platform", "schema", "The schema of the source could not be refreshed."),
        (PLATFORM, "platform", "system", "The platform that runs the sync had an internal problem."),
        (CANCELLED, "unknown", "cancelled", "The job was cancelled."),
        (
            Failure("a new origin", "a new type", "Wait for rain"),
            "unknown",
            "unknown",
            "The sync failed. Airbyte gave no reason.",
        ),
    ],
)
async def test_other_failures_than_a_source_s_are_told_in_our_own_words(
    world: World, failure: Failure, origin: str, kind: str, message: str
) -> None:
    key, path = await failed_job(world, failure)

    told = (await world.http.get(path, headers=bearer(key))).json()["job"]["failure"]

    assert (told["origin"], told["type"], told["message"]) == (origin, kind, message)


async def test_plain_messages_are_our_own_words_for_sources_too(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, airbyte={"failure_messages": "plain"}) as world:
        key, path = await failed_job(world, CREDENTIALS_REFUSED)

        told = (await world.http.get(path, headers=bearer(key))).json()["job"]["failure"]

    assert (told["type"], told["message"]) == ("credentials", "The source refused the credentials.")


async def test_a_cancellation_decides_over_what_failed_because_of_it(world: World) -> None:
    key, path = await failed_job(world, TRANSIENT_SOURCE, CANCELLED)

    assert (await world.http.get(path, headers=bearer(key))).json()["job"]["failure"]["type"] == "cancelled"


async def test_a_job_that_succeeded_in_the_end_has_no_failure_though_an_attempt_has(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job = world.sandbox.world.add_job(theirs, attempts=2, failures=[TRANSIENT_SOURCE])

    shown = (await world.http.get(f"/api/v1/connections/{ours}/jobs/{job.job_id}", headers=bearer(key))).json()["job"]

    assert shown["failure"] is None
    assert [attempt["failure"] and attempt["failure"]["type"] for attempt in shown["attempts"]] == ["temporary", None]


@pytest.mark.parametrize("state", ["absent", "forbidden", "other shape"])
async def test_without_the_config_api_everything_but_the_reason_is_told(world: World, state: ConfigState) -> None:
    key, path = await failed_job(world, CREDENTIALS_REFUSED)
    world.sandbox.faults.config_api = state

    answer = await world.http.get(path, headers=bearer(key))

    job = answer.json()["job"]
    assert answer.status_code == 200
    assert (job["failure"], job["attempts"], job["streams"]) == (None, [], [])
    assert (job["status"], job["endTime"]) == ("failed", "2026-04-01T02:01:00.000Z")


async def test_the_config_api_is_not_asked_when_it_is_turned_off(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, airbyte={"config_url": "off"}) as world:
        key, path = await failed_job(world, CREDENTIALS_REFUSED)
        world.sandbox.requests.clear()

        job = (await world.http.get(path, headers=bearer(key))).json()["job"]

        assert job["failure"] is None
        assert {request.path.rpartition("/")[0] for request in world.sandbox.requests} == {"/api/public/v1/jobs"}


async def test_an_operator_reads_the_message_whole_and_no_answer_can_be_made_of_it(world: World) -> None:
    _, path = await failed_job(world, CREDENTIALS_REFUSED)
    connection = await world.services.store.connections.any_by_id(path.split("/")[4])

    told = await world.services.syncs.job_details.operator_failure(connection, int(path.rpartition("/")[2]))

    assert told is not None
    assert PLANTED_PASSWORD in told.external_message
    assert PLANTED_PASSWORD not in repr(told)
    with pytest.raises(TypeError):
        JSONAnswer({"failure": told})


async def test_an_include_is_refused_where_all_is_told_anyway(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()

    answer = await world.http.get(f"/api/v1/connections/{ours}/jobs/1?include=failure", headers=bearer(key))

    assert (answer.status_code, answer.json()["error"]) == (400, NO_INCLUDE)
