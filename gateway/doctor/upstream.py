"""Checks of the way to Airbyte, each step resting on the one before: name, certificate, credentials, version, clock."""

import asyncio
import ipaddress
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

from gateway.doctor.advice import advice_for
from gateway.doctor.base_url import diagnose
from gateway.doctor.finding import Finding, failure, passed, warning
from gateway.doctor.probe import Address, NoAnswer, certificate_end, resolve
from gateway.errors import UpstreamError
from gateway.services import Services

CLOCK_SKEW_SECONDS = 30
CERTIFICATE_DAYS = 14
MOST_ADDRESSES = 3
RESOLVE_SECONDS = 3.0
HANDSHAKE_SECONDS = 3.0
ANSWER_SECONDS = 6.0
SLOW = "See how Airbyte's server is doing."
SETTING = "airbyte.base_url"


async def check_name(services: Services) -> AsyncGenerator[Finding, None]:
    host = urlsplit(services.settings.airbyte.base_url).hostname or ""
    if not services.airbyte.is_remote or _is_address(host):
        return
    address = Address.of(services.settings.airbyte.base_url)
    try:
        found = await resolve(host, seconds=RESOLVE_SECONDS)
    except NoAnswer as trouble:
        yield failure("dns", str(trouble), advice_for(trouble, address, SETTING))
        return
    more = f" and {len(found) - MOST_ADDRESSES} more" if len(found) > MOST_ADDRESSES else ""
    yield passed("dns", f"{host} is {', '.join(found[:MOST_ADDRESSES])}{more}")


async def check_certificate(services: Services) -> AsyncGenerator[Finding, None]:
    address = Address.of(services.settings.airbyte.base_url)
    if not (services.airbyte.is_remote and address.is_tls):
        return
    try:
        end = await certificate_end(address, seconds=HANDSHAKE_SECONDS)
    except NoAnswer as trouble:
        yield failure("tls", str(trouble), advice_for(trouble, address, SETTING))
        return
    days = (end - services.clock.now()).days
    text = f"the certificate of {address.host} verifies and ends on {end:%Y-%m-%d}, in {days} days"
    if days < CERTIFICATE_DAYS:
        yield warning("tls", text, "Renew it.")
    else:
        yield passed("tls", text)


async def check_airbyte(services: Services) -> AsyncGenerator[Finding, None]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            workspaces = await services.airbyte.workspaces(offset=0)
    except TimeoutError:
        yield failure("airbyte", f"no answer within {ANSWER_SECONDS:g} s", SLOW)
        return
    except UpstreamError as error:
        yield await diagnose(error, services)
        return
    yield passed("airbyte", f"answers; the credential sees {len(workspaces)} workspaces")
    yield _clock(services)
    if workspaces:
        yield await _job_order(services, workspaces[0].workspace_id)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _clock(services: Services) -> Finding:
    skew = round((services.clock.now() - services.airbyte.now()).total_seconds())
    if abs(skew) > CLOCK_SKEW_SECONDS:
        return failure("clock", f"{abs(skew)} s {'ahead of' if skew > 0 else 'behind'} Airbyte's", "Run NTP.")
    return passed("clock", "agrees with Airbyte's")


async def _job_order(services: Services, workspace_id: str) -> Finding:
    """Servers before 1.0 fail on any `orderBy`, and nothing tells them apart sooner."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await services.airbyte.jobs_updated_since([workspace_id], services.airbyte.now(), offset=0)
    except TimeoutError:
        return failure("airbyte version", f"no list of jobs within {ANSWER_SECONDS:g} s", SLOW)
    except UpstreamError as error:
        return failure(
            "airbyte version",
            f"the job list cannot be ordered ({error.detail})",
            "This Airbyte seems older than 1.0, which is not supported: upgrade it.",
        )
    return passed("airbyte version", "lists jobs newest first, as 1.0 and later do")
