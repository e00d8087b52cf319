"""What a start does about the triggers of a process that was killed."""

import asyncio
import io
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gateway.airbyte.in_process import in_process
from gateway.app import create_app
from gateway.sandbox import Answer
from gateway.services import Services, Timings, build_services
from gateway.syncs.left_over import MOST_LEFT_OVER
from gateway.syncs.timings import BackoffTimings, SyncTimings, TriggerTimings
from gateway.telemetry.log import configure_log
from gateway.times import format_time
from tests.support import BOUND_SECONDS, World, bearer

SETTLE_SECONDS = TriggerTimings().settle

Outcome = tuple[str | None, int | None]


def rows(world: World) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(world.services.settings.database_path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM triggers ORDER BY number")]


def outcomes(world: World) -> list[Outcome]:
    return [(row["outcome"], row["job_id"]) for row in rows(world)]


def leave_over(
    world: World,
    ours: str,
    theirs: str,
    *,
    count: int = 1,
    seconds_ago: float = 0.0,
    newest_before: int | None = 0,
    span_seconds: int | None = 80,
) -> None:
    """Leave intents of a process that was killed before it wrote what came of them."""
    time = format_time(world.clock.now() - timedelta(seconds=seconds_ago))
    with closing(sqlite3.connect(world.services.settings.database_path)) as connection, connection:
        connection.executemany(
            """
            INSERT INTO triggers (client_id, connection_id, airbyte_id, caller, request_id, created_at, since,
                newest_before, span_seconds)
            VALUES (1, ?, ?, 'key_1', ?, ?, ?, ?, ?)
            """,
            [(ours, theirs, f"request-{number}", time, time, newest_before, span_seconds) for number in range(count)],
        )


IMPATIENT = SyncTimings(
    trigger=TriggerTimings(settle=0.0, look_up_interval=0.001, backoff=BackoffTimings(first=0.0, longest=0.0))
)


def services_like(world: World, timings: SyncTimings | None = None) -> Services:
    connect = in_process(world.sandbox.app)
    return build_services(
        world.services.settings, world.clock, connect=connect, timings=Timings(syncs=timings or SyncTimings())
    )


@asynccontextmanager
async def started_again(world: World) -> AsyncIterator[Services]:
    """The next process on the same database, with the same Airbyte."""
    services = services_like(world)
    async with services.serving():
        yield services


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def job_reads(world: World) -> int:
    return sum(request.method == "GET" and request.path.endswith("/jobs") for request in world.sandbox.requests)


@pytest.fixture
async def mapping(world: World) -> tuple[str, str]:
    await world.client_with_key()
    return await world.mapped_connection()


async def test_the_first_sync_after_what_there_was_before_is_its_outcome(
    world: World, mapping: tuple[str, str]
) -> None:
    earlier = world.sandbox.world.add_job(mapping[1], created_at=world.clock.now().timestamp() - 60)
    leave_over(world, *mapping, newest_before=earlier.job_id)
    world.sandbox.world.add_job(mapping[1], created_at=world.clock.now().timestamp() + 1, job_type="reset")
    job = world.sandbox.world.add_job(mapping[1], created_at=world.clock.now().timestamp() + 2)
    later = world.sandbox.world.add_job(mapping[1], created_at=world.clock.now().timestamp() + 30)
    world.clock.advance(SETTLE_SECONDS)

    async with started_again(world):
        await until(lambda: outcomes(world) != [(None, None)])

    assert earlier.job_id < job.job_id < later.job_id
    assert outcomes(world) == [("ok", job.job_id)]


@pytest.mark.parametrize("seconds", [-30, 81, 2 * 3600])
async def test_a_sync_created_outside_the_span_of_the_trigger_is_not_said_to_be_its_own(
    world: World, mapping: tuple[str, str], seconds: int
) -> None:
    leave_over(world, *mapping)
    world.sandbox.world.add_job(mapping[1], created_at=world.clock.now().timestamp() + seconds)
    world.clock.advance(3 * 3600)

    async with started_again(world):
        await until(lambda: outcomes(world) != [(None, None)])

    assert outcomes(world) == ([("ok", 1)] if seconds == -30 else [("unknown", None)])


async def test_what_there_was_before_a_trigger_was_not_known_so_neither_is_its_job(
    world: World, mapping: tuple[str, str]
) -> None:
    leave_over(world, *mapping, newest_before=None)
    world.sandbox.world.add_job(mapping[1], created_at=world.clock.now().timestamp() + 1)
    world.clock.advance(SETTLE_SECONDS)

    async with started_again(world):
        await until(lambda: outcomes(world) != [(None, None)])

    assert outcomes(world) == [("unknown", None)]


async def test_a_trigger_that_was_never_sent_started_nothing(world: World, mapping: tuple[str, str]) -> None:
    leave_over(world, *mapping, newest_before=None, span_seconds=None)
    world.sandbox.world.add_job(mapping[1], created_at=world.clock.now().timestamp() + 1)
    world.clock.advance(SETTLE_SECONDS)

    async with started_again(world):
        await until(lambda: outcomes(world) != [(None, None)])

    assert outcomes(world) == [("none", None)]


async def test_no_sync_after_what_there_was_before_means_that_none_was_started(
    world: World, mapping: tuple[str, str]
) -> None:
    earlier = world.sandbox.world.add_job(mapping[1], created_at=world.clock.now().timestamp() - 60)
    leave_over(world, *mapping, newest_before=earlier.job_id)
    world.clock.advance(SETTLE_SECONDS)

    async with started_again(world):
        await until(lambda: outcomes(world) != [(None, None)])

    assert outcomes(world) == [("none", None)]


async def test_each_is_looked_up_by_one_call(world: World, mapping: tuple[str, str]) -> None:
    leave_over(world, *mapping, count=5)
    world.clock.advance(SETTLE_SECONDS)
    world.sandbox.requests.clear()

    async with started_again(world):
        await until(lambda: None not in {outcome for outcome, _ in outcomes(world)})

    assert job_reads(world) == 5


async def test_a_connection_that_airbyte_refuses_to_tell_of_holds_up_no_other(
    world: World, mapping: tuple[str, str]
) -> None:
    leave_over(world, *mapping, count=2)
    world.clock.advance(SETTLE_SECONDS)
    world.sandbox.faults.answer_with(Answer(404, body=b"{}"), when=lambda method, path: path.endswith("/jobs"))

    async with started_again(world):
        await until(lambda: None not in {outcome for outcome, _ in outcomes(world)})

    assert outcomes(world) == [("unknown", None), ("none", None)]


async def test_more_jobs_since_than_airbyte_shows_tell_nothing(world: World, mapping: tuple[str, str]) -> None:
    leave_over(world, *mapping)
    for number in range(101):
        world.sandbox.world.add_job(mapping[1], created_at=world.clock.now().timestamp() + number)
    world.clock.advance(1000)

    async with started_again(world):
        await until(lambda: outcomes(world) != [(None, None)])

    assert outcomes(world) == [("unknown", None)]


async def test_a_trigger_that_cannot_be_looked_up_holds_up_no_other_and_is_returned_to(
    world: World, mapping: tuple[str, str]
) -> None:
    leave_over(world, *mapping, count=3)
    world.clock.advance(SETTLE_SECONDS)
    left_over = world.services.syncs.left_over
    found = await left_over.read()
    world.sandbox.faults.answer_with(Answer.html(503), times=2, when=lambda method, path: path.endswith("/jobs"))

    left = await left_over.look_up(found)
    assert left == found[:1]
    assert outcomes(world) == [(None, None), ("none", None), ("none", None)]
    assert await left_over.look_up(left) == left

    world.clock.advance(TriggerTimings().backoff.first)
    assert await left_over.look_up(left) == []
    assert outcomes(world) == [("none", None)] * 3


async def test_a_busy_airbyte_is_asked_at_the_next_start(world: World, mapping: tuple[str, str]) -> None:
    leave_over(world, *mapping, count=3)
    world.clock.advance(SETTLE_SECONDS)
    world.sandbox.faults.answer_with(Answer(429), when=lambda method, path: path.endswith("/jobs"))
    stream = io.StringIO()
    configure_log(level="warning", style="json", stream=stream)

    async with started_again(world):
        await until(lambda: "triggers_left_unresolved" in stream.getvalue())
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["triggers_left_unresolved"]
    assert outcomes(world) == [(None, None)] * 3

    async with started_again(world):
        await until(lambda: outcomes(world) == [("none", None)] * 3)


@pytest.mark.parametrize("jump_seconds", [-3600.0, 0.0, SETTLE_SECONDS - 1])
async def test_airbyte_is_not_asked_before_the_job_must_have_appeared_whatever_the_clock_did(
    world: World, mapping: tuple[str, str], jump_seconds: float
) -> None:
    leave_over(world, *mapping)
    world.clock.advance(jump_seconds)
    world.sandbox.requests.clear()

    async with started_again(world) as services:
        for _ in range(100):
            await services.store.is_read_only()

    assert job_reads(world) == 0
    assert outcomes(world) == [(None, None)]


async def test_no_more_than_a_bounded_number_is_looked_up_at_a_start(world: World, mapping: tuple[str, str]) -> None:
    leave_over(world, *mapping, count=MOST_LEFT_OVER + 1)

    found = await world.services.syncs.left_over.read()

    assert [trigger.number for trigger in found] == list(range(1, MOST_LEFT_OVER + 1))


async def test_a_start_waits_for_nothing_that_airbyte_holds_back(world: World, mapping: tuple[str, str]) -> None:
    key = await world.key()
    leave_over(world, *mapping)
    world.clock.advance(SETTLE_SECONDS)
    world.sandbox.faults.get_hang = asyncio.Event()
    world.sandbox.requests.clear()
    services = services_like(world)
    app = create_app(services)
    transport = httpx2.ASGITransport(app=app)

    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        await until(lambda: job_reads(world) == 1)
        answer = await http.post(f"/api/v1/connections/{mapping[0]}/sync", headers=bearer(key))

    assert answer.status_code == 200
    assert outcomes(world) == [(None, None), ("ok", 1)]


async def test_a_start_succeeds_although_the_audit_cannot_be_written(world: World, mapping: tuple[str, str]) -> None:
    leave_over(world, *mapping)
    world.clock.advance(SETTLE_SECONDS)
    stream = io.StringIO()
    configure_log(level="warning", style="json", stream=stream)
    path = world.services.settings.database_path

    with closing(sqlite3.connect(path, isolation_level=None)) as another_process:
        services = services_like(world)
        async with services.serving():
            another_process.execute("BEGIN IMMEDIATE")
            await until(lambda: "trigger_outcome_not_written" in stream.getvalue())
            another_process.execute("ROLLBACK")
            await until(lambda: outcomes(world) == [("none", None)])


async def test_a_trigger_of_this_process_is_none_that_was_left_over(world: World, mapping: tuple[str, str]) -> None:
    leave_over(world, *mapping)
    world.clock.advance(SETTLE_SECONDS)

    left_over = await world.services.syncs.left_over.read()
    leave_over(world, *mapping)
    await world.services.syncs.left_over.look_up(left_over)

    assert outcomes(world) == [("none", None), (None, None)]


async def test_commands_that_merely_open_the_database_leave_triggers_under_way_alone(
    world: World, mapping: tuple[str, str]
) -> None:
    leave_over(world, *mapping)
    world.clock.advance(SETTLE_SECONDS)
    world.sandbox.requests.clear()

    async with services_like(world).opened():
        for _ in range(100):
            await asyncio.sleep(0)

    assert not world.sandbox.requests
    assert outcomes(world) == [(None, None)]


async def test_one_that_fails_holds_up_no_other_in_the_loop_which_ends_when_it_has_been_looked_up_too(
    world: World, mapping: tuple[str, str]
) -> None:
    leave_over(world, *mapping, count=3)
    failing, theirs = await world.mapped_connection()
    leave_over(world, failing, theirs)
    leave_over(world, *mapping)
    broken = asyncio.Event()
    broken.set()

    def is_broken(_method: str, path: str) -> bool:
        return broken.is_set() and path.endswith("/jobs") and theirs in world.sandbox.requests[-1].query

    world.sandbox.faults.answer_with(Answer.html(500), times=10_000, when=is_broken)
    services = services_like(world, IMPATIENT)
    async with services.opened():
        loop = asyncio.create_task(services.syncs.left_over.run(await services.syncs.left_over.read(), lambda: None))
        await until(lambda: [outcome for outcome, _ in outcomes(world)].count("none") == 4)
        assert outcomes(world)[3] == (None, None)
        assert not loop.done()

        broken.clear()
        async with asyncio.timeout(BOUND_SECONDS):
            await loop
    assert outcomes(world) == [("none", None)] * 5


async def test_one_whose_row_cannot_be_read_holds_up_no_other(world: World, mapping: tuple[str, str]) -> None:
    leave_over(world, *mapping, count=3)
    job = world.sandbox.world.add_job(mapping[1], created_at=world.clock.now().timestamp() + 1)
    world.clock.advance(SETTLE_SECONDS)
    with closing(sqlite3.connect(world.services.settings.database_path)) as connection, connection:
        connection.execute("UPDATE triggers SET since = 'no time' WHERE number = 1")
    left_over = world.services.syncs.left_over

    left = await left_over.look_up(await left_over.read())

    assert [trigger.number for trigger in left] == [1]
    assert outcomes(world) == [(None, None), ("ok", job.job_id), ("ok", job.job_id)]
