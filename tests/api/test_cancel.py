"""Cancelling a job: what its own state decides, and what becomes of a wish that came too soon."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from gateway.provisioning.keys import NewKey
from gateway.sandbox import Answer
from gateway.sandbox.timeline import past_run
from gateway.store import DatabaseLocation
from gateway.syncs.timings import CancelTimings, LastSyncTimings, SyncTimings, WatchTimings
from tests.support import BOUND_SECONDS, NEVER_OURS, World, bearer, running_gateway

LOOKING_OFTEN = SyncTimings(
    watch=WatchTimings(poll_interval=0.002),
    cancel=CancelTimings(interval=0.002, refresh_age=1.0, idle_interval=0.05),
    last_sync=LastSyncTimings(wait=10 * BOUND_SECONDS),
)
RUNS_AFTER = 2.0
"""Seconds from a trigger to the running of its job in the sandbox."""
ROW = ("jobId", "connectionId", "status", "jobType", "startTime", "bytesSynced", "rowsSynced", "duration")

BY_HAND = pytest.mark.sqlite_only
"""On a server a refresh is led by its own clock, which no hand moves."""


@pytest.fixture
async def world(tmp_path: Path, database_location: DatabaseLocation) -> AsyncIterator[World]:
    async with running_gateway(tmp_path, location=database_location, sync_timings=LOOKING_OFTEN) as running:
        yield running


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


async def cancel(world: World, key: NewKey, ours: str, job_id: object, *, content: bytes = b"") -> httpx2.Response:
    path = f"/api/v1/connections/{ours}/jobs/{job_id}/cancel"
    return await world.http.post(path, headers=bearer(key), content=content)


async def pending_job(world: World, key: NewKey, ours: str) -> int:
    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))
    found = answer.json()["job"]
    assert found["status"] == "pending"
    return int(found["jobId"])


async def waiting(world: World, key: NewKey, ours: str, job_id: int) -> asyncio.Task[httpx2.Response]:
    before = len(world.services.syncs.watcher)
    task = asyncio.create_task(cancel(world, key, ours, job_id))
    await until(lambda: len(world.services.syncs.watcher) == before + 1)
    return task


def sent(world: World) -> list[str]:
    return [request.path.rpartition("/")[2] for request in world.sandbox.requests if request.method == "DELETE"]


def posts(world: World) -> list[str]:
    return [request.path for request in world.sandbox.requests if request.method == "POST"]


async def outcomes(world: World) -> list[tuple[int, str | None]]:
    rows = await world.services.store.database.fetch_all("SELECT job_id, outcome FROM cancellations ORDER BY number")
    return [(row["job_id"], row["outcome"]) for row in rows]


async def until_resolved(world: World, *expected: tuple[int, str | None]) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while await outcomes(world) != list(expected):
            await asyncio.sleep(0.002)


async def pass_seconds(world: World, seconds: int) -> None:
    """Second by second, and each with a refresh: as for a gateway at which somebody waits."""
    for _ in range(seconds):
        world.clock.advance(1.0)
        await until(lambda: world.clock.monotonic() - world.services.syncs.last_sync.refreshed_at < 1.0)


@pytest.mark.parametrize("status", ["running", "incomplete", "queued"])
async def test_a_job_under_way_is_cancelled_and_answered_as_it_stands_then(world: World, status: str) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job_id = world.sandbox.world.add_job(theirs, status=status).job_id  # type: ignore[arg-type]  # one of its words

    answer = await cancel(world, key, ours, job_id)

    job = answer.json()["job"]
    assert (answer.status_code, tuple(job)) == (200, ROW)
    assert (job["jobId"], job["connectionId"], job["status"]) == (job_id, theirs, "cancelled")
    assert sent(world) == [str(job_id)]
    assert await outcomes(world) == [(job_id, "sent")]


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
async def test_of_a_job_that_has_ended_nothing_is_sent_whatever_runs(world: World, status: str) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job_id = world.sandbox.world.add_job(theirs, status=status).job_id  # type: ignore[arg-type]  # one of its words
    world.sandbox.world.add_job(theirs, status="running")

    answers = [await cancel(world, key, ours, job_id) for _ in range(2)]

    assert [(answer.status_code, answer.json()["job"]["status"]) for answer in answers] == [(200, status)] * 2
    assert sent(world) == []
    assert await outcomes(world) == []


@pytest.mark.parametrize("job_type", ["sync", "reset"])
@pytest.mark.parametrize("status", ["pending", "queued"])
async def test_while_the_connection_does_another_job_nothing_is_sent_and_no_wish_stored(
    world: World, status: str, job_type: str
) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    other = world.sandbox.world.add_job(theirs, status="running", job_type=job_type)  # type: ignore[arg-type]
    job_id = world.sandbox.world.add_job(theirs, status=status).job_id  # type: ignore[arg-type]  # one of its words

    answer = await cancel(world, key, ours, job_id)

    assert (answer.status_code, answer.json()) == (409, {"error": "Another job is running"})
    assert sent(world) == []
    assert await outcomes(world) == []
    found = world.sandbox.world.history.find(other.job_id)
    assert found is not None
    assert found[1].status == "running"


async def test_an_older_job_that_was_left_incomplete_is_not_what_the_connection_does(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.add_job(theirs, status="incomplete")
    job_id = world.sandbox.world.add_job(theirs, status="running").job_id

    answer = await cancel(world, key, ours, job_id)

    # The sandbox ends the older one: it takes each that is busy for what the connection does.
    assert (answer.status_code, answer.json()["job"]["jobId"]) == (200, job_id)
    assert sent(world) == [str(job_id)]


@BY_HAND
async def test_a_pending_job_is_cancelled_once_it_runs(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    job_id = await pending_job(world, key, ours)
    asking = await waiting(world, key, ours, job_id)
    world.sandbox.requests.clear()
    await asyncio.sleep(0.05)
    assert not any(request.path.endswith(f"/jobs/{job_id}") for request in world.sandbox.requests)

    await pass_seconds(world, int(RUNS_AFTER))
    await until(lambda: sent(world) == [str(job_id)])
    world.clock.advance(1.0)
    answer = await asyncio.wait_for(asking, BOUND_SECONDS)

    assert (answer.status_code, answer.json()["job"]["status"]) == (200, "cancelled")
    assert tuple(answer.json()["job"]) == ROW
    await until_resolved(world, (job_id, "sent"))


@BY_HAND
async def test_the_wish_is_carried_out_when_its_caller_has_gone_and_told_of_at_a_stop(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    job_id = await pending_job(world, key, ours)
    asking = await waiting(world, key, ours, job_id)
    world.services.syncs.watcher.stop()

    answer = await asyncio.wait_for(asking, BOUND_SECONDS)

    assert (answer.status_code, answer.json()) == (504, {"error": "Cancel is pending"})
    await pass_seconds(world, int(RUNS_AFTER))
    await until(lambda: sent(world) == [str(job_id)])
    await until_resolved(world, (job_id, "sent"))


@BY_HAND
async def test_all_who_wish_it_share_one_wish_and_one_call(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    job_id = await pending_job(world, key, ours)
    tasks = [await waiting(world, key, ours, job_id) for _ in range(3)]

    await pass_seconds(world, int(RUNS_AFTER))
    await until(lambda: len(sent(world)) > 0)
    world.clock.advance(1.0)
    answers = await asyncio.wait_for(asyncio.gather(*tasks), BOUND_SECONDS)

    assert {answer.json()["job"]["status"] for answer in answers} == {"cancelled"}
    assert sent(world) == [str(job_id)]
    await until_resolved(world, (job_id, "sent"))


async def test_simultaneous_callers_about_a_running_job_send_one(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job_id = world.sandbox.world.add_job(theirs, status="running").job_id

    answers = await asyncio.gather(*(cancel(world, key, ours, job_id) for _ in range(10)))

    assert {(answer.status_code, answer.json()["job"]["status"]) for answer in answers} == {(200, "cancelled")}
    assert sent(world) == [str(job_id)]


async def test_what_began_while_a_permit_was_waited_for_is_left_alone(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    neighbour = await world.client_with_key("globex")
    others = [
        (bearer(owner), (await world.mapped_connection(slug))[0])
        for owner, slug in ((key, "acme"), (neighbour, "globex"))
    ]
    job = world.sandbox.world.add_job(theirs, status="running")
    world.sandbox.faults.post_hang = asyncio.Event()
    triggers = [
        asyncio.create_task(world.http.post(f"/api/v1/connections/{other}/sync", headers=headers))
        for headers, other in others
    ]
    await until(lambda: len([post for post in posts(world) if post.endswith("/jobs")]) == len(others))
    asking = asyncio.create_task(cancel(world, key, ours, job.job_id))
    await until(lambda: world.services.airbyte.figures().waiting == 1)

    world.sandbox.world.history.put(replace(job, steps=past_run("succeeded", job.created_at, 0.0)))
    newer = world.sandbox.world.add_job(theirs, status="running")
    world.sandbox.faults.post_hang.set()
    answer = await asyncio.wait_for(asking, BOUND_SECONDS)
    await asyncio.gather(*triggers)

    assert (answer.status_code, answer.json()["job"]["status"]) == (200, "succeeded")
    assert sent(world) == []
    found = world.sandbox.world.history.find(newer.job_id)
    assert found is not None
    assert found[1].status == "running"
    assert await outcomes(world) == [(job.job_id, "ended")]


async def test_another_job_that_runs_once_there_is_a_permit_is_told_at_once_and_leaves_no_wish(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    neighbour = await world.client_with_key("globex")
    others = [
        (bearer(owner), (await world.mapped_connection(slug))[0])
        for owner, slug in ((key, "acme"), (neighbour, "globex"))
    ]
    job_id = world.sandbox.world.add_job(theirs, status="incomplete").job_id
    world.sandbox.faults.post_hang = asyncio.Event()
    triggers = [
        asyncio.create_task(world.http.post(f"/api/v1/connections/{other}/sync", headers=headers))
        for headers, other in others
    ]
    await until(lambda: len([post for post in posts(world) if post.endswith("/jobs")]) == len(others))
    asking = asyncio.create_task(cancel(world, key, ours, job_id))
    await until(lambda: world.services.airbyte.figures().waiting == 1)

    newer = world.sandbox.world.add_job(theirs, status="running")
    world.sandbox.faults.post_hang.set()
    answer = await asyncio.wait_for(asking, BOUND_SECONDS)
    await asyncio.gather(*triggers)

    assert (answer.status_code, answer.json()) == (409, {"error": "Another job is running"})
    assert await outcomes(world) == [(job_id, "withdrawn")]
    assert sent(world) == []
    found = world.sandbox.world.history.find(newer.job_id)
    assert found is not None
    assert found[1].status == "running"


async def test_nothing_is_sent_after_a_look_that_is_old(tmp_path: Path, database_location: DatabaseLocation) -> None:
    always_old = SyncTimings(cancel=CancelTimings(look_age=-1.0, interval=0.002, idle_interval=0.05))
    async with running_gateway(tmp_path, location=database_location, sync_timings=always_old) as world:
        key = await world.client_with_key()
        ours, theirs = await world.mapped_connection()
        job_id = world.sandbox.world.add_job(theirs, status="running").job_id

        asking = await waiting(world, key, ours, job_id)
        world.services.syncs.watcher.stop()
        answer = await asyncio.wait_for(asking, BOUND_SECONDS)

        assert (answer.status_code, answer.json()) == (504, {"error": "Cancel is pending"})
        assert sent(world) == []
        assert await outcomes(world) == [(job_id, None)]


async def wished(world: World, slug: str) -> tuple[NewKey, str, int]:
    """A client's key, and a pending job of its connection that is to be cancelled; nobody waits for it."""
    key = await world.client_with_key(slug)
    ours, _ = await world.mapped_connection(slug)
    job_id = await pending_job(world, key, ours)
    asking = await waiting(world, key, ours, job_id)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    return key, ours, job_id


