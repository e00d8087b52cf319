"""What polls may cost Airbyte: a client's own share, whatever ids it asks for."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import JobNotFound, UpstreamBusy
from gateway.sandbox import Answer
from gateway.syncs.timings import CancelTimings, PollTimings, SyncTimings
from gateway.syncs.watcher import MOST_OF_CLIENT
from gateway.web.compatible_paths import PUBLIC_API
from tests.airbyte_compat.support import Tenant, assert_problem, limit_calls, sent, tenant, until, waiting_poll
from tests.support import BOUND_SECONDS, World, quiet, running_gateway

PATIENT = SyncTimings(
    cancel=CancelTimings(interval=0.002, refresh_age=1.0, idle_interval=0.05),
    poll=PollTimings(wait=10 * BOUND_SECONDS, answer=10 * BOUND_SECONDS, turn=10 * BOUND_SECONDS, turn_interval=0.002),
)
HASTY = SyncTimings(
    poll=PollTimings(
        wait=10 * BOUND_SECONDS,
        answer=10 * BOUND_SECONDS,
        look_age=10 * BOUND_SECONDS,
        turn=0.02,
        turn_interval=0.002,
    )
)
"""Whoever has to wait for a turn does so in vain."""
UNKNOWN = 10**9
RUNS_AFTER = 2.0
"""Seconds from a trigger in the sandbox."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_gateway(tmp_path, sync_timings=PATIENT) as running:
        yield running


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Tenant]:
    async with running_gateway(tmp_path, sync_timings=HASTY) as running:
        yield await tenant(running)


def job_reads(world: World) -> list[str]:
    """The ids of single jobs that Airbyte was asked for."""
    start = f"{PUBLIC_API}/jobs/"
    return [path.removeprefix(start) for path in sent(world, "GET") if path.startswith(start)]


async def test_who_asks_for_jobs_that_nobody_knows_makes_no_more_calls_than_the_client_may(hasty: Tenant) -> None:
    other = await tenant(hasty.world, "globex")
    await limit_calls(hasty.world, "3/3600")
    hasty.world.sandbox.requests.clear()

    answers = [await hasty.get(f"/jobs/{UNKNOWN + number}") for number in range(20)]
    answers += [await hasty.config("/jobs/get", id=UNKNOWN + number) for number in range(20, 40)]

    for answer in answers[:3]:
        assert_problem(answer, 404, JobNotFound.message)
    for answer in answers[3:]:
        assert_problem(answer, 503, UpstreamBusy.message)
        assert int(answer.headers["retry-after"]) >= 1
    assert job_reads(hasty.world) == [str(UNKNOWN + number) for number in range(3)]
    assert_problem(await other.get(f"/jobs/{UNKNOWN}"), 404, JobNotFound.message)
    hasty.world.clock.advance(int(answers[-1].headers["retry-after"]))
    assert_problem(await hasty.get(f"/jobs/{UNKNOWN + 40}"), 404, JobNotFound.message)


async def test_jobs_that_are_known_and_those_known_to_be_absent_are_told_without_a_turn(hasty: Tenant) -> None:
    job_id = await hasty.new_job()
    await limit_calls(hasty.world, "1/3600")
    assert (await hasty.get(f"/jobs/{UNKNOWN}")).status_code == 404

    assert [(await hasty.get(f"/jobs/{UNKNOWN}")).status_code for _ in range(3)] == [404] * 3
    assert (await hasty.get(f"/jobs/{job_id}")).status_code == 200
    assert (await hasty.get(f"/jobs/{UNKNOWN + 1}")).status_code == 503


async def test_all_who_ask_for_one_job_at_once_share_a_read_and_its_turn(hasty: Tenant) -> None:
    world, release = hasty.world, asyncio.Event()
    job = world.sandbox.world.add_job(hasty.airbyte_id)
    await limit_calls(world, "1/3600")
    world.sandbox.faults.get_hang = release
    tasks = [asyncio.create_task(hasty.get(f"/jobs/{job.job_id}")) for _ in range(5)]
    await world.until_airbyte_is_asked("GET", f"/jobs/{job.job_id}")
    release.set()

    answers = await asyncio.wait_for(asyncio.gather(*tasks), BOUND_SECONDS)

    assert {answer.status_code for answer in answers} == {200}
    assert (await hasty.get(f"/jobs/{job.job_id}")).json()["jobId"] == job.job_id
    assert job_reads(world) == [str(job.job_id)]


