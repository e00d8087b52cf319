"""Find out why Airbyte failed: is it at another address than `airbyte.base_url` says, or are the credentials wrong?

The public API's health route tells, for it answers anybody. Other addresses of the same host are asked as well.
"""

import asyncio
from http import HTTPStatus

from gateway.airbyte.no_answer import NoAnswer
from gateway.airbyte.route import Route
from gateway.airbyte.trouble import NOT_ITS_OWN
from gateway.doctor.advice import BASE_URL_SETTING, advice_on_airbyte
from gateway.doctor.finding import Finding, failure
from gateway.doctor.probe import Address, Reply, certificate_end, get
from gateway.doctor.timings import DoctorTimings
from gateway.errors import UpstreamBusy, UpstreamError, UpstreamInvalid, UpstreamRefused
from gateway.services import Services
from gateway.settings.tables import PUBLIC_API_PATH

CLOUD = "https://api.airbyte.com/v1"
CLOUD_HOSTS = frozenset({"api.airbyte.com", "cloud.airbyte.com"})
WRONG_ENDS = (PUBLIC_API_PATH, "/api/public", "/public/v1", "/api/v1", "/api", "/v1", "")
"""What people write at the end of Airbyte's address, longest first."""
ADDRESSES = f"Set {BASE_URL_SETTING} to the API's address: self-managed ends in {PUBLIC_API_PATH}, Cloud is {CLOUD}."
AIRBYTE_HEALTHY = b"Successful operation"
OLD_API_HEALTHY = b'"available"'


async def diagnose(error: UpstreamError, services: Services, timings: DoctorTimings) -> Finding:
    """Return what is behind a call to Airbyte that failed with `error`."""
    try:
        async with asyncio.timeout(timings.diagnosis):
            return await _diagnosed(error, services, seconds=timings.diagnosis_probe)
    except TimeoutError:
        return failure("airbyte", f"{error.message}: {error.detail}", _advice(error, services))


async def _diagnosed(error: UpstreamError, services: Services, *, seconds: float) -> Finding:
    base_url = services.settings.airbyte.base_url.rstrip("/")
    route = services.airbyte.route
    text = f"{error.message}: {error.detail}"
    if not services.airbyte.is_remote or isinstance(error, UpstreamBusy):
        return failure("airbyte", text, _advice(error, services))
    address = Address.of(base_url)
    if address.host in CLOUD_HOSTS:
        is_right = base_url == CLOUD
        return failure(
            "airbyte", text, _advice(error, services) if is_right else _move_to(CLOUD, "Airbyte Cloud's API")
        )
    try:
        reply = await get(f"{base_url}/health", seconds=seconds, route=route)
    except NoAnswer as nobody:
        advice = await _tls_after_all(base_url, route, seconds=seconds) or advice_on_airbyte(nobody, address, route)
        return failure("airbyte", str(nobody), advice)
    if _is_healthy(reply):
        return failure("airbyte", text, _advice(error, services))
    elsewhere = await _right_address(base_url, route, seconds=seconds)
    if not elsewhere and reply.status in NOT_ITS_OWN:
        text = f"{base_url} answers {reply.status}: {NOT_ITS_OWN[reply.status]}"
        return failure("airbyte", text, "Look at Airbyte, and at the log of the proxy in front of it.")
    text = f"{base_url} is not Airbyte's API: {looks_like(reply)}"
    return failure("airbyte", text, elsewhere or ADDRESSES)


def alternatives(base_url: str) -> list[str]:
    """Return where the API may be when it is not at `base_url`."""
    end = next(end for end in WRONG_ENDS if base_url.endswith(end))
    root = "/".join(base_url.split("/")[:3])
    return [
        url
        for url in dict.fromkeys((base_url.removesuffix(end) + PUBLIC_API_PATH, root + PUBLIC_API_PATH))
        if url != base_url
    ]


async def _right_address(base_url: str, route: Route, *, seconds: float) -> str:
    """Return the advice that names Airbyte's right address; empty if it is not found."""
    for url in alternatives(base_url):
        try:
            reply = await get(f"{url}/health", seconds=seconds, route=route)
        except NoAnswer:
            continue
        if _is_healthy(reply):
            return _move_to(url, "Airbyte's API")
    return await _tls_after_all(base_url, route, seconds=seconds)


async def _tls_after_all(base_url: str, route: Route, *, seconds: float) -> str:
    """Return advice if TLS is spoken at an `http://` address, else nothing. The certificate need not be good yet."""
    address = Address.of(base_url)
    if address.is_tls:
        return ""
    try:
        await certificate_end(address, seconds=seconds, route=route)
    except NoAnswer as nobody:
        if nobody.kind != "certificate":
            return ""
    return f"{address} speaks TLS: write https{base_url.removeprefix('http')} into {BASE_URL_SETTING}."


def _is_healthy(reply: Reply) -> bool:
    return reply.status == HTTPStatus.OK and AIRBYTE_HEALTHY in reply.body


def _move_to(url: str, what: str) -> str:
    return f"{what} is at {url}: write that into {BASE_URL_SETTING}."


def looks_like(reply: Reply) -> str:
    """Return what an answer shows that is not the one that was looked for."""
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST:
        return f"it redirects to {reply.location}"
    if reply.is_html:
        return f"it shows a web page ({reply.status})"
    if OLD_API_HEALTHY in reply.body:
        return "it is the older configuration API"
    if AIRBYTE_HEALTHY in reply.body:
        return "it is Airbyte's public API"
    return f"it answers {reply.status}"


def _advice(error: UpstreamError, services: Services) -> str:
    """Advise for a right address, by what failed first: the token call, where that led to `error`."""
    first = error.__cause__ if isinstance(error.__cause__, UpstreamError) else error
    airbyte = services.settings.airbyte
    if isinstance(first, UpstreamBusy):
        return "Wait a little and try again."
    if isinstance(first, UpstreamRefused) and first.upstream_status == HTTPStatus.NOT_FOUND:
        return "This Airbyte runs without sign-in: set airbyte.auth to none."
    if airbyte.auth != "client_credentials" and "401" in error.detail:
        return "Airbyte wants other credentials: set airbyte.auth to client_credentials and fill in id and secret."
    if "credentials" in error.detail or "client_secret" in error.detail:
        return "Airbyte shows both under User > Applications."
    if isinstance(first, UpstreamInvalid):
        return f"See what answers at {airbyte.base_url}: self-managed ends in {PUBLIC_API_PATH}, Cloud is {CLOUD}."
    return f"Look at the log of Airbyte's server; it was asked at {airbyte.base_url}."
