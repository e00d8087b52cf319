"""The Config API's calls that programs need: each a POST, its answers in seconds since 1970, attempts masked."""

import pytest

from gateway.airbyte_compat.config_connections import TOO_MANY, _modes
from gateway.airbyte_compat.config_jobs import NO_FILTER, NO_MERGED_PAGE, NO_PAGE
from gateway.airbyte_compat.job_query import NO_STATUS
from gateway.errors import ConnectionNotFound, JobNotFound, ReadOnlyKey, WorkspaceNotFound
from gateway.sandbox.failures import CREDENTIALS_REFUSED, PLANTED_HOST, PLANTED_PASSWORD
from gateway.web.compatible_paths import PUBLIC_API
from tests.airbyte_compat.support import NOBODYS, Tenant, assert_problem, basic
from tests.support import START, World, bearer, quiet

BEGAN = int(START.timestamp())
RUNS_AFTER, ENDS_AFTER = 2.0, 10.0


async def test_a_connection_has_the_catalog_that_dagster_reads(acme: Tenant) -> None:
    for slash in ("", "/"):
        answer = await acme.config(f"/connections/get{slash}", connectionId=acme.airbyte_id, withRefreshedCatalog=True)
        assert answer.status_code == 200
    told = answer.json()
    public = (await acme.get(f"/connections/{acme.airbyte_id}")).json()

    assert {name: told[name] for name in ("connectionId", "name", "prefix", "status", "destinationId", "sourceId")} == {
        name: public[name] for name in ("connectionId", "name", "prefix", "status", "destinationId", "sourceId")
    }
    assert (told["scheduleType"], told["created_at"]) == ("manual", BEGAN)
    streams = told["syncCatalog"]["streams"]
    assert [each["stream"]["name"] for each in streams] == [
        each["name"] for each in public["configurations"]["streams"]
    ]
    assert streams[0]["config"]["selected"] is True
    assert streams[0]["stream"]["jsonSchema"] == {"type": "object", "properties": {}}


async def test_the_connections_of_the_workspace_are_listed(acme: Tenant, globex: Tenant) -> None:
    (own,) = (await acme.get("/workspaces")).json()["data"]
    (foreign,) = (await globex.get("/workspaces")).json()["data"]

    answer = await acme.config("/connections/list", workspaceId=own["workspaceId"])
    assert [row["connectionId"] for row in answer.json()["connections"]] == [acme.airbyte_id]
    for text in (foreign["workspaceId"], NOBODYS, "x"):
        assert_problem(await acme.config("/connections/list", workspaceId=text), 404, WorkspaceNotFound.message)


async def test_a_sync_is_started_looked_at_and_told_with_its_attempt(world: World, acme: Tenant) -> None:
    started = await acme.config("/connections/sync/", connectionId=acme.airbyte_id)
    again = await acme.config("/connections/sync", connectionId=acme.airbyte_id)
    assert started.json() == again.json()
    assert started.json() == {
        "job": {
            "id": 1,
            "configType": "sync",
            "configId": acme.airbyte_id,
            "createdAt": BEGAN,
            "updatedAt": BEGAN,
            "status": "pending",
        },
        "attempts": [],
    }
    world.clock.advance(RUNS_AFTER + 1)
    running = (await acme.config("/jobs/get", id=1)).json()
    world.clock.advance(ENDS_AFTER)
    ended = (await acme.config("/jobs/get/", id="1")).json()

    assert (running["job"]["status"], ended["job"]["status"]) == ("running", "succeeded")
    assert ended["job"]["updatedAt"] == BEGAN + ENDS_AFTER
    (attempt,) = ended["attempts"]
    assert attempt["logs"] == {"logLines": []}
    assert (attempt["attempt"]["id"], attempt["attempt"]["status"]) == (0, "succeeded")
    assert (attempt["attempt"]["recordsSynced"], attempt["attempt"]["endedAt"]) == (12_000, BEGAN + ENDS_AFTER)


async def test_an_ended_job_is_told_again_for_nothing(world: World, acme: Tenant) -> None:
    job = world.sandbox.world.add_job(acme.airbyte_id)
    first = await acme.config("/jobs/get", id=job.job_id)
    await quiet()
    world.sandbox.requests.clear()
    world.clock.advance(60)

    assert (await acme.config("/jobs/get", id=job.job_id)).json() == first.json()
    assert not world.sandbox.requests


