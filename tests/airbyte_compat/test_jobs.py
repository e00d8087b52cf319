"""Starting, looking at, listing and cancelling jobs, by the rules that programs written for Airbyte need."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.airbyte_compat.job_query import NO_ORDER, NO_STATUS, NO_TYPE
from gateway.airbyte_compat.jobs import NO_JOB, NO_SYNC
from gateway.errors import ReadOnlyKey, TriggerPending, UpstreamTimeout
from gateway.sandbox import Answer
from gateway.store import DatabaseLocation
from gateway.syncs.cursor import INVALID_CURSOR
from gateway.syncs.offset_merge import MOST_READINGS
from gateway.syncs.timings import CancelTimings, LastSyncTimings, PollTimings, SyncTimings, WatchTimings
from gateway.syncs.watcher import MOST_OF_CLIENT
from gateway.web.compatible_paths import PUBLIC_API
from tests.airbyte_compat.support import Tenant, assert_problem, limit_calls, sent, tenant, until, waiting_poll
from tests.support import BOUND_SECONDS, World, running_gateway

LOOKING_OFTEN = SyncTimings(
    watch=WatchTimings(poll_interval=0.002),
    cancel=CancelTimings(interval=0.002, refresh_age=1.0, idle_interval=0.05),
    last_sync=LastSyncTimings(wait=10 * BOUND_SECONDS),
    poll=PollTimings(wait=10 * BOUND_SECONDS, answer=10 * BOUND_SECONDS, look_age=0.5),
)
HASTY = SyncTimings(poll=PollTimings(answer=0.05, wait=0.05))
"""Whatever is held back takes longer."""
RUNS_AFTER, ENDS_AFTER = 2.0, 10.0
"""Seconds from a trigger in the sandbox."""


@pytest.fixture
async def world(tmp_path: Path, database_location: DatabaseLocation) -> AsyncIterator[World]:
    async with running_gateway(tmp_path, location=database_location, sync_timings=LOOKING_OFTEN) as running:
        yield running


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Tenant]:
    """A tenant of a gateway that lets nobody wait."""
    async with running_gateway(tmp_path, sync_timings=HASTY) as running:
        yield await tenant(running)


async def poll(acme: Tenant, job_id: int) -> str:
    answer = await acme.get(f"/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["status"])


async def test_a_trigger_answers_with_its_job_and_a_second_one_with_the_same(world: World, acme: Tenant) -> None:
    first = await acme.trigger()
    world.clock.advance(RUNS_AFTER)
    second = await acme.trigger()

    assert first.status_code == second.status_code == 200
    assert first.json() == {
        "jobId": 1,
        "status": "pending",
        "jobType": "sync",
        "startTime": "2026-04-01T03:00:00Z",
        "connectionId": acme.airbyte_id,
    }
    assert (second.json()["jobId"], second.json()["status"]) == (1, "running")
    assert len(sent(world, "POST")) == 1


async def test_a_trigger_that_takes_long_is_answered_in_time_and_attached_to_later(hasty: Tenant) -> None:
    world, release = hasty.world, asyncio.Event()
    world.sandbox.faults.post_hang = release

    assert_problem(await hasty.trigger(), 504, TriggerPending.message)
    assert_problem(await hasty.trigger(), 504, TriggerPending.message)
    again = await hasty.config("/connections/sync", connectionId=hasty.airbyte_id)
    assert_problem(again, 504, TriggerPending.message)
    release.set()
    world.sandbox.faults.post_hang = None

    assert await hasty.new_job() == 1
    assert len(sent(world, "POST")) == 1


async def test_a_queued_job_is_pending_to_programs(world: World, acme: Tenant) -> None:
    world.sandbox.faults.capacity_exhausted = True
    job_id = await acme.new_job()

    assert [row["status"] for row in (await acme.get("/jobs")).json()["data"]] == ["pending"]
    for status, found in (("pending", [job_id]), ("running", [])):
        for path in (f"/jobs?status={status}", f"/jobs?status={status}&connectionId={acme.airbyte_id}"):
            assert await walk(acme, path) == [found]
    assert await poll(acme, job_id) == "pending"
    assert (await acme.trigger()).json()["status"] == "pending"


async def test_polls_see_each_state_and_cost_one_call_for_all_that_are_watched(world: World, acme: Tenant) -> None:
    _, theirs = await world.mapped_connection()
    other = Tenant(world, acme.key, "", theirs)
    jobs = [await acme.new_job(), await other.new_job()]
    seen = [[await poll(acme, job_id) for job_id in jobs]]
    world.sandbox.requests.clear()
    for _ in range(2):
        world.clock.advance(RUNS_AFTER)
        seen.append([await poll(acme, job_id) for job_id in jobs for _ in range(3)])
    lists = [path for path in sent(world, "GET") if path == f"{PUBLIC_API}/jobs"]
    world.clock.advance(ENDS_AFTER)
    seen.append([await poll(acme, job_id) for job_id in jobs for _ in range(3)])

    assert seen == [["pending"] * 2, ["running"] * 6, ["running"] * 6, ["succeeded"] * 6]
    assert len(lists) <= 2 * 3  # a refresh, and the newest job of each connection by itself
    singles = [path for path in sent(world, "GET") if path.startswith(f"{PUBLIC_API}/jobs/")]
    assert sorted(singles) == [f"{PUBLIC_API}/jobs/{job_id}" for job_id in jobs]


async def test_the_end_of_a_job_is_told_with_its_counts_and_never_asked_for_again(world: World, acme: Tenant) -> None:
    job_id = await acme.new_job()
    world.clock.advance(ENDS_AFTER + 2)
    first = (await acme.get(f"/jobs/{job_id}")).json()
    world.sandbox.requests.clear()
    world.clock.advance(100)

    assert (await acme.get(f"/jobs/{job_id}")).json() == first
    assert first["status"] == "succeeded"
    assert (first["rowsSynced"], first["duration"]) == (12_000, "PT10S")
    assert first["lastUpdatedAt"] == "2026-04-01T03:00:10Z"
    assert not world.sandbox.requests


async def test_polls_take_no_token(world: World, acme: Tenant) -> None:
    job_id = await acme.new_job()
    key = await world.key(rate="1/3600")
    poor = Tenant(world, key, acme.connection_id, acme.airbyte_id)
    answers = [await poor.get(f"/jobs/{job_id}") for _ in range(5)]

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["ratelimit"] for answer in answers} == {'"default";r=1;t=0'}
    assert (await poor.get("/workspaces")).status_code == 200
    assert (await poor.get("/workspaces")).status_code == 429
    assert (await poor.get(f"/jobs/{job_id}")).status_code == 200
    assert (await poor.call("DELETE", f"/jobs/{job_id}")).status_code == 429


async def test_who_polls_too_fast_waits_for_the_end(world: World, acme: Tenant) -> None:
    job_id = await acme.new_job()
    await limit_calls(world, "1/60")
    assert await poll(acme, job_id) == "pending"
    waiting = await waiting_poll(acme, job_id)
    world.clock.advance(ENDS_AFTER)

    answer = await asyncio.wait_for(waiting, BOUND_SECONDS)

    assert (answer.json()["status"], answer.json()["rowsSynced"]) == ("succeeded", 12_000)


async def test_who_polls_too_fast_is_answered_after_a_moment_with_the_last_state(hasty: Tenant) -> None:
    job_id = await hasty.new_job()
    await limit_calls(hasty.world, "1/60")

    assert [await poll(hasty, job_id) for _ in range(3)] == ["pending"] * 3


async def test_fifty_wait_and_the_next_is_answered_at_once(world: World, acme: Tenant, globex: Tenant) -> None:
    job_id, foreign = await acme.new_job(), await globex.new_job()
    await limit_calls(world, "1/60")
    await poll(acme, job_id)
    waiting = [await waiting_poll(acme, job_id) for _ in range(MOST_OF_CLIENT)]

    assert await poll(acme, job_id) == "pending"
    assert await poll(globex, foreign) == "pending"
    assert not any(task.done() for task in waiting)
    world.services.syncs.watcher.stop()
    answers = await asyncio.wait_for(asyncio.gather(*waiting), BOUND_SECONDS)
    assert {answer.json()["status"] for answer in answers} == {"pending"}


async def test_a_known_job_is_told_while_airbyte_fails_and_the_answer_says_so(world: World, acme: Tenant) -> None:
    job_id = await acme.new_job()
    world.clock.advance(60)
    world.sandbox.faults.answer_with(Answer.html(502), times=20)

    answer = await acme.get(f"/jobs/{job_id}")

    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert "warning" in answer.headers


async def test_a_job_that_nobody_knows_is_not_waited_for_long(hasty: Tenant) -> None:
    world, release = hasty.world, asyncio.Event()
    world.sandbox.world.trigger(hasty.airbyte_id, "sync")
    world.sandbox.faults.get_hang = release

    assert_problem(await hasty.get("/jobs/1"), 504, UpstreamTimeout.message)
    release.set()
    async with asyncio.timeout(BOUND_SECONDS):
        while (answer := await hasty.get("/jobs/1")).status_code == 504:
            pass

    assert answer.json()["jobId"] == 1
    assert sent(world, "GET").count(f"{PUBLIC_API}/jobs/1") == 1


async def test_read_only_keys_look_and_start_and_cancel_nothing(world: World, acme: Tenant) -> None:
    job_id = await acme.new_job()
    reader = Tenant(world, await world.key(scope="read"), acme.connection_id, acme.airbyte_id)
    world.sandbox.requests.clear()

    assert (await reader.get(f"/jobs/{job_id}")).status_code == 200
    assert_problem(await reader.trigger(), 403, ReadOnlyKey.message)
    assert_problem(await reader.call("DELETE", f"/jobs/{job_id}"), 403, ReadOnlyKey.message)
    assert sent(world, "POST") + sent(world, "DELETE") == []


async def test_a_running_job_is_cancelled(world: World, acme: Tenant) -> None:
    job_id = await acme.new_job()
    world.clock.advance(RUNS_AFTER + 1)

    answer = await acme.call("DELETE", f"/jobs/{job_id}/")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert sent(world, "DELETE") == [f"{PUBLIC_API}/jobs/{job_id}"]
    assert await poll(acme, job_id) == "cancelled"


async def test_a_pending_job_is_cancelled_once_it_runs(world: World, acme: Tenant) -> None:
    job_id = await acme.new_job()

    answer = await acme.call("DELETE", f"/jobs/{job_id}")
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert sent(world, "DELETE") == []
    world.clock.advance(RUNS_AFTER + 1)
    await until(lambda: bool(sent(world, "DELETE")))
    world.clock.advance(5)

    assert await poll(acme, job_id) == "cancelled"


async def test_an_ended_job_is_answered_and_what_runs_after_it_goes_on(world: World, acme: Tenant) -> None:
    old = await acme.new_job()
    world.clock.advance(ENDS_AFTER + 5)
    new = await acme.new_job()
    world.clock.advance(RUNS_AFTER + 1)

    for _ in range(2):
        answer = await acme.call("DELETE", f"/jobs/{old}")
        assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert sent(world, "DELETE") == []
    assert await poll(acme, new) == "running"


async def test_a_cancel_that_takes_long_is_answered_as_the_job_stands(hasty: Tenant) -> None:
    job_id, release = await hasty.new_job(), asyncio.Event()
    hasty.world.clock.advance(RUNS_AFTER)
    hasty.world.sandbox.faults.get_hang = release

    answer = await hasty.call("DELETE", f"/jobs/{job_id}")
    release.set()

    assert (answer.status_code, answer.json()["status"]) == (200, "pending")


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b'{"connectionId": 1}', b"\xff", b"[" * 2000])
async def test_a_trigger_that_nobody_can_read_is_refused(acme: Tenant, body: bytes) -> None:
    assert_problem(await acme.call("POST", "/jobs", content=body), 400, NO_JOB)


@pytest.mark.parametrize("job_type", ["reset", "refresh", "clear", "x"])
async def test_only_syncs_are_started(acme: Tenant, job_type: str) -> None:
    body = {"connectionId": acme.airbyte_id, "jobType": job_type}

    assert_problem(await acme.call("POST", "/jobs", json=body), 400, NO_SYNC)


def many_jobs(world: World, acme: Tenant, number: int) -> list[int]:
    now = world.clock.now().timestamp()
    add_job = world.sandbox.world.add_job
    return [add_job(acme.airbyte_id, created_at=now - hour * 3600).job_id for hour in range(number, 0, -1)]


async def walk(acme: Tenant, path: str) -> list[list[int]]:
    """Follow `next` from page to page, and return the ids of each."""
    pages = []
    while path:
        page = (await acme.get(path)).json()
        pages.append([row["jobId"] for row in page["data"]])
        path = page["next"].removeprefix(f"http://gateway{PUBLIC_API}")
    return pages


async def test_jobs_of_a_connection_are_listed_oldest_first_or_as_asked_for(world: World, acme: Tenant) -> None:
    jobs = many_jobs(world, acme, 5)
    of_one, of_all = f"/jobs?connectionId={acme.airbyte_id}", "/jobs?x=y"
    for path in (of_one, of_all):
        assert await walk(acme, f"{path}&limit=2") == [jobs[:2], jobs[2:4], jobs[4:]]
        newest = jobs[::-1]
        assert await walk(acme, f"{path}&limit=3&orderBy=createdAt%7CDESC") == [newest[:3], newest[3:]]
        assert await walk(acme, f"{path}&limit=5") == [jobs]


async def test_a_full_last_page_of_the_largest_size_leads_nowhere(world: World, acme: Tenant) -> None:
    jobs = many_jobs(world, acme, 200)

    assert await walk(acme, f"/jobs?connectionId={acme.airbyte_id}&limit=100") == [jobs[:100], jobs[100:]]


async def test_jobs_of_all_connections_are_paged_among_another_tenants(
    world: World, acme: Tenant, globex: Tenant
) -> None:
    own, foreign = many_jobs(world, acme, 60), many_jobs(world, globex, 130)

    assert await walk(acme, "/jobs?limit=25") == [own[:25], own[25:50], own[50:]]
    assert await walk(globex, "/jobs?limit=100&offset=10") == [foreign[10:110], foreign[110:]]
    assert await walk(acme, "/jobs?limit=25&offset=50") == [own[50:]]


async def test_a_list_gets_on_through_more_foreign_jobs_than_one_call_reads(
    world: World, acme: Tenant, globex: Tenant
) -> None:
    many_jobs(world, globex, 100 * MOST_READINGS + 150)
    own = many_jobs(world, acme, 2)

    assert await walk(acme, "/jobs?limit=20") == [[], own]
    assert await walk(acme, "/jobs?limit=20&offset=1") == [[], own[1:]]
    following = (await acme.get("/jobs?limit=20")).json()["next"]
    assert "offset=0" in following
    assert_problem(await globex.get(following.removeprefix(f"http://gateway{PUBLIC_API}")), 400, INVALID_CURSOR)


async def test_jobs_of_connections_whose_workspace_is_not_known_are_listed_in_order_too(
    world: World, acme: Tenant
) -> None:
    _, theirs = await world.mapped_connection()
    other = Tenant(world, acme.key, "", theirs)
    jobs = [many_jobs(world, each, hours)[0] for hours in range(6, 0, -1) for each in [(acme, other)[hours % 2]]]
    forget = "UPDATE connections SET workspace_id = NULL WHERE airbyte_id = :airbyte_id"
    await world.services.store.database.write(
        lambda transaction: transaction.executemany(forget, [{"airbyte_id": theirs}])
    )
    everything = [row["jobId"] for row in (await acme.get("/jobs?limit=100")).json()["data"]]

    assert set(jobs) < set(everything)
    for order in ("", "&orderBy=createdAt%7CDESC", "&orderBy=updatedAt%7CASC", "&orderBy=updatedAt%7CDESC"):
        whole = [row["jobId"] for row in (await acme.get(f"/jobs?limit=100{order}")).json()["data"]]
        assert sorted(whole) == sorted(everything)
        pages = await walk(acme, f"/jobs?limit=4{order}")
        assert [job_id for page in pages for job_id in page] == whole
    starts = [row["startTime"] for row in (await acme.get("/jobs?limit=100")).json()["data"]]
    assert starts == sorted(starts)


async def test_jobs_are_filtered(world: World, acme: Tenant) -> None:
    jobs = many_jobs(world, acme, 5)
    running = await acme.new_job()
    of_one = {"connectionId": acme.airbyte_id}
    filters: list[tuple[dict[str, str], list[int]]] = [
        ({"status": "succeeded"}, jobs),
        ({"status": "PENDING", "jobType": "SYNC"}, [running]),
        ({"jobType": "reset"}, []),
        ({"createdAtStart": "2026-04-01T01:00:00Z"}, [*jobs[3:], running]),
        ({"createdAtEnd": "2026-03-31T22:00:00.000+00:00"}, jobs[:1]),
        ({"updatedAtStart": "2026-04-01T02:30:00Z"}, [running]),
        ({"updatedAtEnd": "2026-03-31T23:30:00Z"}, jobs[:2]),
    ]
    for query, expected in filters:
        for others in (of_one, {}):
            found = (await acme.get("/jobs", params={**query, **others})).json()["data"]
            assert [row["jobId"] for row in found] == expected, query


async def test_what_a_list_cannot_be_is_refused(acme: Tenant) -> None:
    for query, detail in [
        ("orderBy=createdAt", NO_ORDER),
        ("status=done", NO_STATUS),
        ("jobType=spec", NO_TYPE),
        (
            "createdAtStart=0001-01-01T00:00:00Z",
            "createdAtStart must be a time with an offset, such as 2026-04-01T03:00:00Z",
        ),
        (
            "createdAtStart=2026-04-01T03:00:00",
            "createdAtStart must be a time with an offset, such as 2026-04-01T03:00:00Z",
        ),
    ]:
        assert_problem(await acme.get(f"/jobs?{query}"), 400, detail)


async def test_a_trigger_is_noted_and_counted_as_one_of_our_own_api(world: World, acme: Tenant) -> None:
    job_id = await acme.new_job()

    triggers = await world.services.store.database.fetch_all("SELECT * FROM triggers")
    assert [(row["job_id"], row["caller"]) for row in triggers] == [(job_id, acme.key.record.id)]