@BY_HAND
async def test_a_client_for_which_no_call_can_be_made_stops_nobody_elses_wishes_and_is_logged_once(
    world: World,
) -> None:
    key, ours, job_id = await wished(world, "acme")
    _, _, another = await wished(world, "globex")
    world.sandbox.faults.answer_with(Answer(500), times=20, when=lambda _, path: path.endswith("/jobs/987654"))
    for _ in range(10):
        await world.http.get(f"/api/v1/connections/{ours}/jobs/987654", headers=bearer(key))
    assert world.services.airbyte.figures().open_clients == 1

    with capture_logs() as lines:
        world.clock.advance(RUNS_AFTER)
        await until_resolved(world, (job_id, None), (another, "sent"))
        await asyncio.sleep(0.05)

    assert sent(world) == [str(another)]
    assert [line["event"] for line in lines].count("cancels_interrupted") == 1


@BY_HAND
async def test_nobodys_wish_waits_for_another_clients_permit(world: World) -> None:
    key, _, _ = await wished(world, "acme")
    _, _, another = await wished(world, "globex")
    busy, _ = await world.mapped_connection("acme")
    world.sandbox.faults.post_hang = asyncio.Event()
    before = len(posts(world))
    trigger = asyncio.create_task(world.http.post(f"/api/v1/connections/{busy}/sync", headers=bearer(key)))
    await until(lambda: any(path.endswith("/jobs") for path in posts(world)[before:]))

    world.clock.advance(RUNS_AFTER)

    await until(lambda: sent(world) == [str(another)] and world.services.airbyte.figures().waiting == 1)
    world.sandbox.faults.post_hang.set()
    await trigger