async def test_why_an_attempt_failed_is_as_masked_as_in_our_own_api(world: World, acme: Tenant) -> None:
    job = world.sandbox.world.add_job(acme.airbyte_id, status="failed", failures=[CREDENTIALS_REFUSED])
    own = await world.http.get(f"/api/v1/connections/{acme.connection_id}/jobs/{job.job_id}", headers=bearer(acme.key))

    got = await acme.config("/jobs/get", id=job.job_id)
    listed = await acme.config("/jobs/list", configId=acme.airbyte_id, configTypes=["sync"])

    (failure,) = got.json()["attempts"][0]["attempt"]["failureSummary"]["failures"]
    assert failure["externalMessage"] == own.json()["job"]["failure"]["message"]
    assert (failure["failureOrigin"], failure["failureType"], failure["retryable"]) == ("source", "config_error", False)
    assert listed.json()["jobs"][0]["attempts"] == [got.json()["attempts"][0]["attempt"]]
    for answer in (got, listed):
        assert not any(word in answer.text for word in (PLANTED_HOST, PLANTED_PASSWORD, "jdbc"))


async def test_without_a_config_api_a_job_has_no_attempts(world: World, acme: Tenant) -> None:
    job = world.sandbox.world.add_job(acme.airbyte_id)
    world.sandbox.faults.config_api = "absent"

    answer = await acme.config("/jobs/get", id=job.job_id)

    assert (answer.status_code, answer.json()["attempts"]) == (200, [])
    listed = await acme.config("/jobs/list", configId=acme.airbyte_id, configTypes=["sync"])
    assert [row["job"]["id"] for row in listed.json()["jobs"]] == [job.job_id]


async def test_jobs_are_listed_newest_first_by_offset(world: World, acme: Tenant) -> None:
    now = world.clock.now().timestamp()
    add_job = world.sandbox.world.add_job
    jobs = [add_job(acme.airbyte_id, created_at=now - hour * 3600).job_id for hour in range(1, 6)]
    reset = add_job(acme.airbyte_id, created_at=now - 7 * 3600, job_type="reset").job_id

    async def listed(*types: str, size: int = 2, offset: int = 0) -> list[int]:
        page = {"pageSize": size, "rowOffset": offset}
        answer = await acme.config("/jobs/list", configId=acme.airbyte_id, configTypes=types, pagination=page)
        assert all(row["attempts"] for row in answer.json()["jobs"])
        return [row["job"]["id"] for row in answer.json()["jobs"]]

    assert await listed("sync") == jobs[:2]
    assert await listed("sync", offset=4) == jobs[4:]
    assert await listed("reset_connection") == [reset]
    assert await listed("sync", "reset_connection", size=100) == [*jobs, reset]
    assert await listed("sync", "reset_connection", size=2, offset=4) == [jobs[4], reset]
    assert await listed("check_connection_source") == []
    for _ in range(2):
        add_job(acme.airbyte_id, created_at=now - 60, job_type="reset")
    assert await listed("sync", "refresh") == jobs[:2]
    of_one = {"configId": acme.airbyte_id, "configTypes": ["sync"]}
    for statuses, found in ((["succeeded"], 5), (["failed", "pending"], 0), (["failed", "succeeded"], 5)):
        told = (await acme.config("/jobs/list", **of_one, statuses=statuses)).json()
        assert (len(told["jobs"]), told["totalJobCount"]) == (found, found)
    assert_problem(await acme.config("/jobs/list", **of_one, statuses=["x"]), 400, NO_STATUS)
    assert_problem(await acme.config("/jobs/list", **of_one, includingJobId=1), 400, NO_FILTER)
    far, two = {"rowOffset": 901}, ["sync", "clear"]
    answer = await acme.config("/jobs/list", configId=acme.airbyte_id, configTypes=two, pagination=far)
    assert_problem(answer, 400, NO_MERGED_PAGE)
    page = {"pageSize": 0}
    assert_problem(await acme.config("/jobs/list", configId=acme.airbyte_id, pagination=page), 400, NO_PAGE)


