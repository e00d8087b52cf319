"""`Prefer: wait`: when callers that wait for a job are answered, with what, and what they cost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import msgspec
import pytest

from gateway.errors import CallerLeft
from gateway.models import TriggeredJob
from gateway.provisioning.keys import NewKey
from gateway.sandbox import Answer
from gateway.store import DatabaseLocation
from gateway.syncs.timings import LastSyncTimings, SyncTimings, WatchTimings
from gateway.syncs.watcher import JobNow
from tests.support import BOUND_SECONDS, World, bearer, quiet, running_gateway
from tests.webhooks.support import ALLOWED

LOOKING_OFTEN = SyncTimings(watch=WatchTimings(poll_interval=0.002), last_sync=LastSyncTimings(wait=10 * BOUND_SECONDS))
ENDS_AFTER = 10.0
"""Seconds from a trigger to its job's end in the sandbox."""
STALE = '110 - "Response is Stale"'


@pytest.fixture
async def world(tmp_path: Path, database_location: DatabaseLocation) -> AsyncIterator[World]:
    async with running_gateway(tmp_path, location=database_location, sync_timings=LOOKING_OFTEN) as running:
        yield running


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


async def trigger(world: World, key: NewKey, ours: str, prefer: str = "wait=60") -> httpx2.Response:
    return await world.http.post(f"/api/v1/connections/{ours}/sync", headers={**bearer(key), "Prefer": prefer})


async def waiting(world: World, key: NewKey, ours: str, *, callers: int = 1) -> list[asyncio.Task[httpx2.Response]]:
    """Callers of a trigger that wait for its job by now."""
    before = len(world.services.syncs.watcher)
    tasks = [asyncio.create_task(trigger(world, key, ours)) for _ in range(callers)]
    await until(lambda: len(world.services.syncs.watcher) == before + callers)
    await until_refreshed(world)
    return tasks


async def until_refreshed(world: World) -> None:
    """Wait until no refresh is due or under way: what ends while the clock is moved tells of the time before."""
    await until(lambda: world.clock.monotonic() - world.services.syncs.last_sync.refreshed_at < 1.0)


async def one_second(world: World) -> None:
    """Let a second pass, and the refresh that is due then."""
    world.clock.advance(1.0)
    await until_refreshed(world)


