"""Airbyte failed us: is it at another address than `airbyte.base_url` says, or are the credentials wrong?

Tells by the public API's health route, which answers anybody. Other addresses of the same host are asked as well.
"""

import asyncio

from gateway.doctor.advice import advice_for
from gateway.doctor.finding import Finding, failure
from gateway.doctor.probe import Address, NoAnswer, Reply, certificate_end, get
from gateway.errors import UpstreamBusy, UpstreamError, UpstreamInvalid, UpstreamRefused
from gateway.services import Services

SETTING = "airbyte.base_url"
PUBLIC_API = "/api/public/v1"
CLOUD = "https://api.airbyte.com/v1"
CLOUD_HOSTS = frozenset({"api.airbyte.com", "cloud.airbyte.com"})
WRONG_ENDS = (PUBLIC_API, "/api/public", "/public/v1", "/api/v1", "/api", "/v1", "")
"""What people write at the end of Airbyte's address, longest first."""
HEALTHY = b"Successful operation"
OLD_API_HEALTHY = b'"available"'
PROBE_SECONDS = 2.0
DIAGNOSIS_SECONDS = 5.0
"""For all that is asked."""


async def diagnose(error: UpstreamError, services: Services) -> Finding:
    """What stands behind a call that failed with `error`."""
    try:
        async with asyncio.timeout(DIAGNOSIS_SECONDS):
            return await _diagnosed(error, services)
    except TimeoutError:
        return failure("airbyte", f"{error.message}: {error.detail}", _advice(error, services))


async def _diagnosed(error: UpstreamError, services: Services) -> Finding:
    base_url = services.settings.airbyte.base_url.rstrip("/")
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
        reply = await get(f"{base_url}/health", seconds=PROBE_SECONDS)
    except NoAnswer as trouble:
        advice = await _tls_after_all(base_url, address) or advice_for(trouble, address, SETTING)
        return failure("airbyte", str(trouble), advice)
    if reply.status == 200 and HEALTHY in reply.body:  # noqa: PLR2004 - HTTP's own number
        return failure("airbyte", text, _advice(error, services))
    return failure("airbyte", f"{base_url} is not Airbyte's API: {_looks_like(reply)}", await _right(base_url, address))


def alternatives(base_url: str) -> list[str]:
    """Where the API may be when it is not at `base_url`."""
    end = next(end for end in WRONG_ENDS if base_url.endswith(end))
    root = "/".join(base_url.split("/")[:3])
    return [
        url for url in dict.fromkeys((base_url.removesuffix(end) + PUBLIC_API, root + PUBLIC_API)) if url != base_url
    ]


async def _right(base_url: str, address: Address) -> str:
    for url in alternatives(base_url):
        try:
            reply = await get(f"{url}/health", seconds=PROBE_SECONDS)
        except NoAnswer:
            continue
        if reply.status == 200 and HEALTHY in reply.body:  # noqa: PLR2004 - HTTP's own number
            return _move_to(url, "Airbyte's API")
    return await _tls_after_all(base_url, address) or (
        f"Set {SETTING} to the API's address: self-managed ends in {PUBLIC_API}, Cloud is {CLOUD}."
    )


async def _tls_after_all(base_url: str, address: Address) -> str:
    """Advice, if somebody who was asked in plain text understands TLS; whether the certificate is good comes next."""
    if address.is_tls:
        return ""
    try:
        await certificate_end(address, seconds=PROBE_SECONDS)
    except NoAnswer as trouble:
        if trouble.kind != "certificate":
            return ""
    return f"{address} speaks TLS: write https{base_url.removeprefix('http')} into {SETTING}."


def _move_to(url: str, what: str) -> str:
    return f"{what} is at {url}: write that into {SETTING}."


def _looks_like(reply: Reply) -> str:
    if 300 <= reply.status < 400:  # noqa: PLR2004 - HTTP's own numbers
        return f"it redirects to {reply.location}"
    if reply.is_html:
        return f"it shows a web page ({reply.status})"
    if OLD_API_HEALTHY in reply.body:
        return "it is the older configuration API"
    return f"it answers {reply.status}"


def _advice(error: UpstreamError, services: Services) -> str:
    """For the right address. By what went wrong first: a failed token call stands behind the error it led to."""
    first = error.__cause__ if isinstance(error.__cause__, UpstreamError) else error
    airbyte = services.settings.airbyte
    if isinstance(first, UpstreamBusy):
        return "Wait a little and try again."
    if isinstance(first, UpstreamRefused) and first.upstream_status == 404:  # noqa: PLR2004 - HTTP's own number
        return "This Airbyte runs without sign-in: set airbyte.auth to none."
    if airbyte.auth != "client_credentials" and "401" in error.detail:
        return "Airbyte wants other credentials: set airbyte.auth to client_credentials and fill in id and secret."
    if "credentials" in error.detail or "client_secret" in error.detail:
        return "Airbyte shows both under User > Applications."
    if isinstance(first, UpstreamInvalid):
        return f"See what answers at {airbyte.base_url}: self-managed ends in {PUBLIC_API}, Cloud is {CLOUD}."
    return f"Look at the log of Airbyte's server; {airbyte.base_url} is where it was asked."
