"""Calls of resources, against the sandbox."""

from pathlib import Path

from tests.support import World, running_gateway


async def test_a_job_is_read_and_cancelled_by_its_id(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as world:
        client, airbyte_id, job_id = await running_job(world)
        airbyte = world.services.airbyte

        read = await airbyte.jobs.of_connection(airbyte_id, job_id, caller=client)
        cancelled = await airbyte.jobs.cancel(airbyte_id, job_id, caller=client)

        assert read is not None
        assert cancelled is not None
        assert (read.job_id, read.status) == (job_id, "running")
        assert (cancelled.job_id, cancelled.status) == (job_id, "cancelled")


async def test_an_unknown_job_and_a_job_of_another_connection_are_the_same(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as world:
        client, _, job_id = await running_job(world)
        _, another = await world.mapped_connection()
        airbyte = world.services.airbyte

        assert await airbyte.jobs.of_connection(another, job_id, caller=client) is None
        assert await airbyte.jobs.of_connection(another, job_id + 1, caller=client) is None


async def running_job(world: World) -> tuple[int, str, int]:
    """A client, Airbyte's id of one of its connections, and the job that runs there."""
    client = (await world.client_with_key()).record.client_id
    _, airbyte_id = await world.mapped_connection()
    return client, airbyte_id, world.sandbox.world.add_job(airbyte_id, status="running").job_id
