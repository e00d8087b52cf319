"""Whether the reasons of failures can be asked for."""

from pathlib import Path

import pytest

from gateway.airbyte.route import DIRECT
from gateway.doctor import Finding, run_checks
from gateway.doctor.config_api import REASONS, diagnose_config_url
from gateway.sandbox.faults import ConfigApi
from tests.doctor.canned import canned, page
from tests.support import BOUND_SECONDS, World, running_gateway


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


HEALTHY = page(200, '{"available":true}', content_type="application/json")
PUBLIC = page(200, "Successful operation", content_type="text/plain")


@pytest.mark.parametrize(
    ("answers", "told", "advice"),
    [
        ({"/wrong/health": page(200)}, "{url} is not the Config API: it shows a web page (200)", "ends in /api/v1"),
        ({"/wrong/health": PUBLIC}, "{url} is not the Config API: it is Airbyte's public API", "Correct"),
        ({"/api/v1/health": HEALTHY}, "{url} is not the Config API: it shows a web page (404)", "is at http"),
        ({"/wrong/health": HEALTHY}, "404 from Airbyte", "airbyte.config_url is right"),
    ],
)
async def test_a_wrong_address_is_told_with_what_answers_there_and_the_setting(
    answers: dict[str, bytes], told: str, advice: str
) -> None:
    async with canned(answers) as address:
        url = f"http://{address}/wrong"
        text, what_to_do = await diagnose_config_url(url, "404 from Airbyte", route=DIRECT, seconds=BOUND_SECONDS)

    assert text == told.format(url=url)
    assert advice in what_to_do
    assert "airbyte.config_url" in what_to_do


async def test_an_address_where_nothing_listens_is_told_with_the_setting() -> None:
    async with canned({}) as address:
        pass

    text, advice = await diagnose_config_url(
        f"http://{address}/api/v1", "unreachable", route=DIRECT, seconds=BOUND_SECONDS
    )

    assert text == f"the Config API cannot be asked: nothing listens at {address}"
    assert advice == "Start what should answer there, or correct host and port in airbyte.config_url."
