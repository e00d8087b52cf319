"""Checks of the gateway as callers meet it: whether it runs, what is at its public address, who forwards to it."""

from collections.abc import AsyncGenerator

from gateway.doctor.advice import advice_for
from gateway.doctor.finding import Finding, failure, passed, warning
from gateway.doctor.probe import Address, NoAnswer, Reply, get
from gateway.errors import Unauthorized
from gateway.services import Services
from gateway.settings import ServerSettings
from gateway.telemetry.metrics import FORWARDED_UNTRUSTED

LOCAL_SECONDS = 1.5
PUBLIC_SECONDS = 3.0
NOWHERE = "/api/v1/doctor"
"""No such call. Without a key it is refused all the same, and only by a gateway in these words."""
SIGN_IN = "/dashboard/sign-in"
INSECURE = b"did not come over HTTPS"
"""What that page says when it was not asked over HTTPS, as far as the gateway knows."""
WELL = b'{"status":"ok"}'
ANY_HOST = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not listened on
SETTING = "server.public_url"
BAD_GATEWAY = frozenset({502, 503, 504})


async def check_serving(services: Services) -> AsyncGenerator[Finding, None]:
    """From another process than the one that serves."""
    local = _local_url(services.settings.server)
    running, runs = await _running(local)
    yield running
    async for finding in _public(services.settings.server, local, is_running=runs):
        yield finding
    if runs:
        yield await _forwarding_told_by(local)


async def check_served(services: Services) -> AsyncGenerator[Finding, None]:
    """From the process that serves."""
    server = services.settings.server
    async for finding in _public(server, _local_url(server), is_running=True):
        yield finding
    # The public address was asked before: if a proxy is there that nobody declared, it has been counted now.
    yield _forwarding(services.metrics.forwarded_untrusted)


def _local_url(server: ServerSettings) -> str:
    host = ANY_HOST.get(server.host, server.host)
    return f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"


async def _running(local: str) -> tuple[Finding, bool]:
    try:
        reply = await get(f"{local}/healthz", seconds=LOCAL_SECONDS)
    except NoAnswer as trouble:
        if trouble.kind == "refused":
            return passed("gateway", f"does not run at {local}"), False
        return warning("gateway", str(trouble), "See what it is that listens there."), False
    if WELL in reply.body:
        return passed("gateway", f"runs at {local}"), True
    advice = "Stop it, or give the gateway another server.port."
    return warning("gateway", f"something else answers at {local} ({reply.status})", advice), False


async def _public(server: ServerSettings, local: str, *, is_running: bool) -> AsyncGenerator[Finding, None]:
    url = server.public_url.rstrip("/")
    if not url:
        return
    try:
        reply = await get(url + NOWHERE, seconds=PUBLIC_SECONDS)
    except NoAnswer as trouble:
        advice = advice_for(trouble, Address.of(url), SETTING)
        make = failure if is_running or trouble.kind == "certificate" else warning
        yield make("public url", str(trouble), advice)
        return
    judged = _judged(url, reply, local, is_running=is_running)
    yield judged
    if judged.level == "ok" and Address.of(url).is_tls:
        async for finding in _scheme(url):
            yield finding


def _judged(url: str, reply: Reply, local: str, *, is_running: bool) -> Finding:
    if reply.status == Unauthorized.status and Unauthorized.message.encode() in reply.body:
        return passed("public url", f"{url} leads to a gateway")
    if reply.location:
        advice = f"Callers do not follow with their key: write the address it leads to into {SETTING}."
        return failure("public url", f"{url} redirects to {reply.location}", advice)
    if reply.status in BAD_GATEWAY:
        text = f"{url} answers {reply.status}: the proxy there does not reach the gateway"
        advice = f"Let it pass requests on to {local}, where the gateway must run."
        return (failure if is_running else warning)("public url", text, advice)
    what = "a web page" if reply.is_html else "something else"
    advice = f"Let the proxy there pass /api/v1 on to {local} and leave error answers as they are."
    return failure("public url", f"{url} shows {what} ({reply.status}) instead of the gateway's answer", advice)


async def _scheme(url: str) -> AsyncGenerator[Finding, None]:
    """Whether the gateway knows that it was asked over HTTPS. A proxy that keeps pages to itself tells nothing."""
    try:
        reply = await get(url + SIGN_IN, seconds=PUBLIC_SECONDS)
    except NoAnswer:
        return
    if INSECURE in reply.body:
        yield failure(
            "public url",
            "the gateway is not told that callers come over HTTPS, so nobody stays signed in",
            "Let the proxy set X-Forwarded-Proto, and put its address into server.trusted_proxies.",
        )


async def _forwarding_told_by(local: str) -> Finding:
    try:
        reply = await get(f"{local}/metrics", seconds=LOCAL_SECONDS)
    except NoAnswer as trouble:
        return passed("forwarding", f"not known: {trouble}")
    lines = reply.body.decode("utf-8", "replace").splitlines()
    counts = [line.rpartition(" ")[2] for line in lines if line.startswith(f"{FORWARDED_UNTRUSTED}_total ")]
    if not counts:
        return passed("forwarding", f"not known: /metrics answers {reply.status} (see server.metrics_networks)")
    return _forwarding(int(float(counts[0])))


def _forwarding(count: int) -> Finding:
    if not count:
        return passed("forwarding", "no request came through a proxy that is not trusted")
    return warning(
        "forwarding",
        f"since its start {count} request{'' if count == 1 else 's'} came with X-Forwarded-For from who is not trusted",
        "If a proxy of yours is in front, put its address into server.trusted_proxies; else all callers look like one.",
    )
