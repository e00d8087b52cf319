"""Check the way to Airbyte, each step resting on the one before: name, certificate, credentials, version, clock."""

import asyncio
import ipaddress
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

from gateway.airbyte.no_answer import NoAnswer
from gateway.doctor.advice import advice_on_airbyte
from gateway.doctor.base_url import diagnose
from gateway.doctor.finding import Finding, failure, passed, warning
from gateway.doctor.probe import Address, certificate_end, resolve
from gateway.doctor.timings import DoctorTimings
from gateway.errors import UpstreamError
from gateway.services import Services

CLOCK_SKEW_SECONDS = 30
CERTIFICATE_DAYS = 14
ADDRESSES_SHOWN = 3
SLOW = "Find out what keeps Airbyte's server busy."


async def check_name(timings: DoctorTimings, services: Services) -> AsyncGenerator[Finding, None]:
    """Find the addresses of Airbyte's host, if it has a name; of the proxy's, if one leads there."""
    proxy = services.airbyte.route.proxy
    host = proxy.host if proxy else urlsplit(services.settings.airbyte.base_url).hostname or ""
    if not services.airbyte.is_remote or _is_address(host):
        return
    address = Address.of(services.settings.airbyte.base_url)
    try:
        found = await resolve(host, seconds=timings.resolve)
    except NoAnswer as nobody:
        yield failure("dns", str(nobody), advice_on_airbyte(nobody, address, services.airbyte.route))
        return
    more = f" and {len(found) - ADDRESSES_SHOWN} more" if len(found) > ADDRESSES_SHOWN else ""
    yield passed("dns", f"{host} is {', '.join(found[:ADDRESSES_SHOWN])}{more}")


async def check_certificate(timings: DoctorTimings, services: Services) -> AsyncGenerator[Finding, None]:
    """Verify Airbyte's certificate, and warn some time before it ends."""
    address = Address.of(services.settings.airbyte.base_url)
    if not (services.airbyte.is_remote and address.is_tls):
        return
    try:
        end = await certificate_end(address, seconds=timings.handshake, route=services.airbyte.route)
    except NoAnswer as nobody:
        yield failure("tls", str(nobody), advice_on_airbyte(nobody, address, services.airbyte.route))
        return
    days = (end.date() - services.clock.now().date()).days
    text = f"the certificate of {address.host} verifies and ends on {end:%Y-%m-%d}, in {days} days"
    if days < CERTIFICATE_DAYS:
        yield warning("tls", text, "Renew it.")
    else:
        yield passed("tls", text)


async def check_airbyte(timings: DoctorTimings, services: Services) -> AsyncGenerator[Finding, None]:
    """Call Airbyte with our credentials, then compare its clock and its version."""
    try:
        async with asyncio.timeout(timings.answer):
            workspaces = (await services.airbyte.lists.workspaces(offset=0)).rows
    except TimeoutError:
        yield failure("airbyte", f"no answer within {timings.answer:g} s", SLOW)
        return
    except UpstreamError as error:
        yield await diagnose(error, services, timings)
        return
    yield passed("airbyte", f"answers; the credential sees {len(workspaces)} workspaces")
    yield _clock(services)
    if workspaces:
        yield await _job_order(timings, services, workspaces[0].workspace_id)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _clock(services: Services) -> Finding:
    theirs = services.airbyte.told_time()
    if theirs is None:
        return passed("clock", "not compared: Airbyte's answers do not tell the time")
    skew = round((services.clock.now() - theirs).total_seconds())
    if abs(skew) > CLOCK_SKEW_SECONDS:
        return failure(
            "clock",
            f"{abs(skew)} s {'ahead of' if skew > 0 else 'behind'} Airbyte's",
            "Synchronise the clocks of both machines (NTP).",
        )
    return passed("clock", "agrees with Airbyte's")


async def _job_order(timings: DoctorTimings, services: Services, workspace_id: str) -> Finding:
    """Ask for jobs in an order: servers before 1.0 fail on any `orderBy`, and nothing tells them apart sooner."""
    try:
        async with asyncio.timeout(timings.answer):
            await services.airbyte.jobs.updated_since([workspace_id], services.airbyte.now(), offset=0)
    except TimeoutError:
        return failure("airbyte version", f"no list of jobs within {timings.answer:g} s", SLOW)
    except UpstreamError as error:
        return failure(
            "airbyte version",
            f"the job list cannot be ordered ({error.detail})",
            "This Airbyte seems older than 1.0, which is not supported: upgrade it.",
        )
    return passed("airbyte version", "lists jobs newest first, as 1.0 and later do")
