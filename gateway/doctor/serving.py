"""Check the gateway as callers meet it: whether it runs, what is at its public address, who forwards to it."""

from collections.abc import AsyncGenerator

from gateway.airbyte.no_answer import NoAnswer
from gateway.doctor.advice import advice_for
from gateway.doctor.finding import Finding, failure, passed, warning
from gateway.doctor.probe import Address, Reply, get
from gateway.doctor.timings import DoctorTimings
from gateway.errors import Unauthorized
from gateway.models import SocketAddress
from gateway.services import Services
from gateway.settings import ServerSettings
from gateway.settings.addresses import listened_host, reachable_host
from gateway.telemetry.metrics import FORWARDED_UNTRUSTED

UNKNOWN_ROUTE = "/api/v1/doctor"
"""There is no such call. Without a key it is answered 401 all the same, in words that only a gateway uses."""
SIGN_IN_PAGE = "/dashboard/sign-in"
INSECURE = b" data-insecure>"
"""What that page marks its warning with when the gateway does not know that it was asked over HTTPS."""
GATEWAY_HEALTHY = b'{"status":"ok"}'
MOVE_SOCKET = (
    "To move it: gateway install --systemd, then systemctl daemon-reload and "
    "systemctl restart gateway.socket gateway.service."
)
PUBLIC_URL_SETTING = "server.public_url"
BAD_GATEWAY = frozenset({502, 503, 504})


async def check_serving(
    timings: DoctorTimings, socket_address: str, services: Services
) -> AsyncGenerator[Finding, None]:
    """Check from another process than the one that serves. Warn if the service manager listens elsewhere."""
    server = services.settings.server
    own = str(SocketAddress(listened_host(server.host), server.port))
    if socket_address not in {"", own}:
        yield warning("gateway", f"gateway.socket listens at {socket_address}, the settings say {own}", MOVE_SOCKET)
    local = local_url(server)
    running, runs = await _running(local, seconds=timings.local_probe)
    yield running
    async for finding in _public(server, local, is_running=runs, seconds=timings.public_probe):
        yield finding
    if runs:
        yield await _forwarding_told_by(local, seconds=timings.local_probe)


async def check_served(timings: DoctorTimings, services: Services) -> AsyncGenerator[Finding, None]:
    """Check from the process that serves."""
    server = services.settings.server
    async for finding in _public(server, local_url(server), is_running=True, seconds=timings.public_probe):
        yield finding
    # The public address was asked before: if a proxy is there that nobody declared, it has been counted now.
    yield _forwarding(services.metrics.forwarded_untrusted)


def local_url(server: ServerSettings) -> str:
    """Return where the gateway of these settings is asked from its own machine."""
    return f"http://{SocketAddress(reachable_host(server.host), server.port)}"


async def _running(local: str, *, seconds: float) -> tuple[Finding, bool]:
    """Return what answers at `local`, and whether it is a gateway."""
    try:
        reply = await get(f"{local}/healthz", seconds=seconds)
    except NoAnswer as nobody:
        if nobody.kind == "refused":
            return passed("gateway", f"does not run at {local}"), False
        return warning("gateway", str(nobody), "Find out what listens there."), False
    if GATEWAY_HEALTHY in reply.body:
        return passed("gateway", f"runs at {local}"), True
    advice = "Stop it, or give the gateway another server.port."
    return warning("gateway", f"something else answers at {local} ({reply.status})", advice), False


async def _public(
    server: ServerSettings, local: str, *, is_running: bool, seconds: float
) -> AsyncGenerator[Finding, None]:
    url = server.public_url.rstrip("/")
    if not url:
        return
    try:
        reply = await get(url + UNKNOWN_ROUTE, seconds=seconds)
    except NoAnswer as nobody:
        make = failure if is_running or nobody.kind == "certificate" else warning
        yield make("public url", str(nobody), advice_for(nobody, Address.of(url), PUBLIC_URL_SETTING))
        return
    judged = _judged(url, reply, local, is_running=is_running)
    yield judged
    if judged.level == "ok" and Address.of(url).is_tls:
        async for finding in _scheme(url, seconds=seconds):
            yield finding


def _judged(url: str, reply: Reply, local: str, *, is_running: bool) -> Finding:
    if reply.status == Unauthorized.status and Unauthorized.message.encode() in reply.body:
        return passed("public url", f"{url} leads to a gateway")
    if reply.location:
        advice = f"Callers do not follow with their key: write the address it leads to into {PUBLIC_URL_SETTING}."
        return failure("public url", f"{url} redirects to {reply.location}", advice)
    if reply.status in BAD_GATEWAY:
        text = f"{url} answers {reply.status}: the proxy there does not reach the gateway"
        advice = f"Let it pass requests on to {local}, where the gateway must run."
        return (failure if is_running else warning)("public url", text, advice)
    what = "a web page" if reply.is_html else "something else"
    advice = f"Let the proxy there pass /api/v1 on to {local} and leave error answers as they are."
    return failure("public url", f"{url} shows {what} ({reply.status}) instead of the gateway's answer", advice)


async def _scheme(url: str, *, seconds: float) -> AsyncGenerator[Finding, None]:
    """Check that the gateway knows it was asked over HTTPS. Find nothing where a proxy does not pass pages on."""
    try:
        reply = await get(url + SIGN_IN_PAGE, seconds=seconds)
    except NoAnswer:
        return
    if INSECURE in reply.body:
        yield failure(
            "public url",
            "the gateway is not told that callers come over HTTPS, so nobody stays signed in",
            "Let the proxy set X-Forwarded-Proto, and put its address into server.trusted_proxies.",
        )


async def _forwarding_told_by(local: str, *, seconds: float) -> Finding:
    try:
        reply = await get(f"{local}/metrics", seconds=seconds)
    except NoAnswer as nobody:
        return passed("forwarding", f"not known: {nobody}")
    lines = reply.body.decode("utf-8", "replace").splitlines()
    counts = [line.rpartition(" ")[2] for line in lines if line.startswith(f"gateway_{FORWARDED_UNTRUSTED}_total ")]
    if not counts:
        return passed("forwarding", f"not known: /metrics answers {reply.status} (see server.metrics_networks)")
    return _forwarding(int(float(counts[0])))


def _forwarding(count: int) -> Finding:
    if not count:
        return passed("forwarding", "no request came through a proxy that is not trusted")
    requests = "1 request" if count == 1 else f"{count} requests"
    return warning(
        "forwarding",
        f"since its start {requests} came with X-Forwarded-For from an address that is not trusted",
        "If it is your proxy, put its address into server.trusted_proxies: without it all callers look like one.",
    )
