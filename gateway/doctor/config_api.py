"""Check that Airbyte's Config API can be asked why jobs fail; if not, find out what answers in its place."""

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus

from gateway.airbyte import OwnCalls
from gateway.airbyte.no_answer import NoAnswer
from gateway.airbyte.route import Route
from gateway.doctor.advice import advice_for
from gateway.doctor.base_url import OLD_API_HEALTHY, looks_like
from gateway.doctor.finding import Finding, passed, warning
from gateway.doctor.probe import Address, get
from gateway.doctor.timings import DoctorTimings
from gateway.errors import UpstreamError, UpstreamRefused
from gateway.services import Services

REASONS = "reasons of failures"
LOST = "callers get no reasons of failures, attempts and streams"
CONFIG_URL_SETTING = "airbyte.config_url"
CONFIG_API = "/api/v1"
OR_OFF = f'or set {CONFIG_URL_SETTING} to "off" if this Airbyte has no Config API.'
ADVICE = f"Correct {CONFIG_URL_SETTING}, which ends in {CONFIG_API} at a self-managed Airbyte, {OR_OFF}"
FORBIDDEN = f'Let the credential read jobs in the Config API, or set {CONFIG_URL_SETTING} to "off".'
BROKEN = f"{CONFIG_URL_SETTING} is right: look at the log of Airbyte's server, {OR_OFF}"


async def check_config_api(timings: DoctorTimings, services: Services) -> AsyncGenerator[Finding, None]:
    """Ask for the jobs of one mapped connection, if there is a Config API to ask and a connection to ask about."""
    url = services.settings.airbyte.config_api_url
    if url is None:
        yield passed(REASONS, f"{CONFIG_URL_SETTING} names no Config API: {LOST}")
        return
    connections = await services.store.connections.all()
    airbyte_id = next((each.airbyte_id for each in connections if each.mapping == "mapped"), None)
    if airbyte_id is None:
        yield passed(REASONS, "not checked: no connection is mapped")
        return
    try:
        await services.airbyte.config.check(airbyte_id, caller=OwnCalls.ROUTINE)
    except UpstreamError as error:
        text, advice = f"the Config API at {url} cannot be asked ({error.detail})", ADVICE
        if isinstance(error, UpstreamRefused) and error.upstream_status == HTTPStatus.FORBIDDEN:
            advice = FORBIDDEN
        elif services.airbyte.is_remote:
            text, advice = await diagnose_config_url(
                url, text, route=services.airbyte.route, seconds=timings.config_probe
            )
        yield warning(REASONS, f"{text}: {LOST}", advice)
    else:
        yield passed(REASONS, "the Config API tells why jobs failed")


async def diagnose_config_url(url: str, text: str, *, route: Route, seconds: float) -> tuple[str, str]:
    """Return what answers at `url`, where the Config API should, and what to do; `text` says how a call failed there.

    Its health route answers anybody. All of this takes `seconds`.
    """
    url = url.rstrip("/")
    try:
        async with asyncio.timeout(seconds):
            try:
                reply = await get(f"{url}/health", seconds=seconds, route=route)
            except NoAnswer as nobody:
                return f"the Config API cannot be asked: {nobody}", advice_for(
                    nobody, Address.of(url), CONFIG_URL_SETTING
                )
            if OLD_API_HEALTHY in reply.body:
                return text, BROKEN
            return f"{url} is not the Config API: {looks_like(reply)}", await _right_address(url, route, seconds)
    except TimeoutError:
        return text, ADVICE


async def _right_address(url: str, route: Route, seconds: float) -> str:
    """Return advice that names the Config API's address, if it is where a self-managed Airbyte of that host has it."""
    there = "/".join(url.split("/")[:3]) + CONFIG_API
    try:
        reply = await get(f"{there}/health", seconds=seconds, route=route)
    except NoAnswer:
        return ADVICE
    if there == url or OLD_API_HEALTHY not in reply.body:
        return ADVICE
    return f"The Config API is at {there}: write that into {CONFIG_URL_SETTING}."
