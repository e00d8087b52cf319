"""Triggers that a killed gateway left open are looked up by one of the others; those of living ones are let be."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psycopg
import pytest

from gateway.airbyte import in_process_transport
from gateway.provisioning.provisioning import NewKey
from gateway.services import build_services
from gateway.settings.secret import SecretUrl
from gateway.store.sqlite.file_format import APPLICATION_ID
from gateway.times import format_time
from tests.postgres import PostgresServer, rows_of
from tests.support import BOUND_SECONDS, World, bearer, running_gateway

DEAD = "dead-gateway"
REQUEST = "request-1"


@pytest.fixture
def place(postgres: PostgresServer) -> SecretUrl:
    return postgres.without_rows()


@pytest.fixture
async def world(tmp_path: Path, place: SecretUrl, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """On a database that others may serve too."""
    monkeypatch.setattr("gateway.syncs.trigger_audit.TIDY_SECONDS", 0.1)
    monkeypatch.setattr("gateway.syncs.trigger_audit.SETTLE_SECONDS", 0.0)
    backend = {"backend": SecretUrl("redis://127.0.0.1:9/0")}
    async with running_gateway(tmp_path, place=place, rate_limit=backend) as running:
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


async def until_all_are(world: World, outcome: str) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while {found for _, found in outcomes(world)} != {outcome}:
            await asyncio.sleep(0.02)


def leave_open(world: World, ours: str, theirs: str, gateway_id: str) -> None:
    time = format_time(world.clock.now())
    rows_of(
        url_of(world),
        "INSERT INTO triggers (client_id, connection_id, airbyte_id, caller, request_id, created_at, since, gateway_id)"
        f" VALUES (1, '{ours}', '{theirs}', 'key_1', '{REQUEST}', '{time}', '{time}', '{gateway_id}')",
    )


def outcomes(world: World) -> list[tuple[object, ...]]:
    return rows_of(url_of(world), "SELECT gateway_id, outcome FROM triggers ORDER BY number")


async def test_only_what_a_dead_gateway_left_is_looked_up(world: World) -> None:
    await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    living = world.services.cluster.membership.id
    leave_open(world, ours, theirs, living)
    leave_open(world, ours, theirs, DEAD)

    async with asyncio.timeout(BOUND_SECONDS):
        while (DEAD, "none") not in outcomes(world):
            await asyncio.sleep(0.02)

    assert outcomes(world) == [(living, None), (DEAD, "none")]


async def test_what_a_gateway_leaves_when_it_dies_is_looked_up_by_another(world: World) -> None:
    await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    other = build_services(world.services.settings, world.clock, transport=in_process_transport(world.sandbox.app))
    async with other.serving():
        leave_open(world, ours, theirs, other.cluster.membership.id)
        await asyncio.sleep(0.3)
        assert outcomes(world) == [(other.cluster.membership.id, None)]

    async with asyncio.timeout(BOUND_SECONDS):
        while outcomes(world) == [(other.cluster.membership.id, None)]:
            await asyncio.sleep(0.02)


async def test_a_trigger_of_a_gateway_that_died_is_not_waited_for(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    leave_open(world, ours, theirs, DEAD)

    async with asyncio.timeout(BOUND_SECONDS):
        answer = await world.http.post(
            f"/api/v1/connections/{ours}/sync", headers={"Authorization": f"Bearer {key.text}"}
        )

    assert answer.status_code == 200


@pytest.mark.parametrize("outcome", ["ok", "unknown", "unreachable"])
async def test_another_gateways_trigger_is_answered_as_it_ended(world: World, outcome: str) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    other = build_services(world.services.settings, world.clock, transport=in_process_transport(world.sandbox.app))
    async with other.serving():
        leave_open(world, ours, theirs, other.cluster.membership.id)
        job = world.sandbox.world.trigger(theirs, "sync") if outcome == "ok" else None
        waiting = asyncio.create_task(
            world.http.post(f"/api/v1/connections/{ours}/sync", headers={"Authorization": f"Bearer {key.text}"})
        )
        await asyncio.sleep(0.2)
        assert not waiting.done()
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


async def test_what_a_gateway_started_before_it_died_is_found_and_not_started_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.syncs.trigger_audit.TIDY_SECONDS", BOUND_SECONDS)
    monkeypatch.setattr("gateway.syncs.trigger_audit.FOLLOW_SECONDS", 0.2)
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    rows_of(
        url_of(world),
        "INSERT INTO gateways (id, name, is_alone, seen_at) "
        f"VALUES ('{DEAD}', 'dying', 0, extract(epoch FROM clock_timestamp()) * 1000)",
    )
    leave_open(world, ours, theirs, DEAD)
    waiting = asyncio.create_task(trigger(world, key, ours))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    job = world.sandbox.world.trigger(theirs, "sync")
    world.clock.advance(30)
    rows_of(url_of(world), f"DELETE FROM gateways WHERE id = '{DEAD}'")

    answer = await waiting

    assert answer.status_code == 200
    assert answer.json()["job"]["jobId"] == job.job_id
    assert world.jobs_of(theirs) == [job.job_id]


async def test_an_outcome_that_could_not_be_written_is_written_later(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    world.sandbox.faults.post_hang = release = asyncio.Event()
    asking = asyncio.create_task(trigger(world, key, ours))
    async with asyncio.timeout(BOUND_SECONDS):
        while not outcomes(world):
            await asyncio.sleep(0.01)

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
