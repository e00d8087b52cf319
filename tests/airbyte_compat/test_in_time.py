"""Answers before the programs give up, whatever Airbyte does: after 4 s at the latest, in Airbyte's shape."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import UpstreamTimeout
from gateway.syncs.timings import LastSyncTimings, PollTimings, SyncTimings
from gateway.web.compatible_paths import PUBLIC_API
from tests.airbyte_compat.support import Tenant, assert_problem, sent, tenant
from tests.support import BOUND_SECONDS, quiet, running_gateway

HASTY = SyncTimings(
    poll=PollTimings(answer=0.05, wait=10 * BOUND_SECONDS), last_sync=LastSyncTimings(wait=10 * BOUND_SECONDS)
)
HTTPX_GIVES_UP_AFTER = 5.0
LISTS = ["/jobs", "/jobs?connectionId={id}", "/connections", "/connections/{id}", "/sources", "/destinations"]


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Tenant]:
    """A tenant whose callers give up soon, of an Airbyte that keeps all of them waiting."""
    async with running_gateway(tmp_path, sync_timings=HASTY) as world:
        held = await tenant(world)
        await quiet()
        world.sandbox.faults.get_hang = asyncio.Event()
        world.sandbox.requests.clear()
        yield held
        world.sandbox.faults.get_hang.set()


def test_answers_come_before_httpx_gives_up() -> None:
    assert PollTimings().answer < HTTPX_GIVES_UP_AFTER - 1


@pytest.mark.parametrize("path", LISTS)
async def test_no_list_takes_longer(hasty: Tenant, path: str) -> None:
    assert_problem(await hasty.get(path.format(id=hasty.airbyte_id)), 504, UpstreamTimeout.message)


async def test_no_call_of_the_config_api_takes_longer(hasty: Tenant) -> None:
    (workspace,) = (await hasty.get("/workspaces")).json()["data"]
    hasty.world.clock.advance(BOUND_SECONDS)
    calls: dict[str, dict[str, object]] = {
        "/connections/get": {"connectionId": hasty.airbyte_id},
        "/connections/list": {"workspaceId": workspace["workspaceId"]},
        "/connections/status": {"connectionIds": [hasty.airbyte_id]},
        "/jobs/list": {"configId": hasty.airbyte_id, "configTypes": ["sync"]},
    }
    for path, content in calls.items():
        assert_problem(await hasty.config(path, **content), 504, UpstreamTimeout.message)


async def test_what_airbyte_was_asked_for_goes_on_for_the_next_caller(hasty: Tenant) -> None:
    hang = hasty.world.sandbox.faults.get_hang
    assert hang is not None
    for _ in range(3):
        assert (await hasty.get(f"/connections/{hasty.airbyte_id}")).status_code == 504
    hang.set()
    async with asyncio.timeout(BOUND_SECONDS):
        while (answer := await hasty.get(f"/connections/{hasty.airbyte_id}")).status_code == 504:
            pass

    assert answer.status_code == 200
    assert sent(hasty.world, "GET").count(f"{PUBLIC_API}/connections/{hasty.airbyte_id}") == 1


async def test_attempts_that_take_long_are_left_out_of_a_list(tmp_path: Path) -> None:
    timings = SyncTimings(poll=PollTimings(answer=10 * BOUND_SECONDS, wait=0.05))
    async with running_gateway(tmp_path, sync_timings=timings) as world:
        acme = await tenant(world)
        job = world.sandbox.world.add_job(acme.airbyte_id)
        world.sandbox.faults.config_api_hang = asyncio.Event()

        answer = await acme.config("/jobs/list", configId=acme.airbyte_id, configTypes=["sync"])
        world.sandbox.faults.config_api_hang.set()

    assert [(row["job"]["id"], row["attempts"]) for row in answer.json()["jobs"]] == [(job.job_id, [])]
