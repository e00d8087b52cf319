"""What reading changes makes of more than one page."""

import json
from pathlib import Path

from gateway.airbyte import MAX_JOBS
from tests.support import quiet, running_gateway
from tests.webhooks.support import ALLOWED

SPREAD = 4


async def test_events_of_many_pages_are_written_in_the_order_in_which_they_happened(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, **ALLOWED) as world:
        await world.client_with_key()
        ours, theirs = await world.mapped_connection()
        _, another = await world.mapped_connection()
        await world.services.webhooks.endpoints.add("acme", url="http://127.0.0.1:1/", connections=[ours])
        began, told = world.clock.now().timestamp(), []
        for number in range(MAX_JOBS + SPREAD):
            is_told = number % (MAX_JOBS // SPREAD) == 0
            chosen = theirs if is_told else another
            job = world.sandbox.world.add_job(chosen, created_at=began + 20 * number, duration_seconds=5)
            if is_told:
                told.append(job.job_id)
        world.clock.advance(3600)

        await world.services.syncs.last_sync.refresh_if_older(0)
        await quiet()

        rows = await world.services.store.database.fetch_all("SELECT type, data FROM events ORDER BY number")
        events = [(row["type"], json.loads(row["data"])["jobId"]) for row in rows]
    assert events == [(event, job_id) for job_id in told for event in ("sync.started", "sync.succeeded")]
