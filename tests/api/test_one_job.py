"""GET /api/v1/connections/{id}/jobs/{jobId}."""

import pytest

from tests.support import NEVER_OURS, World, bearer


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


@pytest.mark.parametrize("job_id", ["99999", "abc", "-1", "1.0", "0x1", "٣", "1%0a", "9" * 40, "1/2", "%00", "01", ""])
async def test_unknown_and_malformed_jobs_are_answered_as_one_of_another_client(world: World, job_id: str) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    await world.client_with_key("other")
    _, elsewhere = await world.mapped_connection("other")
    foreign = world.sandbox.world.add_job(elsewhere)
    of_another_client = await world.http.get(f"/api/v1/connections/{ours}/jobs/{foreign.job_id}", headers=bearer(key))

    answer = await world.http.get(f"/api/v1/connections/{ours}/jobs/{job_id}", headers=bearer(key))

    assert (answer.status_code, answer.content) == (404, b'{"error":"Job not found"}')
    assert of_another_client.content == answer.content


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
