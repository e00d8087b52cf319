"""Check which release of Airbyte answers, by the one route of a self-managed server that tells anybody."""

import re
from collections.abc import AsyncGenerator

import msgspec

from gateway.airbyte.no_answer import NoAnswer
from gateway.airbyte.route import Route
from gateway.doctor.base_url import CLOUD_HOSTS
from gateway.doctor.finding import Finding, passed, warning
from gateway.doctor.probe import Address, get
from gateway.doctor.timings import DoctorTimings
from gateway.services import Services
from gateway.settings.addresses import is_this_machine
from gateway.settings.tables import PUBLIC_API_PATH

CHECK = "airbyte release"
CONFIGURATION_ROUTE = "/api/v1/instance_configuration"
RELEASE = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})[0-9A-Za-z.+-]{0,30}")
FIRST_SAFE = (2, 4)
"""The first release in which CVE-2026-80049 is mended."""


class InstanceConfiguration(msgspec.Struct, frozen=True):
    """The one field of many that is read."""

    version: str


async def check_release(timings: DoctorTimings, services: Services) -> AsyncGenerator[Finding, None]:
    """Tell Airbyte's release, and warn of one with a known hole that others can reach. Find nothing on no answer."""
    base_url = services.settings.airbyte.base_url.rstrip("/")
    host = Address.of(base_url).host
    if not services.airbyte.is_remote or host in CLOUD_HOSTS:
        return
    release = await _release(
        root_of(base_url) + CONFIGURATION_ROUTE, services.airbyte.route, seconds=timings.release_probe
    )
    if release is None:
        return
    if tuple(map(int, release.groups())) < FIRST_SAFE and not is_this_machine(host):
        yield warning(
            CHECK,
            f"{release[0]} has CVE-2026-80049, and {host} can be reached from other machines",
            "Upgrade Airbyte to 2.4 or later, or let only this machine reach it.",
        )
    else:
        yield passed(CHECK, release[0])


def root_of(base_url: str) -> str:
    """Return where Airbyte's own address ends and those of its APIs begin: behind a path prefix, if it has one."""
    if base_url.endswith(PUBLIC_API_PATH):
        return base_url.removesuffix(PUBLIC_API_PATH)
    return "/".join(base_url.split("/")[:3])


async def _release(url: str, route: Route, *, seconds: float) -> re.Match[str] | None:
    try:
        reply = await get(url, seconds=seconds, route=route)
        return RELEASE.fullmatch(msgspec.json.decode(reply.body, type=InstanceConfiguration).version)
    # Text that is not UTF-8 and lists in lists in lists raise outside msgspec's own error tree.
    except (NoAnswer, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
