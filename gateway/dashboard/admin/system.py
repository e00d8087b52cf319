"""/dashboard/admin/system: versions, totals, the state of Airbyte and, on request, the findings of the doctor."""

import asyncio
from contextlib import aclosing
from datetime import timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.templating import page
from gateway.dashboard.timings import PageTimings
from gateway.doctor import Finding, run_checks
from gateway.resources import versions
from gateway.services import Services, services_of
from gateway.times import format_time

MOST_FINDINGS = 20
"""Shown at once of those that want something done; the others are folded."""


class Examination(msgspec.Struct, frozen=True):
    """The findings of the doctor within the time a page waits."""

    findings: list[Finding]
    is_complete: bool


async def show_system(request: Request, timings: PageTimings) -> Response:
    """Show the state of the installation; with `check` in the address, examine it."""
    services = services_of(request)
    examination = await _examined(services, timings.checks) if "check" in request.query_params else None
    now, state = services.clock.now(), services.airbyte.state()
    age = state["last_answer_seconds_ago"]
    return page(
        request,
        "admin/system.html",
        versions=versions(),
        settings=services.settings,
        totals=await services.store.totals.of_installation(now=format_time(now)),
        upstream=state,
        answered_at=format_time(now - timedelta(seconds=age)) if isinstance(age, float) else None,
        in_flight=services.airbyte.in_flight,
        examination=examination,
        check_seconds=timings.checks,
        most_findings=MOST_FINDINGS,
    )


async def _examined(services: Services, seconds: float) -> Examination:
    findings: list[Finding] = []
    try:
        async with asyncio.timeout(seconds), aclosing(run_checks(services, is_serving=True)) as found:
            async for finding in found:
                findings.append(finding)  # noqa: PERF401 - what was found before the time is up must not be lost
    except TimeoutError:
        return Examination(findings, is_complete=False)
    return Examination(findings, is_complete=True)
