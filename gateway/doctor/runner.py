"""The order of the checks, and the time each of them has. None of them stops another, unless it rests on it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import structlog

from gateway.doctor.connections import check_mapped, check_unmapped
from gateway.doctor.finding import Finding, failure, warning
from gateway.doctor.installation import check_database, check_disk, check_files, check_proxies, check_settings
from gateway.doctor.serving import check_served, check_serving
from gateway.doctor.shared_backend import check_shared_limit
from gateway.doctor.upstream import check_airbyte, check_certificate, check_name
from gateway.errors import DatabaseRefused, GatewayError
from gateway.services import Services

Check = Callable[[Services], AsyncGenerator[Finding, None]]

ALL_SECONDS = 28.0
"""For everything; with start and end of the process it is over in half a minute, whatever hangs."""
STEPS = frozenset({"dns", "tls", "airbyte"})
"""What fails here leaves nothing to look at further on the way to Airbyte."""
SETTINGS: dict[str, tuple[Check, float]] = {"settings": (check_settings, 1.0)}
STORED: dict[str, tuple[Check, float]] = {
    "files": (check_files, 1.0),
    "database": (check_database, 1.0),
    "disk": (check_disk, 1.0),
    "connections": (check_unmapped, 2.0),
}
SHARED: dict[str, tuple[Check, float]] = {"rate limit": (check_shared_limit, 4.0)}
WAY: dict[str, tuple[Check, float]] = {
    "dns": (check_name, 4.0),
    "tls": (check_certificate, 4.0),
    "airbyte": (check_airbyte, 13.0),
}

log = structlog.get_logger()


async def examine(
    services: Services, *, is_serving: bool = False, refusal: DatabaseRefused | None = None
) -> AsyncGenerator[Finding, None]:
    """Each finding as it is made. `is_serving`: this very process serves.

    `services` are open, unless the database was refused: with its `refusal` everything else is looked at.
    """
    end = asyncio.get_running_loop().time() + ALL_SECONDS
    local = {**SETTINGS, **({} if refusal else STORED), "proxies": (check_proxies, 1.0), **SHARED}
    served = {"gateway": (check_served if is_serving else check_serving, 9.0)}
    beyond = {} if refusal else {"connections": (check_mapped, ALL_SECONDS)}
    if refusal is not None:
        yield failure("database", str(refusal), "Nothing that is stored was looked at.")
    for name, (check, seconds) in {**local, **served}.items():
        async for finding in bounded(name, check(services), min(end, _now() + seconds)):
            yield finding
    for name, (check, seconds) in {**WAY, **beyond}.items():
        async for finding in bounded(name, check(services), min(end, _now() + seconds)):
            yield finding
            if finding.level == "fail" and finding.check in STEPS:
                return


def _now() -> float:
    return asyncio.get_running_loop().time()


async def bounded(name: str, findings: AsyncGenerator[Finding, None], end: float) -> AsyncGenerator[Finding, None]:
    """What a check finds until then; what goes wrong with the check itself is a finding too."""
    async with aclosing(findings):
        while True:
            try:
                async with asyncio.timeout_at(end):
                    finding = await anext(findings, None)
            except TimeoutError:
                make = failure if name in STEPS else warning
                yield make(name, "took too long: what is not listed was not looked at", "Try again.")
                return
            except GatewayError as error:
                yield failure(name, f"could not be looked at: {error}", "Try again.")
                return
            except Exception as error:
                # Whatever it was, the other checks may well say what is wrong.
                log.exception("check_failed", check=name)
                yield failure(name, f"could not be looked at: {type(error).__name__}", "The log says more.")
                return
            if finding is None:
                return
            yield finding