async def test_a_trigger_that_waits_is_answered_when_its_job_has_ended(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    (asking,) = await waiting(world, key, ours)
    world.clock.advance(ENDS_AFTER)

    answer = await asking

    (job_id,) = world.jobs_of(theirs)
    assert answer.json() == {"job": {"jobId": job_id, "connectionId": theirs, "status": "succeeded", "jobType": "sync"}}
    assert answer.headers["Preference-Applied"] == "wait=60"
    assert answer.headers["Vary"] == "Prefer"
    assert "Warning" not in answer.headers


async def test_the_end_is_seen_by_the_first_refresh_after_it(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    (asking,) = await waiting(world, key, ours)
    for _ in range(int(ENDS_AFTER) - 1):
        await one_second(world)
    assert not asking.done()

    await one_second(world)

    assert (await asyncio.wait_for(asking, BOUND_SECONDS)).json()["job"]["status"] == "succeeded"


@pytest.mark.parametrize(("prefer", "applied"), [("wait=0", "wait=0"), ("wait=1", "wait=1")])
async def test_a_job_that_has_not_ended_is_told_as_it_stands(world: World, prefer: str, applied: str) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()

    answer = await trigger(world, key, ours, prefer)

    assert answer.json()["job"]["status"] == "pending"
    assert answer.headers["Preference-Applied"] == applied


@pytest.mark.parametrize("prefer", ["wait=soon", "respond-async"])
async def test_without_a_wait_that_can_be_read_the_answer_is_as_ever(world: World, prefer: str) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()

    answer = await trigger(world, key, ours, prefer)

    assert answer.status_code == 200
    assert {"preference-applied", "vary"} & answer.headers.keys() == set()


async def calls_of_three_seconds(world: World, clients: dict[str, str], keys: dict[str, NewKey], callers: int) -> int:
    """How often Airbyte is asked in three seconds while so many callers of each client wait."""
    tasks = [task for slug, key in keys.items() for task in await waiting(world, key, clients[slug], callers=callers)]
    await one_second(world)
    world.sandbox.requests.clear()
    for _ in range(3):
        await one_second(world)
    calls = len(world.sandbox.requests)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return calls


async def test_two_hundred_callers_cost_no_more_than_one(world: World) -> None:
    slugs = ("acme", "globex", "initech", "umbrella")
    keys = {slug: await world.client_with_key(slug, rate="1000/60") for slug in slugs}
    clients = {slug: (await world.mapped_connection(slug))[0] for slug in slugs}
    world.sandbox.world.pace = type(world.sandbox.world.pace)(running_seconds=3600.0)

    alone = await calls_of_three_seconds(world, clients, {"acme": keys["acme"]}, 1)
    all_of_them = await calls_of_three_seconds(world, clients, keys, 50)

    assert (alone, all_of_them) == (3, 3)


async def test_while_somebody_waits_connections_are_asked_for_by_themselves_no_more_often(world: World) -> None:
    key = await world.client_with_key()
    for _ in range(10):
        ours, _ = await world.mapped_connection()
    world.sandbox.world.pace = type(world.sandbox.world.pace)(running_seconds=3600.0)
    world.clock.advance(120)
    (asking,) = await waiting(world, key, ours)
    await one_second(world)
    world.sandbox.requests.clear()

    for _ in range(10):
        await one_second(world)

    assert sum(request.query.startswith("connectionId=") for request in world.sandbox.requests) <= 2
    world.services.syncs.watcher.stop()
    await asking


async def test_the_fifty_first_caller_of_a_client_is_answered_at_once_and_others_wait(world: World) -> None:
    key = await world.client_with_key()
    other = await world.client_with_key("globex")
    ours, _ = await world.mapped_connection()
    theirs, _ = await world.mapped_connection("globex")
    tasks = await waiting(world, key, ours, callers=50)

    answer = await asyncio.wait_for(trigger(world, key, ours), BOUND_SECONDS)
    tasks += await waiting(world, other, theirs)

    assert answer.json()["job"]["status"] == "pending"
    assert "Preference-Applied" not in answer.headers
    assert answer.headers["Vary"] == "Prefer"
    world.clock.advance(ENDS_AFTER)
    assert {each.json()["job"]["status"] for each in await asyncio.gather(*tasks)} == {"succeeded"}


async def test_who_waits_is_counted_no_more_among_the_callers_that_wait_for_airbyte(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()

    tasks = await waiting(world, key, ours, callers=3)

    assert len(world.services.syncs.waiting) == 0
    assert world.services.airbyte.in_flight == 0
    world.services.syncs.watcher.stop()
    await asyncio.gather(*tasks)


async def test_a_stop_answers_each_as_it_stands_and_nobody_waits_after_it(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    tasks = await waiting(world, key, ours, callers=3)

    world.services.syncs.watcher.stop()
    answers = [*await asyncio.wait_for(asyncio.gather(*tasks), BOUND_SECONDS), await trigger(world, key, ours)]

    assert {answer.json()["job"]["status"] for answer in answers} == {"pending"}
    assert "Preference-Applied" not in answers[-1].headers


async def test_airbyte_is_asked_no_more_when_nobody_waits(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    (asking,) = await waiting(world, key, ours)
    asking.cancel()
    await until(lambda: not world.services.syncs.watcher)
    await quiet()
    world.clock.advance(ENDS_AFTER)
    world.sandbox.requests.clear()

    await world.services.syncs.watcher.look()
    assert len(world.sandbox.requests) == 0

    (asking,) = await waiting(world, key, ours)
    assert len(world.sandbox.requests) > 0
    world.services.syncs.watcher.stop()
    await asking


async def test_callers_that_wait_and_webhooks_have_airbyte_asked_once(tmp_path: Path) -> None:
    timings = msgspec.structs.replace(
        LOOKING_OFTEN, last_sync=msgspec.structs.replace(LOOKING_OFTEN.last_sync, shortest_watch=0.002)
    )
    async with running_gateway(tmp_path, sync_timings=timings, airbyte={"freshness_seconds": 1.0}, **ALLOWED) as world:
        key = await world.client_with_key()
        ours, _ = await world.mapped_connection()
        await world.services.webhooks.endpoints.add("acme", url="http://127.0.0.1:1/")
        world.sandbox.world.pace = type(world.sandbox.world.pace)(running_seconds=3600.0)

        calls = await calls_of_three_seconds(world, {"acme": ours}, {"acme": key}, 2)

    assert calls == 3


async def test_when_airbyte_is_down_the_job_is_told_as_it_was_known_and_called_stale(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    (asking,) = await waiting(world, key, ours)
    await one_second(world)
    world.sandbox.faults.answer_with(Answer.html(502), times=1000)
    for _ in range(12):
        await one_second(world)

    world.services.syncs.watcher.stop()
    answer = await asking

    assert (answer.status_code, answer.json()["job"]["status"]) == (200, "pending")
    assert answer.headers["Warning"] == STALE


async def test_what_was_seen_long_ago_is_told_as_stale_though_no_call_has_failed(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    (asking,) = await waiting(world, key, ours)
    world.sandbox.faults.get_hang = asyncio.Event()
    world.sandbox.requests.clear()
    world.clock.advance(LOOKING_OFTEN.watch.stale + 1)
    await until(lambda: len(world.sandbox.requests) > 0)

    world.services.syncs.watcher.stop()
    answer = await asking

    world.sandbox.faults.get_hang.set()
    assert (answer.status_code, answer.json()["job"]["status"]) == (200, "pending")
    assert answer.headers["Warning"] == STALE


async def test_a_connection_given_away_meanwhile_is_not_told_of(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    (asking,) = await waiting(world, key, ours)
    await world.services.connections.remove(ours)

    world.services.syncs.watcher.stop()
    answer = await asking

    assert (answer.status_code, answer.json()) == (404, {"error": "Connection not found"})


async def look(world: World, key: NewKey, ours: str, job_id: int, prefer: str = "wait=60") -> httpx2.Response:
    path = f"/api/v1/connections/{ours}/jobs/{job_id}"
    return await world.http.get(path, headers={**bearer(key), "Prefer": prefer})


async def looking(world: World, key: NewKey, ours: str, job_id: int) -> asyncio.Task[httpx2.Response]:
    before = len(world.services.syncs.watcher)
    task = asyncio.create_task(look(world, key, ours, job_id))
    await until(lambda: len(world.services.syncs.watcher) == before + 1)
    await until_refreshed(world)
    return task


async def test_who_looks_at_a_job_and_waits_gets_the_row_of_its_end(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    job_id = (await trigger(world, key, ours, "wait=0")).json()["job"]["jobId"]
    asking = await looking(world, key, ours, job_id)
    world.clock.advance(ENDS_AFTER)

    answer = await asyncio.wait_for(asking, BOUND_SECONDS)

    job = answer.json()["job"]
    assert (job["status"], job["rowsSynced"]) == ("succeeded", 12_000)
    assert job["endTime"] is not None
    assert (answer.headers["Preference-Applied"], answer.headers["Vary"]) == ("wait=60", "Prefer")
    assert "Warning" not in answer.headers


async def test_a_job_that_has_ended_is_answered_at_once_with_one_call(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job_id = world.sandbox.world.add_job(theirs, status="failed").job_id
    world.sandbox.requests.clear()

    answer = await asyncio.wait_for(look(world, key, ours, job_id), BOUND_SECONDS)

    assert answer.json()["job"]["status"] == "failed"
    assert sum(request.path.endswith(f"/jobs/{job_id}") for request in world.sandbox.requests) == 1


async def test_who_waited_in_vain_is_answered_in_time_with_what_was_read_first(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    job_id = world.sandbox.world.add_job(theirs, status="running").job_id

    answer = await look(world, key, ours, job_id, "wait=1")

    assert answer.json()["job"]["status"] == "running"
    assert sum(request.path.endswith(f"/jobs/{job_id}") for request in world.sandbox.requests) == 1


async def test_all_who_look_at_a_job_read_its_end_by_one_call(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    job_id = (await trigger(world, key, ours, "wait=0")).json()["job"]["jobId"]
    tasks = [await looking(world, key, ours, job_id) for _ in range(20)]
    world.sandbox.requests.clear()
    world.clock.advance(ENDS_AFTER)

    answers = await asyncio.wait_for(asyncio.gather(*tasks), BOUND_SECONDS)

    assert {answer.json()["job"]["status"] for answer in answers} == {"succeeded"}
    assert sum(request.path.endswith(f"/jobs/{job_id}") for request in world.sandbox.requests) == 1


async def test_when_the_end_cannot_be_read_the_row_is_told_as_it_was_with_the_new_status(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    job_id = (await trigger(world, key, ours, "wait=0")).json()["job"]["jobId"]
    asking = await looking(world, key, ours, job_id)
    world.sandbox.faults.answer_with(
        Answer.html(502), times=1000, when=lambda _, path: path.endswith(f"/jobs/{job_id}")
    )
    world.clock.advance(ENDS_AFTER)

    answer = await asyncio.wait_for(asking, BOUND_SECONDS)

    assert answer.json()["job"]["status"] == "succeeded"
    assert answer.headers["Warning"] == STALE


@pytest.mark.parametrize("owner", ["globex", None])
async def test_nobody_waits_for_a_job_that_is_not_his(world: World, owner: str | None) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    if owner is not None:
        await world.client_with_key(owner)
        _, theirs = await world.mapped_connection(owner)
    job_id = world.sandbox.world.add_job(theirs, status="running").job_id if owner else 987_654

    answer = await asyncio.wait_for(look(world, key, ours, job_id), BOUND_SECONDS)

    assert (answer.status_code, answer.json()) == (404, {"error": "Job not found"})


class Waiting:
    """A connection whose jobs callers wait for, without a trigger."""

    def __init__(self, world: World, ours: str, theirs: str) -> None:
        self.world = world
        self.ours = ours
        self.theirs = theirs
        self.leaving = asyncio.Event()

    async def _left(self) -> None:
        await self.leaving.wait()

    async def start(self, job_id: int, job_type: str, *, callers: int = 1) -> list[asyncio.Task[JobNow]]:
        client = await self.world.services.store.clients.by_slug("acme")
        watcher = self.world.services.syncs.watcher
        job = TriggeredJob(job_id, self.theirs, "running", job_type)
        end = self.world.clock.monotonic() + 60
        tasks = [
            asyncio.create_task(watcher.wait_for_end(client, self.ours, job, until=end, left=self._left))
            for _ in range(callers)
        ]
        await until(lambda: len(watcher) > 0 or tasks[0].done())
        await until_refreshed(self.world)
        return tasks

    def reads_of(self, job_id: int) -> int:
        return sum(request.path.endswith(f"/jobs/{job_id}") for request in self.world.sandbox.requests)

    async def until_read(self, job_id: int, *, times: int) -> None:
        await until(lambda: self.reads_of(job_id) >= times)


@pytest.fixture
async def scene(world: World) -> Waiting:
    await world.client_with_key()
    return Waiting(world, *await world.mapped_connection())


async def test_with_a_newer_job_of_its_connection_a_job_is_read_once_for_all(world: World, scene: Waiting) -> None:
    first = world.sandbox.world.add_job(scene.theirs, status="failed").job_id
    world.sandbox.world.add_job(scene.theirs, status="running")
    tasks = await scene.start(first, "sync", callers=5)

    ends = await asyncio.wait_for(asyncio.gather(*tasks), BOUND_SECONDS)

    assert set(ends) == {JobNow("failed", is_fresh=True)}
    assert scene.reads_of(first) == 1


async def test_a_job_of_another_type_is_read_every_other_second_for_all(world: World, scene: Waiting) -> None:
    job = world.sandbox.world.add_job(scene.theirs, status="running", job_type="reset")
    tasks = await scene.start(job.job_id, "reset", callers=5)
    await scene.until_read(job.job_id, times=1)
    for reads in (2, 3):
        await one_second(world)
        await one_second(world)
        await scene.until_read(job.job_id, times=reads)
    assert scene.reads_of(job.job_id) == 3
    found = world.sandbox.world.history.find(job.job_id)
    assert found is not None
    world.sandbox.world.cancel(*found)
    world.clock.advance(2)

    ends = await asyncio.wait_for(asyncio.gather(*tasks), BOUND_SECONDS)

    assert set(ends) == {JobNow("cancelled", is_fresh=True)}


async def test_a_job_that_airbyte_does_not_have_is_told_as_stale(world: World, scene: Waiting) -> None:
    never = 987_654
    (task,) = await scene.start(never, "reset")
    await until(lambda: scene.reads_of(never) == 1)
    await one_second(world)
    await one_second(world)
    await until(lambda: scene.reads_of(never) == 2)

    world.services.syncs.watcher.stop()

    assert await task == JobNow("running", is_fresh=False)


async def test_a_caller_who_leaves_is_forgotten_at_once(world: World, scene: Waiting) -> None:
    job = world.sandbox.world.add_job(scene.theirs, status="running")
    (task,) = await scene.start(job.job_id, "sync")
    await until(lambda: len(world.services.syncs.watcher) == 1)

    scene.leaving.set()
    with pytest.raises(CallerLeft):
        await asyncio.wait_for(task, BOUND_SECONDS)

    assert len(world.services.syncs.watcher) == 0
