"""The order of the checks, and the time each of them has. None of them stops another, unless it rests on it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

import structlog

from gateway.doctor.config_api import REASONS, check_config_api
from gateway.doctor.connections import check_mapped, check_round, check_unmapped
from gateway.doctor.finding import Finding, failure, warning
from gateway.doctor.installation import (
    check_database,
    check_disk,
    check_files,
    check_notifications,
    check_pages,
    check_proxies,
    check_settings,
)
from gateway.doctor.release import check_release
from gateway.doctor.serving import check_served, check_serving
from gateway.doctor.shared_backend import check_shared_limit
from gateway.doctor.timings import DoctorTimings
from gateway.doctor.upstream import check_airbyte, check_certificate, check_name
from gateway.errors import DatabaseRefused, GatewayError
from gateway.services import Services

AIRBYTE_CHECKS = frozenset({"dns", "tls", "airbyte"})
"""The way to Airbyte: after a failure of one of these nothing further can be checked."""

log = structlog.get_logger()


Findings = Callable[[Services], AsyncGenerator[Finding, None]]


class Check(NamedTuple):
    """A check, the name that its own failure is told under, and the seconds it has."""

    name: str
    findings: Findings
    seconds: float


async def run_checks(
    services: Services,
    *,
    is_serving: bool = False,
    refusal: DatabaseRefused | None = None,
    socket_address: str = "",
    timings: DoctorTimings | None = None,
) -> AsyncGenerator[Finding, None]:
    """Yield each finding as it is made. `is_serving`: this very process serves.

    `socket_address` is where the service manager listens for the gateway, as HOST:PORT, if it does.
    `services` are open, unless the database was refused: with its `refusal` everything else is checked.
    """
    timings = timings or DoctorTimings()
    end = _now() + timings.everything
    if refusal is not None:
        yield failure("database", str(refusal), "Nothing that is stored was checked.")
    serving = partial(check_served, timings) if is_serving else partial(check_serving, timings, socket_address)
    for check in _checks(timings, serving, has_database=refusal is None):
        async for finding in bounded(check.name, check.findings(services), min(end, _now() + check.seconds)):
            yield finding
            if finding.level == "fail" and finding.check in AIRBYTE_CHECKS:
                return


def _checks(timings: DoctorTimings, serving: Findings, *, has_database: bool) -> Iterator[Check]:
    yield Check("settings", check_settings, timings.machine_check)
    if has_database:
        yield Check("files", check_files, timings.machine_check)
        yield Check("database", check_database, timings.machine_check)
        yield Check("database", partial(check_pages, timings), timings.whole_read + timings.machine_check)
        yield Check("database", partial(check_notifications, timings), timings.notification_check)
        yield Check("disk", check_disk, timings.machine_check)
        yield Check("connections", check_unmapped, timings.stored_check)
        yield Check("last syncs", check_round, timings.stored_check)
    yield Check("proxies", check_proxies, timings.machine_check)
    yield Check("rate limit", partial(check_shared_limit, timings), timings.limit_check)
    yield Check("gateway", serving, timings.serving_check)
    yield Check("dns", partial(check_name, timings), timings.address_check)
    yield Check("tls", partial(check_certificate, timings), timings.address_check)
    yield Check("airbyte release", partial(check_release, timings), timings.release_check)
    yield Check("airbyte", partial(check_airbyte, timings), timings.airbyte_check)
    if has_database:
        yield Check(REASONS, partial(check_config_api, timings), timings.config_check)
        yield Check("connections", check_mapped, timings.everything)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def bounded(name: str, findings: AsyncGenerator[Finding, None], end: float) -> AsyncGenerator[Finding, None]:
    """Yield what a check finds until `end`, in the event loop's time. The check's own failure is a finding too."""
    async with aclosing(findings):
        while True:
            try:
                async with asyncio.timeout_at(end):
                    finding = await anext(findings, None)
            except TimeoutError:
                make = failure if name in AIRBYTE_CHECKS else warning
                yield make(name, "took too long: what is not listed was not checked", "Try again.")
                return
            except GatewayError as error:
                yield failure(name, f"could not be checked: {error}", "Try again.")
                return
            except Exception as error:
                # Whatever it was, the other checks may well say what is wrong.
                log.exception("check_failed", check=name)
                yield failure(name, f"could not be checked: {type(error).__name__}", "The log says more.")
                return
            if finding is None:
                return
            yield finding
