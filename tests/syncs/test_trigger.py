"""What a caller of a trigger waits for, and what goes on without him."""

import asyncio
from pathlib import Path

import pytest

from gateway.sandbox import Answer
from gateway.store import DatabaseLocation, Outcome
from gateway.syncs.timings import SyncTimings, TriggerTimings
from tests.support import BOUND_SECONDS, bearer, running_gateway

SOON = SyncTimings(trigger=TriggerTimings(answer=1.0, reconcile=0.0))
"""Longer than a busy machine takes for the steps before the one that hangs."""


async def test_all_steps_of_a_trigger_end_within_its_budget_and_leave_an_outcome(
    tmp_path: Path, database_location: DatabaseLocation
) -> None:
    async with running_gateway(tmp_path, location=database_location, sync_timings=SOON) as world:
        key = await world.client_with_key()
        ours, _ = await world.mapped_connection()
        world.sandbox.faults.post_hang = release = asyncio.Event()

        asking = asyncio.create_task(world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key)))
        # Not `asyncio.timeout`: who is cancelled is answered, too.
        await asyncio.wait({asking}, timeout=BOUND_SECONDS)
        has_answer = asking.done()
        await world.services.syncs.trigger.close()
        left = await world.services.store.triggers.unresolved(1)
        release.set()
        answer = await asking

    assert (has_answer, left) == (True, [])
    assert answer.status_code == 504
    assert answer.json() == {"error": "Outcome unknown: check the job list before retrying"}


@pytest.mark.parametrize(("ahead_seconds", "age_seconds"), [(1800, 1200), (90, 60)])
async def test_whatever_the_clocks_say_a_sync_that_had_ended_is_not_the_triggers(
    tmp_path: Path, database_location: DatabaseLocation, ahead_seconds: int, age_seconds: int
) -> None:
    async with running_gateway(tmp_path, location=database_location, airbyte_ahead_seconds=ahead_seconds) as world:
        key = await world.client_with_key()
        ours, theirs = await world.mapped_connection()
        created = world.clock.now().timestamp() + ahead_seconds - age_seconds
        world.sandbox.world.add_job(theirs, created_at=created, duration_seconds=10)
        world.sandbox.faults.answer_with(Answer.html(502), when=lambda method, _: method == "POST")

        answer = await world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key))

    assert answer.status_code == 504


async def test_an_error_of_ours_leaves_an_outcome_too(tmp_path: Path, database_location: DatabaseLocation) -> None:
    async with running_gateway(tmp_path, location=database_location) as world:
        client_key = await world.client_with_key()
        ours, _ = await world.mapped_connection()
        client = await world.services.store.clients.by_slug("acme")

        def break_down(method: str, path: str) -> bool:
            if method == "POST" and path.endswith("/jobs"):
                raise ZeroDivisionError
            return False

        world.sandbox.faults.answer_with(Answer.html(502), when=break_down)
        with pytest.raises(ZeroDivisionError):
            await world.services.syncs.trigger.start_or_join(
                client, ours, caller=client_key.record.id, request_id="request-1"
            )

        outcome = await world.services.store.triggers.outcome(client.id, 1)

    assert outcome == Outcome("unknown", None)