async def test_a_wish_ends_with_its_job(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    job_id = await pending_job(world, key, ours)
    asking = await waiting(world, key, ours, job_id)
    found = world.sandbox.world.history.find(job_id)
    assert found is not None
    world.sandbox.world.cancel(*found)

    world.clock.advance(1.0)
    answer = await asyncio.wait_for(asking, BOUND_SECONDS)

    assert (answer.status_code, answer.json()["job"]["status"]) == (200, "cancelled")
    await until_resolved(world, (job_id, "ended"))
    assert sent(world) == []


async def test_a_wish_ends_after_a_day(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job_id = world.sandbox.world.add_job(theirs, status="pending").job_id
    asking = await waiting(world, key, ours, job_id)
    world.services.syncs.watcher.stop()
    await asking

    world.clock.advance(86_401)

    await until_resolved(world, (job_id, "expired"))
    assert sent(world) == []


async def test_nothing_is_sent_for_a_connection_that_was_given_away_meanwhile(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    job_id = await pending_job(world, key, ours)
    asking = await waiting(world, key, ours, job_id)

    await world.services.connections.remove(ours)
    world.services.syncs.watcher.stop()
    answer = await asking
    await until_resolved(world, (job_id, "withdrawn"))
    world.clock.advance(RUNS_AFTER)

    assert (answer.status_code, answer.json()) == (404, {"error": "Connection not found"})
    assert sent(world) == []


async def test_a_read_only_key_cancels_nothing(world: World) -> None:
    key = await world.client_with_key(scope="read")
    ours, theirs = await world.mapped_connection()
    job_id = world.sandbox.world.add_job(theirs, status="running").job_id

    answer = await cancel(world, key, ours, job_id)

    assert (answer.status_code, answer.json()) == (403, {"error": "This API key is read-only"})
    assert sent(world) == []


async def test_unknown_jobs_and_those_of_others_are_answered_alike_and_left_alone(world: World) -> None:
    key = await world.client_with_key()
    await world.client_with_key("globex")
    ours, _ = await world.mapped_connection()
    foreign, theirs = await world.mapped_connection("globex")
    job_id = world.sandbox.world.add_job(theirs, status="running").job_id

    jobs = [await cancel(world, key, ours, named) for named in (job_id, 987_654, "4x", "-1", "1/2", "")]
    connections = [await cancel(world, key, named, job_id) for named in (foreign, NEVER_OURS)]

    assert {(answer.status_code, answer.content) for answer in jobs} == {(404, b'{"error":"Job not found"}')}
    assert {(answer.status_code, answer.content) for answer in connections} == {
        (404, b'{"error":"Connection not found"}')
    }
    assert sent(world) == []


async def test_content_is_refused_and_nothing_sent(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job_id = world.sandbox.world.add_job(theirs, status="running").job_id

    answer = await cancel(world, key, ours, job_id, content=b'{"force":true}')

    assert (answer.status_code, answer.json()) == (400, {"error": "This call takes no request body"})
    assert sent(world) == []


async def test_when_airbyte_cannot_be_looked_at_nothing_is_sent_or_stored(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job_id = world.sandbox.world.add_job(theirs, status="running").job_id
    world.sandbox.faults.answer_with(Answer.html(502), times=10)

    answer = await cancel(world, key, ours, job_id)

    assert answer.status_code == 502
    assert sent(world) == []
    assert await outcomes(world) == []


@BY_HAND
async def test_a_cancel_that_airbyte_did_not_answer_is_sent_again_a_minute_later(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job_id = world.sandbox.world.add_job(theirs, status="running").job_id
    world.sandbox.faults.answer_with(Answer.html(502), when=lambda method, _: method == "DELETE")

    asking = await waiting(world, key, ours, job_id)
    await pass_seconds(world, 5)
    assert sent(world) == [str(job_id)]
    world.clock.advance(61.0)
    await until(lambda: len(sent(world)) == 2)
    world.clock.advance(1.0)

    assert (await asyncio.wait_for(asking, BOUND_SECONDS)).json()["job"]["status"] == "cancelled"


async def test_what_a_gateway_died_at_between_the_wish_and_its_sending_is_sent_once_after_the_restart(
    tmp_path: Path, database_location: DatabaseLocation
) -> None:
    async with running_gateway(tmp_path, location=database_location, sync_timings=LOOKING_OFTEN) as world:
        key = await world.client_with_key()
        ours, theirs = await world.mapped_connection()
        workspace = world.sandbox.world.connections[theirs].workspace_id
        job_id = await pending_job(world, key, ours)
        asking = await waiting(world, key, ours, job_id)
        world.services.syncs.watcher.stop()
        await asking
        before = world.sandbox
        assert sent(world) == []

    async with running_gateway(tmp_path, location=database_location, sync_timings=LOOKING_OFTEN) as world:
        assert workspace
        world.sandbox.world.workspaces |= before.world.workspaces
        world.sandbox.world.connections |= before.world.connections
        found = before.world.history.find(job_id)
        assert found is not None
        world.sandbox.world.history.put(found[0])
        world.clock.advance(RUNS_AFTER)

        await until(lambda: len(sent(world)) > 0)
        await until_resolved(world, (job_id, "sent"))

    assert sent(world) == [str(job_id)]
