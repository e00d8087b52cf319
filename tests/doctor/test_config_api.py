"""Whether the reasons of failures can be asked for."""

from pathlib import Path

import pytest

from gateway.doctor import Finding, run_checks
from gateway.doctor.config_api import REASONS
from gateway.sandbox.faults import ConfigApi
from tests.support import World, running_gateway


async def finding(world: World) -> Finding:
    (found,) = [each async for each in run_checks(world.services, is_serving=True) if each.check == REASONS]
    return found


async def test_a_config_api_that_answers_is_good(world: World) -> None:
    await world.client_with_key()
    await world.mapped_connection()

    assert await finding(world) == Finding(REASONS, "ok", "the Config API tells why jobs failed")


async def test_without_a_mapped_connection_there_is_nothing_to_ask_about(world: World) -> None:
    assert (await finding(world)).text == "not checked: no connection is mapped"


async def test_one_that_is_turned_off_is_said_to_be(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, airbyte={"config_url": "off"}) as world:
        found = await finding(world)

    assert (found.level, found.text.partition(":")[0]) == ("ok", "airbyte.config_url names no Config API")


@pytest.mark.parametrize(
    ("state", "reason", "advice"),
    [
        ("absent", "(404 from Airbyte)", "Correct airbyte.config_url"),
        ("forbidden", "(403 from Airbyte)", "Let the credential read jobs"),
        ("other shape", "(ValidationError", "Correct airbyte.config_url"),
    ],
)
async def test_one_that_cannot_be_asked_is_a_warning_that_says_what_is_lost(
    world: World, state: ConfigApi, reason: str, advice: str
) -> None:
    await world.client_with_key()
    await world.mapped_connection()
    world.sandbox.faults.config_api = state

    found = await finding(world)

    assert found.level == "warn"
    assert reason in found.text
    assert "callers get no reasons of failures" in found.text
    assert found.advice.startswith(advice)
