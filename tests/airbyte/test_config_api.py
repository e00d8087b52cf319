"""The border to the Config API: whatever goes wrong there costs the reason of a failure, and nothing else."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.airbyte import AirbyteTimings, Deadlines
from gateway.airbyte.connect import CONFIG_CALLS_AT_ONCE
from gateway.airbyte.resilience import SEVERAL
from gateway.models import EndedJob
from gateway.sandbox import Answer
from tests.support import BOUND_SECONDS, NEVER_MAPPED, World, running_gateway, settings_in

IMPATIENT = Deadlines(config=BOUND_SECONDS, config_call=1.0)
"""Far enough apart that on a busy machine it is still the call that ends first, and long enough for one that is
answered.
"""
ENOUGH = 6
"""Calls: one more than faults open a breaker."""


async def job_of(world: World, slug: str = "acme") -> tuple[int, str, EndedJob]:
    """A client, Airbyte's id of its connection, and the failed job there."""
    client = (await world.client_with_key(slug)).record.client_id
    _, airbyte_id = await world.mapped_connection(slug)
    made = world.sandbox.world.add_job(airbyte_id, status="failed")
    job = await world.services.airbyte.jobs.of_connection(airbyte_id, made.job_id, caller=client)
    assert job is not None
    return client, airbyte_id, job


def config_calls(world: World) -> int:
    return sum(request.path.startswith("/api/v1/jobs") for request in world.sandbox.requests)


def counted(world: World, outcome: str) -> int:
    line = f'gateway_config_api_calls_total{{outcome="{outcome}"}} '
    return int(float(world.services.metrics.render().decode().split(line)[1].split("\n")[0]))


def answer_with(world: World, status: int, body: object) -> None:
    world.sandbox.faults.answer_with(
        Answer(status, body=json.dumps(body).encode()), when=lambda _, path: path == "/api/v1/jobs/list"
    )


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (403, {}, "refused"),
        (404, {}, "refused"),
        (429, {}, "busy"),
        (401, {}, "unreachable"),
        (200, {"jobs": "none"}, "invalid"),
        (200, [], "invalid"),
        (200, {"jobs": [{"job": 1}]}, "invalid"),
        (200, {"jobs": [{"job": {"id": 1, "configId": NEVER_MAPPED}, "attempts": []}]}, "invalid"),
        (302, {}, "invalid"),
    ],
)
async def test_what_goes_wrong_is_nothing_told_and_a_figure(
    world: World, status: int, body: object, outcome: str
) -> None:
    client, airbyte_id, job = await job_of(world)
    answer_with(world, status, body)

    assert await world.services.airbyte.config.job(airbyte_id, job, caller=client) is None
    assert counted(world, outcome) == 1


async def test_a_row_of_another_connection_is_dropped_and_counted(world: World) -> None:
    client, airbyte_id, job = await job_of(world)
    rows = [{"job": {"id": job.job_id, "configId": each}} for each in (NEVER_MAPPED, airbyte_id)]
    answer_with(world, 200, {"jobs": rows})

    told = await world.services.airbyte.config.jobs(airbyte_id, ["sync"], caller=client, limit=2)

    assert list(told) == [job.job_id]
    assert b"gateway_upstream_identity_mismatch_total 1.0" in world.services.metrics.render()


async def test_an_odd_row_costs_no_other(world: World) -> None:
    client, airbyte_id, job = await job_of(world)
    good = {"job": {"id": job.job_id, "configId": airbyte_id}, "attempts": [{"id": 0, "status": "failed"}]}
    odd = {"job": {"id": 1, "configId": airbyte_id}, "attempts": [{"id": 0, "status": "<script>"}]}
    answer_with(world, 200, {"jobs": [odd, good]})

    told = await world.services.airbyte.config.jobs(airbyte_id, ["sync"], caller=client, limit=2)

    assert list(told) == [job.job_id]


async def test_one_that_hangs_is_waited_for_once_and_then_left_alone_for_a_while(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, deadlines=IMPATIENT) as world:
        client, airbyte_id, job = await job_of(world)
        world.sandbox.faults.config_api_hang = asyncio.Event()
        world.sandbox.requests.clear()

        for _ in range(ENOUGH):
            assert await world.services.airbyte.config.job(airbyte_id, job, caller=client) is None
        assert config_calls(world) == 1
        assert (counted(world, "timeout"), counted(world, "busy")) == (1, ENOUGH - 1)

        world.sandbox.faults.config_api_hang = None
        world.clock.advance(AirbyteTimings().breaker.first)
        assert await world.services.airbyte.config.job(airbyte_id, job, caller=client) is not None


