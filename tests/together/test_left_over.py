"""Triggers that a killed gateway left open are looked up by one of the others; those of living ones are let be."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psycopg
import pytest

from gateway.airbyte.in_process import in_process
from gateway.provisioning.keys import NewKey
from gateway.services import build_services
from gateway.settings.secret import SecretUrl
from gateway.store.sqlite.file_format import APPLICATION_ID
from gateway.syncs.timings import SyncTimings, TriggerTimings
from gateway.times import format_time
from tests.postgres import PostgresServer, rows_of
from tests.support import BOUND_SECONDS, World, bearer, running_gateway

DEAD, LIVING = "dead-gateway", "living-gateway"
REQUEST = "request-1"
BACKEND = {"backend": SecretUrl("redis://127.0.0.1:9/0")}
LOOKING_OFTEN = SyncTimings(trigger=TriggerTimings(look_up_interval=0.1, settle=0.0))
LOOKING_ONCE = SyncTimings(trigger=TriggerTimings(look_up_interval=BOUND_SECONDS, follow=0.2))
"""A trigger of a dead gateway is not looked up before it is joined."""


@pytest.fixture
def location(postgres: PostgresServer) -> SecretUrl:
    return postgres.without_rows()


@pytest.fixture
async def world(tmp_path: Path, location: SecretUrl) -> AsyncIterator[World]:
    """On a database that others may serve too."""
    async with running_gateway(tmp_path, location=location, sync_timings=LOOKING_OFTEN, rate_limit=BACKEND) as running:
        yield running


def url_of(world: World) -> SecretUrl:
    return world.services.settings.database.url


@contextmanager
def nobody_may_write(world: World) -> Iterator[None]:
    with psycopg.connect(url_of(world).reveal(), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (APPLICATION_ID,))
        yield


async def trigger(world: World, key: NewKey, ours: str) -> httpx2.Response:
    return await world.http.post(f"/api/v1/connections/{ours}/sync", headers={**bearer(key), "X-Request-Id": REQUEST})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


async def until_all_are(world: World, outcome: str) -> None:
    await until(lambda: {found for _, found in outcomes(world)} == {outcome})


async def until_followed(world: World) -> None:
    """Until somebody has asked what came of another gateway's trigger."""
    question = """
        SELECT 1 FROM pg_stat_activity
        WHERE query LIKE '%SELECT outcome, job_id FROM triggers%' AND pid <> pg_backend_pid()
        """
    await until(lambda: bool(rows_of(url_of(world), question)))


async def until_looked_up_again(world: World) -> None:
    """Until some gateway has begun to look for left-over triggers from now on, and has ended."""
    for _ in range(2):
        before = looked_up_at(world)
        await until(lambda: looked_up_at(world) != before)  # noqa: B023 - awaited within the round


def looked_up_at(world: World) -> list[tuple[object, ...]]:
    return rows_of(url_of(world), "SELECT done_at FROM leases WHERE name = 'left-over triggers'")


def add_living(location: SecretUrl) -> str:
    """Add a gateway that counts as live for an hour, however long this machine stands still, and return its id."""
    rows_of(
        location,
        "INSERT INTO gateways (id, name, is_alone, seen_at) "
        f"VALUES ('{LIVING}', 'living', 0, extract(epoch FROM clock_timestamp()) * 1000 + 3600000)",
    )
    return LIVING


def leave_open(world: World, ours: str, theirs: str, gateway_id: str, *, is_sent: bool = False) -> None:
    time = format_time(world.clock.now())
    sent = "0, 80" if is_sent else "NULL, NULL"
    rows_of(
        url_of(world),
        "INSERT INTO triggers (client_id, connection_id, airbyte_id, caller, request_id, created_at, since, gateway_id,"
        " newest_before, span_seconds)"
        f" VALUES (1, '{ours}', '{theirs}', 'key_1', '{REQUEST}', '{time}', '{time}', '{gateway_id}', {sent})",
    )


def outcomes(world: World) -> list[tuple[object, ...]]:
    return rows_of(url_of(world), "SELECT gateway_id, outcome FROM triggers ORDER BY number")


async def test_only_what_a_dead_gateway_left_is_looked_up(world: World) -> None:
    await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    living = world.services.cluster.membership.id
    leave_open(world, ours, theirs, living)
    leave_open(world, ours, theirs, DEAD)

    await until(lambda: (DEAD, "none") in outcomes(world))

    assert outcomes(world) == [(living, None), (DEAD, "none")]