async def test_fifty_wait_for_a_turn_and_the_next_is_told_so_at_once(world: World, acme: Tenant) -> None:
    await limit_calls(world, "1/60")
    assert (await acme.get(f"/jobs/{UNKNOWN}")).status_code == 404
    tasks = [asyncio.create_task(acme.get(f"/jobs/{UNKNOWN + number}")) for number in range(1, MOST_OF_CLIENT + 1)]
    await until(lambda: len(world.services.syncs.watcher) == MOST_OF_CLIENT)

    assert_problem(await acme.get(f"/jobs/{UNKNOWN + MOST_OF_CLIENT + 1}"), 503, UpstreamBusy.message)
    assert not any(task.done() for task in tasks)
    assert len(job_reads(world)) == 1
    minutes = 0
    async with asyncio.timeout(BOUND_SECONDS):
        while not all(task.done() for task in tasks):
            minutes += 1
            world.clock.advance(60)
            await quiet()
            await asyncio.sleep(0.005)
            assert len(job_reads(world)) <= 1 + minutes
    assert {task.result().status_code for task in tasks} == {404}
    assert len(world.services.syncs.watcher) == 0


async def test_a_job_that_airbyte_does_not_tell_of_is_not_asked_for_with_each_poll(hasty: Tenant) -> None:
    world, job_id = hasty.world, await hasty.new_job()
    forget = "UPDATE connections SET workspace_id = NULL WHERE airbyte_id = :airbyte_id"
    await world.services.store.database.write(
        lambda transaction: transaction.executemany(forget, [{"airbyte_id": hasty.airbyte_id}])
    )
    world.clock.advance(RUNS_AFTER + 1)
    world.sandbox.faults.answer_with(
        Answer(404, body=b"{}"), times=100, when=lambda _, path: path.endswith(f"/jobs/{job_id}")
    )
    world.sandbox.requests.clear()

    answers = [await hasty.get(f"/jobs/{job_id}") for _ in range(5)]

    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(200, "pending")}
    assert all("warning" in answer.headers for answer in answers)
    assert job_reads(world) == [str(job_id)]


async def test_attempts_of_ended_jobs_are_read_out_of_the_same_share(hasty: Tenant) -> None:
    world = hasty.world
    jobs = [world.sandbox.world.add_job(hasty.airbyte_id).job_id for _ in range(2)]
    await limit_calls(world, "3/3600")

    told = [await hasty.config("/jobs/get", id=job_id) for job_id in (*jobs, jobs[0], jobs[1])]

    assert [len(answer.json()["attempts"]) for answer in told] == [1, 0, 1, 0]
    assert len([path for path in sent(world, "POST") if path.endswith("/jobs/list")]) == 1


async def test_a_job_whose_connection_goes_while_it_is_polled_is_not_found(world: World, acme: Tenant) -> None:
    job_id = await acme.new_job()
    await limit_calls(world, "1/60")
    await acme.get(f"/jobs/{job_id}")
    waiting = await waiting_poll(acme, job_id)

    await world.services.connections.remove(acme.connection_id)
    world.services.syncs.watcher.stop()
    answer = await asyncio.wait_for(waiting, BOUND_SECONDS)

    assert_problem(answer, 404, JobNotFound.message)
    assert answer.content == (await acme.get(f"/jobs/{UNKNOWN}")).content


async def test_a_job_whose_connection_goes_while_it_is_cancelled_is_not_found(world: World, acme: Tenant) -> None:
    job_id, release = await acme.new_job(), asyncio.Event()
    world.clock.advance(RUNS_AFTER + 1)
    world.sandbox.faults.get_hang = release
    world.sandbox.requests.clear()
    cancelling = asyncio.create_task(acme.call("DELETE", f"/jobs/{job_id}"))
    await until(lambda: bool(world.sandbox.requests))

    await world.services.connections.remove(acme.connection_id)
    release.set()
    answer = await asyncio.wait_for(cancelling, BOUND_SECONDS)

    assert_problem(answer, 404, JobNotFound.message)


async def test_a_poll_that_cannot_be_told_in_time_is_answered_with_the_last_state(tmp_path: Path) -> None:
    timings = SyncTimings(poll=PollTimings(answer=0.05, wait=10 * BOUND_SECONDS, look_age=10 * BOUND_SECONDS))
    async with running_gateway(tmp_path, sync_timings=timings) as world:
        acme, release = await tenant(world), asyncio.Event()
        job_id = await acme.new_job()
        world.clock.advance(20 * BOUND_SECONDS)
        world.sandbox.faults.get_hang = release

        answer = await acme.get(f"/jobs/{job_id}")
        release.set()

    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert "warning" in answer.headers