async def test_a_job_is_cancelled(world: World, acme: Tenant) -> None:
    job_id = await acme.new_job()
    world.clock.advance(RUNS_AFTER + 1)

    answer = await acme.config("/jobs/cancel", id=job_id)

    assert (answer.status_code, answer.json()["job"]["status"]) == (200, "cancelled")


async def test_the_last_sync_of_connections_is_told(world: World, acme: Tenant) -> None:
    async def status() -> dict[str, object]:
        (told,) = (await acme.config("/connections/status", connectionIds=[acme.airbyte_id])).json()
        return dict(told)

    assert await status() == {
        "connectionId": acme.airbyte_id,
        "connectionSyncStatus": "pending",
        "isRunning": False,
    }
    job_id = await acme.new_job()
    assert (await status())["isRunning"] is True
    world.clock.advance(ENDS_AFTER + 60)
    ended = await status()
    assert (ended["connectionSyncStatus"], ended["lastSyncJobId"]) == ("synced", job_id)
    many = [acme.airbyte_id] * 101
    assert_problem(await acme.config("/connections/status", connectionIds=many), 400, TOO_MANY)


async def test_foreign_and_unknown_ids_are_alike(acme: Tenant, globex: Tenant) -> None:
    foreign = await globex.new_job()
    for job_id in (foreign, 10**9, "x", -1):
        for path in ("/jobs/get", "/jobs/cancel"):
            assert_problem(await acme.config(path, id=job_id), 404, JobNotFound.message)
    await quiet()
    acme.world.sandbox.requests.clear()
    for text in (globex.airbyte_id, NOBODYS, "x", ""):
        for path in ("/connections/get", "/connections/sync"):
            assert_problem(await acme.config(path, connectionId=text), 404, ConnectionNotFound.message)
        assert_problem(await acme.config("/jobs/list", configId=text), 404, ConnectionNotFound.message)
        assert_problem(await acme.config("/connections/status", connectionIds=[text]), 404, ConnectionNotFound.message)
    assert not [each for each in acme.world.sandbox.requests if NOBODYS in each.path or globex.airbyte_id in each.path]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"{}", b'{"id": null}', b"\xff", b"[" * 2000])
async def test_what_nobody_can_read_is_refused(acme: Tenant, content: bytes) -> None:
    for path, needed in (
        ("/jobs/get", "id"),
        ("/connections/get", "connectionId"),
        ("/connections/list", "workspaceId"),
    ):
        answer = await acme.world.http.post(f"/api/v1{path}", content=content, headers=bearer(acme.key))
        assert_problem(answer, 400, f"The body must be JSON with {needed}")


async def test_polls_of_a_valid_key_take_no_token_and_read_only_keys_start_nothing(world: World, acme: Tenant) -> None:
    job_id = await acme.new_job()
    reader = Tenant(world, await world.key(scope="read", rate="1/3600"), acme.connection_id, acme.airbyte_id)

    for _ in range(3):
        assert (await reader.config("/jobs/get", id=job_id)).status_code == 200
    assert_problem(await reader.config("/connections/sync", connectionId=acme.airbyte_id), 403, ReadOnlyKey.message)
    assert (await reader.config("/connections/get", connectionId=acme.airbyte_id)).status_code == 429


async def test_user_and_password_will_do(acme: Tenant) -> None:
    headers = basic(acme.key.record.id, acme.key.text)

    answer = await acme.world.http.post(
        "/api/v1/connections/get/", json={"connectionId": acme.airbyte_id}, headers=headers
    )

    assert answer.status_code == 200
    assert PUBLIC_API not in answer.text


@pytest.mark.parametrize(
    ("sync_mode", "modes"),
    [
        ("incremental_deduped_history", ("incremental", "append_dedup")),
        ("full_refresh_overwrite_deduped", ("full_refresh", "overwrite_dedup")),
        ("full_refresh_append", ("full_refresh", "append")),
        ("incremental_soft_delete", ("incremental", "soft_delete")),
        ("", ("full_refresh", "append")),
    ],
)
def test_a_sync_mode_is_two_words(sync_mode: str, modes: tuple[str, str]) -> None:
    assert _modes(sync_mode) == modes
