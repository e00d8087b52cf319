"""Whose share it takes to learn why jobs failed."""

import asyncio

from gateway.models import Failure
from gateway.sandbox.failures import CREDENTIALS_REFUSED
from tests.support import BOUND_SECONDS, World, quiet

FAILED_AT_ONCE = 6
OF_CLIENT = 2
"""Of four permits."""


async def until_in_flight(world: World, number: int) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while world.services.airbyte.in_flight != number:
            await asyncio.sleep(0)


async def test_however_many_syncs_of_a_client_fail_at_once_the_gateways_own_calls_go_on(world: World) -> None:
    """A webhook is told why each failed: were those reads the gateway's own, no figure would be current meanwhile."""
    await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    add_job, details = world.sandbox.world.add_job, world.services.syncs.job_details
    jobs = [add_job(theirs, status="failed", failures=[CREDENTIALS_REFUSED]).job_id for _ in range(FAILED_AT_ONCE)]
    await quiet()
    release = world.sandbox.faults.get_hang = asyncio.Event()
    reasons = [asyncio.create_task(details.failure(1, ours, theirs, job_id)) for job_id in jobs]
    await until_in_flight(world, OF_CLIENT)

    own = asyncio.create_task(world.services.airbyte.connection(theirs))
    await until_in_flight(world, OF_CLIENT + 1)

    release.set()
    assert (await own).connection_id == theirs
    assert all(isinstance(each, Failure) for each in await asyncio.gather(*reasons))
