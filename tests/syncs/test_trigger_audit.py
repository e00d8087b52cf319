"""Each trigger is written down before it is sent, and afterwards what came of it."""

import asyncio
from contextlib import AbstractContextManager
from typing import Any

import httpx2
import pytest

from gateway.errors import ConnectionNotFound
from gateway.provisioning.keys import NewKey
from gateway.sandbox import Answer
from gateway.sandbox.app import Sandbox
from gateway.syncs.trigger_request import TriggerRequest
from tests.other_program import OtherProgram, other_program
from tests.support import BOUND_SECONDS, World, bearer, sqlite_of

UNAVAILABLE = {"error": "Storage is unavailable"}


def another_process(world: World) -> AbstractContextManager[OtherProgram]:
    return other_program(world.services.settings.database_location)


def audit(world: World) -> list[dict[str, Any]]:
    """What another process finds in the audit at this moment."""
    with another_process(world) as connection:
        return connection.rows("SELECT * FROM triggers ORDER BY number")


async def trigger(world: World, key: NewKey, ours: str, request_id: str = "request-1") -> httpx2.Response:
    headers = {**bearer(key), "X-Request-Id": request_id}
    return await world.http.post(f"/api/v1/connections/{ours}/sync", headers=headers)


def posts(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" and request.path.endswith("/jobs") for request in sandbox.requests)


async def test_a_trigger_leaves_one_row_with_its_job(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()

    await trigger(world, key, ours)

    (row,) = audit(world)
    assert row == {
        "number": 1,
        "client_id": 1,
        "connection_id": ours,
        "airbyte_id": theirs,
        "caller": key.record.id,
        "request_id": "request-1",
        "created_at": "2026-04-01T03:00:00.000Z",
        "since": "2026-04-01T03:00:00.000Z",
        "outcome": "ok",
        "job_id": 1,
        "resolved_at": "2026-04-01T03:00:00.000Z",
        "gateway_id": world.services.cluster.membership.id,
        "newest_before": 0,
        "span_seconds": 80,
    }


async def test_the_intent_is_durable_before_airbyte_hears_of_it(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    old = world.sandbox.world.add_job(theirs)
    seen: list[dict[str, Any]] = []

    def look(method: str, path: str) -> bool:
        if method == "POST" and path.endswith("/jobs"):
            seen.extend(audit(world))
        return False

    world.sandbox.faults.answer_with(Answer.html(502), when=look)
    await trigger(world, key, ours)

    assert [(row["connection_id"], row["newest_before"], row["outcome"]) for row in seen] == [(ours, old.job_id, None)]


async def test_simultaneous_triggers_that_share_a_call_share_a_row(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()

    answers = await world.simultaneously("POST", f"/api/v1/connections/{ours}/sync", [key] * 20)

    assert {answer.status_code for answer in answers} == {200}
    assert posts(world.sandbox) == len(audit(world)) == 1


@pytest.mark.parametrize("case", ["inactive", "gone", "reset", "busy", "lost"])
async def test_a_trigger_that_led_to_no_job_leaves_the_word_for_why(world: World, case: str) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    if case == "inactive":
        world.sandbox.world.set_connection_status(theirs, "inactive")
    elif case == "gone":
        world.sandbox.world.forget_connection(theirs)
    elif case == "reset":
        world.sandbox.world.add_job(theirs, status="running", job_type="reset")
    elif case == "busy":
        world.sandbox.faults.rate_limited = True
    else:
        world.sandbox.faults.answer_with(Answer.html(502), when=lambda method, path: method == "POST")

    answer = await trigger(world, key, ours)

    (row,) = audit(world)
    words = {"inactive": "refused", "gone": "refused", "reset": "busy", "busy": "busy", "lost": "unknown"}
    assert answer.status_code >= 400
    assert (row["outcome"], row["job_id"]) == (words[case], None)


@pytest.mark.parametrize("case", ["unknown", "read-only", "unmapped", "body"])
async def test_what_never_goes_to_airbyte_leaves_no_row(world: World, case: str) -> None:
    key = await world.client_with_key(scope="read" if case == "read-only" else "full")
    ours, _ = await world.mapped_connection()
    if case == "unknown":
        ours = "conn_unknown"
    elif case == "unmapped":
        connection = (
            await world.services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=None)
        ).connection
        ours = connection.id
    body = b"[]" if case == "body" else b""

    answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key), content=body)

    assert answer.status_code in {400, 403, 404}
    assert audit(world) == []


async def test_a_trigger_that_cannot_be_written_down_is_not_sent(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    await world.http.get("/api/v1/connections", headers=bearer(key))
    with another_process(world) as other:
        other.keep_others_from_writing()

        answer = await trigger(world, key, ours)

    assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)
    assert int(answer.headers["retry-after"]) >= 1
    assert posts(world.sandbox) == 0
    assert world.jobs_of(theirs) == []
    assert (await trigger(world, key, ours)).status_code == 200


async def test_a_job_whose_outcome_cannot_be_written_is_still_the_caller_s(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    with another_process(world) as other:

        def lock(method: str, path: str) -> bool:
            if method == "POST" and path.endswith("/jobs"):
                other.keep_others_from_writing()
            return False

        world.sandbox.faults.answer_with(Answer.html(502), when=lock)
        answer = await trigger(world, key, ours)
        other.rows("ROLLBACK")

    assert answer.status_code == 200
    assert answer.json()["job"]["jobId"] == 1
    async with asyncio.timeout(BOUND_SECONDS):
        while await world.services.store.triggers.unresolved(1):
            await asyncio.sleep(0.05)
    assert [row["outcome"] for row in audit(world)] == ["ok"]


async def test_a_connection_removed_in_the_very_moment_has_no_intent(world: World) -> None:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    client = await world.services.store.clients.by_slug("acme")
    request = TriggerRequest(client, ours, theirs, key.record.id, "request-1")
    with another_process(world) as other:
        other.rows("DELETE FROM connections")

    with pytest.raises(ConnectionNotFound):
        await world.services.syncs.audit.claim(request)

    assert audit(world) == []


@pytest.mark.sqlite_only
async def test_a_trigger_flushes_no_cached_key(world: World) -> None:
    key = await world.client_with_key()
    ours, _ = await world.mapped_connection()
    await trigger(world, key, ours)
    epoch = sqlite_of(world.services.store).watch.epoch()

    await trigger(world, key, ours)

    assert len(audit(world)) == 2
    assert sqlite_of(world.services.store).watch.epoch() == epoch
