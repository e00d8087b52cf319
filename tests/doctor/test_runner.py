"""What the doctor finds and what it advises."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Literal

import pytest

from gateway.doctor import Finding, run_checks
from gateway.doctor.finding import passed
from gateway.doctor.runner import bounded
from gateway.errors import GatewayError, StorageUnavailable
from gateway.sandbox import Answer
from gateway.settings.secret import Secret
from tests.support import World, running_gateway


async def findings(world: World) -> dict[str, Finding]:
    return {finding.check: finding async for finding in run_checks(world.services, is_serving=True)}


async def test_a_sound_installation_has_nothing_wrong(world: World) -> None:
    await world.client_with_key()
    await world.mapped_connection()

    found = await findings(world)

    assert all(finding.level == "ok" and not finding.advice for finding in found.values())
    assert list(found) == [
        *("settings", "files", "database", "disk", "last syncs", "proxies", "forwarding"),
        *("airbyte", "clock", "airbyte version", "reasons of failures", "connections"),
    ]


async def test_missing_credentials_are_named(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, airbyte={"client_id": ""}) as world:
        found = await findings(world)

    assert found["settings"] == Finding(
        "settings", "fail", text="airbyte.client_id not set", advice="Fill in [airbyte]."
    )


async def test_a_missing_secret_is_named_with_the_variables_it_may_come_from(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, airbyte={"client_secret": Secret("")}) as world:
        found = await findings(world)

    assert found["settings"] == Finding(
        "settings",
        "fail",
        text="airbyte.client_secret not set",
        advice="Put the secret into GATEWAY_AIRBYTE_CLIENT_SECRET, "
        "or into a file that GATEWAY_AIRBYTE_CLIENT_SECRET_FILE names.",
    )


async def test_a_proxy_without_a_public_url_is_warned_of(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, server={"trusted_proxies": ("127.0.0.1",), "public_url": ""}) as world:
        found = await findings(world)

    assert found["public url"].level == "warn"
    assert found["public url"].advice == "Write what callers type into server.public_url."


@pytest.mark.parametrize("form", [400, 401, 500])
async def test_wrong_credentials_are_recognised_in_each_form_airbyte_gives_them(
    tmp_path: Path, form: Literal[400, 401, 500]
) -> None:
    async with running_gateway(tmp_path, airbyte={"client_id": "somebody-else"}) as world:
        world.sandbox.faults.wrong_credentials = form
        finding = (await findings(world))["airbyte"]

    assert finding.level == "fail"
    assert finding.text.endswith(f"no token: {form} from Airbyte; check airbyte.client_id and airbyte.client_secret")
    assert finding.advice == "Airbyte shows both under User > Applications."


async def test_a_server_older_than_1_0_is_named(world: World) -> None:
    world.sandbox.world.add_workspace("Work")
    world.sandbox.faults.legacy = True

    finding = (await findings(world))["airbyte version"]

    assert finding.level == "fail"
    assert finding.advice == "This Airbyte seems older than 1.0, which is not supported: upgrade it."


async def test_a_busy_airbyte_is_to_be_asked_again(world: World) -> None:
    world.sandbox.faults.answer_with(Answer(429), when=lambda _, path: path.endswith("/workspaces"))

    assert (await findings(world))["airbyte"].advice == "Wait a little and try again."


@pytest.mark.parametrize(
    ("networks", "level"),
    [((), "ok"), (("10.0.0.1",), "ok"), (("0.0.0.0/0",), "fail"), (("10.0.0.1", "::/0"), "fail")],
)
async def test_trusting_every_address_is_wrong(tmp_path: Path, networks: tuple[str, ...], level: str) -> None:
    async with running_gateway(tmp_path, server={"trusted_proxies": networks}) as world:
        assert (await findings(world))["proxies"].level == level


async def test_a_mapped_connection_that_vanished_is_named_with_the_command_that_mends_it(world: World) -> None:
    await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.forget_connection(theirs)

    finding = (await findings(world))[f"connection {ours}"]

    assert finding.level == "fail"
    assert finding.advice == f"gateway connection map {ours} --airbyte-id UUID, or gateway connection remove"


@pytest.mark.parametrize(("status", "level"), [("inactive", "ok"), ("locked", "fail"), ("deprecated", "fail")])
async def test_statuses_are_refreshed_and_told(
    world: World, status: Literal["inactive", "locked", "deprecated"], level: str
) -> None:
    await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.set_connection_status(theirs, status)

    finding = (await findings(world))[f"connection {ours}"]

    assert (finding.level, finding.text) == (level, f"Shop: {status} in Airbyte")
    assert (await world.services.store.connections.any_by_id(ours)).status == status


ADVICE = "Synchronise the clocks of both machines (NTP)."


@pytest.mark.parametrize(
    ("date", "told"),
    [
        ("Wed, 01 Apr 2026 03:02:00 GMT", Finding("clock", "fail", "120 s behind Airbyte's", ADVICE)),
        ("Fri, 03 Apr 2026 03:00:00 GMT", Finding("clock", "fail", "172800 s behind Airbyte's", ADVICE)),
        ("Wed, 01 Apr 2020 03:00:00 GMT", Finding("clock", "fail", "189302400 s ahead of Airbyte's", ADVICE)),
        ("soon", Finding("clock", "ok", "not compared: Airbyte's answers do not tell the time")),
    ],
    ids=["minutes", "days", "years", "no time"],
)
async def test_a_clock_that_differs_from_airbyte_s_is_told(world: World, date: str, told: Finding) -> None:
    world.sandbox.faults.answer_with(
        Answer(
            200,
            (("content-type", "application/json"), ("date", date)),
            b'{"data":[],"next":"","previous":""}',
        ),
        when=lambda _, path: path.endswith("/workspaces"),
    )

    assert (await findings(world))["clock"] == told


GOOD = passed("disk", "well")


async def trouble(error: Exception | None) -> AsyncGenerator[Finding, None]:
    """Something good first, then an error, or silence for ever."""
    yield GOOD
    if error is not None:
        raise error
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("error", "level", "text"),
    [
        (None, "warn", "took too long: what is not listed was not checked"),
        (StorageUnavailable(), "fail", "could not be checked: Storage is unavailable"),
        (GatewayError("a sentence"), "fail", "could not be checked: a sentence"),
        (ZeroDivisionError("not for people"), "fail", "could not be checked: ZeroDivisionError"),
    ],
)
async def test_what_goes_wrong_with_a_check_is_a_finding_and_what_it_found_stays(
    error: Exception | None, level: str, text: str
) -> None:
    end = asyncio.get_running_loop().time() + (0.05 if error is None else 3600)

    first, second = [finding async for finding in bounded("disk", trouble(error), end)]

    assert first == GOOD
    assert (second.check, second.level, second.text) == ("disk", level, text)


@pytest.mark.parametrize(("name", "level"), [("connections", "warn"), ("airbyte", "fail")])
async def test_a_step_on_the_way_to_airbyte_that_hangs_is_a_failure(name: str, level: str) -> None:
    _, last = [finding async for finding in bounded(name, trouble(None), asyncio.get_running_loop().time() + 0.05)]

    assert (last.check, last.level) == (name, level)