async def test_what_a_gateway_leaves_when_it_dies_is_looked_up_by_another(world: World) -> None:
    await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    other = build_services(world.services.settings, world.clock, connect=in_process(world.sandbox.app))
    async with other.serving():
        leave_open(world, ours, theirs, other.cluster.membership.id)
        await until_looked_up_again(world)
        assert outcomes(world) == [(other.cluster.membership.id, None)]

    await until(lambda: outcomes(world) == [(other.cluster.membership.id, "none")])


async def test_a_trigger_of_a_gateway_that_died_is_not_waited_for(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    leave_open(world, ours, theirs, DEAD)

    async with asyncio.timeout(BOUND_SECONDS):
        answer = await trigger(world, key, ours)

    assert answer.status_code == 200


@pytest.mark.parametrize("outcome", ["ok", "unknown", "unreachable"])
async def test_another_gateways_trigger_is_answered_as_it_ended(world: World, outcome: str) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    leave_open(world, ours, theirs, add_living(url_of(world)))
    job = world.sandbox.world.trigger(theirs, "sync") if outcome == "ok" else None
    waiting = asyncio.create_task(trigger(world, key, ours))
    await until_followed(world)
    time = format_time(world.clock.now())
    rows_of(
        url_of(world),
        f"UPDATE triggers SET outcome = '{outcome}', resolved_at = '{time}', "
        f"job_id = {job.job_id if job else 'NULL'} WHERE number = 1",
    )
    answer = await waiting

    if outcome == "unknown":
        assert answer.status_code == 504
        return
    assert answer.status_code == 200
    assert answer.json()["job"]["jobId"] == (job.job_id if job else 1)


@pytest.mark.parametrize("is_sent", [False, True], ids=["not sent when the caller came", "sent before he came"])
async def test_another_gateways_job_that_has_ended_is_answered_only_if_it_cannot_have_ended_before_the_caller_came(
    world: World, *, is_sent: bool
) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    leave_open(world, ours, theirs, add_living(url_of(world)), is_sent=is_sent)
    job = world.sandbox.world.add_job(theirs)
    waiting = asyncio.create_task(trigger(world, key, ours))
    await until_followed(world)
    time = format_time(world.clock.now())
    rows_of(
        url_of(world),
        f"UPDATE triggers SET outcome = 'ok', resolved_at = '{time}', job_id = {job.job_id} WHERE number = 1",
    )
    answer = await waiting

    assert answer.status_code == 200
    assert answer.json()["job"]["jobId"] == job.job_id + is_sent


async def test_what_a_gateway_started_before_it_died_is_found_and_not_started_again(
    tmp_path: Path, location: SecretUrl
) -> None:
    async with running_gateway(tmp_path, location=location, sync_timings=LOOKING_ONCE, rate_limit=BACKEND) as world:
        key = await world.client_with_key()
        ours, theirs = await world.mapped_connection()
        leave_open(world, ours, theirs, add_living(location))
        waiting = asyncio.create_task(trigger(world, key, ours))
        await until_followed(world)
        job = world.sandbox.world.trigger(theirs, "sync")
        rows_of(location, f"DELETE FROM gateways WHERE id = '{LIVING}'")

        answer = await waiting

        assert answer.status_code == 200
        assert answer.json()["job"]["jobId"] == job.job_id
        assert world.jobs_of(theirs) == [job.job_id]


async def test_an_outcome_that_could_not_be_written_is_written_later(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    world.sandbox.faults.post_hang = release = asyncio.Event()
    asking = asyncio.create_task(trigger(world, key, ours))
    await world.until_airbyte_is_asked("POST", "/jobs")

    with nobody_may_write(world):
        release.set()
        answer = await asking
        assert {found for _, found in outcomes(world)} == {None}

    assert answer.status_code == 200
    await until_all_are(world, "ok")


async def test_an_intent_that_may_have_been_written_holds_no_other_gateway_up(world: World) -> None:
    """As when the server is lost in the moment of the commit: the row is there, and who wrote it does not know."""
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    leave_open(world, ours, theirs, world.services.cluster.membership.id)

    with nobody_may_write(world):
        answer = await trigger(world, key, ours)

    assert answer.status_code == 503
    await until_all_are(world, "none")
    assert world.jobs_of(theirs) == []