async def test_one_that_hangs_for_several_clients_costs_the_others_no_wait(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, deadlines=IMPATIENT) as world:
        asked = [await job_of(world, f"client-{number}") for number in range(2 * SEVERAL)]
        world.sandbox.faults.config_api_hang = asyncio.Event()
        world.sandbox.requests.clear()

        for client, airbyte_id, job in asked:
            assert await world.services.airbyte.config.job(airbyte_id, job, caller=client) is None

        assert config_calls(world) == SEVERAL


async def test_its_faults_stop_no_call_to_the_public_api_and_no_other_client_s(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, deadlines=IMPATIENT) as world:
        client, airbyte_id, job = await job_of(world)
        other, elsewhere, failed = await job_of(world, "other")
        world.sandbox.faults.config_api_hang = asyncio.Event()
        for _ in range(ENOUGH):
            await world.services.airbyte.config.job(airbyte_id, job, caller=client)
        world.sandbox.faults.config_api_hang = None

        assert await world.services.airbyte.jobs.of_connection(airbyte_id, job.job_id, caller=client) == job
        assert await world.services.airbyte.config.job(elsewhere, failed, caller=other) is not None
        figures = world.services.airbyte.figures()
        assert (figures.is_open, figures.open_clients, figures.stopped) == (False, 0, 0)


async def test_its_401_has_no_token_renewed(world: World) -> None:
    client, airbyte_id, job = await job_of(world)
    world.sandbox.requests.clear()
    answer_with(world, 401, {})

    assert await world.services.airbyte.config.job(airbyte_id, job, caller=client) is None
    await world.services.airbyte.jobs.of_connection(airbyte_id, job.job_id, caller=client)

    assert not [request for request in world.sandbox.requests if request.path.endswith("/token")]
    assert world.services.airbyte.state()["breaker"] == "closed"
    assert "credential" not in world.services.airbyte.state()


async def test_calls_that_hang_take_no_permit_of_the_public_api_s(world: World) -> None:
    asking = []
    world.sandbox.faults.config_api_hang = asyncio.Event()
    for slug in ("acme", "other", "third"):
        client, airbyte_id, job = await job_of(world, slug)
        asking += [asyncio.create_task(world.services.airbyte.config.job(airbyte_id, job, caller=client))]
    await world.until_airbyte_is_asked("POST", "/jobs/list")

    assert world.services.airbyte.in_flight == 0

    world.sandbox.faults.config_api_hang.set()
    assert None not in await asyncio.gather(*asking)


async def test_the_log_says_so_once_an_hour(world: World) -> None:
    client, airbyte_id, job = await job_of(world)
    world.sandbox.faults.config_api = "forbidden"
    with capture_logs() as lines:
        for _ in range(3):
            await world.services.airbyte.config.job(airbyte_id, job, caller=client)
        world.clock.advance(AirbyteTimings().config_log)
        await world.services.airbyte.config.job(airbyte_id, job, caller=client)

    told = [line for line in lines if line["event"] == "config_api_unavailable"]
    assert [line["reason"] for line in told] == ["refused", "refused"]


@pytest.mark.parametrize(
    ("base_url", "config_url", "expected"),
    [
        ("http://localhost:8000/api/public/v1", "", "http://localhost:8000/api/v1"),
        ("https://host/airbyte/api/public/v1/", "", "https://host/airbyte/api/v1"),
        ("https://api.airbyte.com/v1", "", None),
        ("https://api.airbyte.com/v1", "https://other/api/v1", "https://other/api/v1"),
        ("http://localhost:8000/api/public/v1", "off", None),
    ],
)
def test_the_address_is_derived_from_the_public_one_s_unless_it_is_set(
    tmp_path: Path, base_url: str, config_url: str, expected: str | None
) -> None:
    settings = msgspec.structs.replace(settings_in(tmp_path).airbyte, base_url=base_url, config_url=config_url)

    assert settings.config_api_url == expected


async def test_the_wait_for_a_permit_is_part_of_its_short_time(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, deadlines=Deadlines(config=0.05, config_call=BOUND_SECONDS)) as world:
        client, airbyte_id, job = await job_of(world)
        world.sandbox.faults.config_api_hang = asyncio.Event()
        own_share = CONFIG_CALLS_AT_ONCE // 2

        told = await asyncio.gather(
            *(world.services.airbyte.config.job(airbyte_id, job, caller=client) for _ in range(own_share + 1))
        )

        assert told == [None] * (own_share + 1)
        assert (counted(world, "timeout"), counted(world, "busy")) == (own_share + 1, 0)
