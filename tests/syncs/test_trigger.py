"""What a caller of a trigger waits for, and what goes on without him."""

import asyncio
from pathlib import Path

from gateway.store import DatabaseLocation
from gateway.syncs.timings import SyncTimings, TriggerTimings
from tests.support import BOUND_SECONDS, bearer, running_gateway

SOON = SyncTimings(trigger=TriggerTimings(answer=0.2))


async def test_a_caller_has_his_answer_in_time_and_the_trigger_goes_on(
    tmp_path: Path, database_location: DatabaseLocation
) -> None:
    async with running_gateway(tmp_path, place=database_location, sync_timings=SOON) as world:
        key = await world.client_with_key()
        ours, theirs = await world.mapped_connection()
        triggers = world.services.store.triggers
        world.sandbox.faults.post_hang = release = asyncio.Event()

        asking = asyncio.create_task(world.http.post(f"/api/v1/connections/{ours}/sync", headers=bearer(key)))
        # Not `asyncio.timeout`: who is cancelled is answered, too.
        await asyncio.wait({asking}, timeout=BOUND_SECONDS)
        has_answer, was_open = asking.done(), bool(await triggers.unresolved(1))
        release.set()
        answer = await asking
        async with asyncio.timeout(BOUND_SECONDS):
            while await triggers.unresolved(1):
                await asyncio.sleep(0)

        assert (has_answer, was_open) == (True, True)
        assert answer.status_code == 504
        assert answer.json() == {"error": "Outcome unknown: check the job list before retrying"}
        assert len(world.jobs_of(theirs)) == 1
