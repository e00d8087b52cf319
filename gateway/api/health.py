"""/healthz, /readyz and /metrics: for the machines that watch this one."""

import asyncio
import ipaddress

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import NotFound, Overloaded, StorageUnavailable
from gateway.resources import is_installed
from gateway.services import services_of
from gateway.web.draining import is_draining
from gateway.web.responses import JSONAnswer

FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")


async def show_health(_request: Request) -> JSONAnswer:
    """Answer that the process lives."""
    return JSONAnswer({"status": "ok"})


async def show_readiness(request: Request) -> JSONAnswer:
    """Answer 200 when the database takes reads and writes, and all runs without which answers are wrong, else 503.

    Airbyte's state and failing tasks of less weight are shown, but make no gateway unready: a load balancer would
    only lose all gateways at once. Raises Overloaded when the server is about to stop.
    """
    if is_draining(request.scope.get("state", {})):
        raise Overloaded("Service is stopping")
    services = services_of(request)
    try:
        database = "read-only" if await services.store.is_read_only() else "ok"
    except StorageUnavailable:
        database = "unavailable"
    stopped = [task.name for task in services.background.tasks if task.is_stopped]
    has_files = is_installed()
    is_ready = database == "ok" and not stopped and has_files
    content = {
        "status": "ready" if is_ready else "not ready",
        "database": database,
        "upstream": services.airbyte.state(),
        "stopped_tasks": stopped,
        "failing_tasks": [task.name for task in services.background.tasks if task.is_failing],
        **({} if has_files else {"program_files": "missing"}),
        **services.cluster.state(),
    }
    return JSONAnswer(content, status=200 if is_ready else 503)


async def show_metrics(request: Request) -> Response:
    """Show the metrics to the networks of `server.metrics_networks`. Raises NotFound for everyone else."""
    services = services_of(request)
    if not _may_read_metrics(request, services.settings.server.metrics_networks):
        raise NotFound
    metrics = services.metrics
    metrics.gauge("rate_limit_buckets", "Keys whose bucket is not full.", len(services.limiter))
    metrics.gauge("tasks", "Tasks of the event loop.", len(asyncio.all_tasks()))
    lag_seconds = services.loop_lag.take_longest_seconds()
    metrics.gauge("loop_lag_seconds", "Longest stand-still of the event loop since the last reading.", lag_seconds)
    metrics.gauge("upstream_in_flight", "Calls to Airbyte under way.", services.airbyte.in_flight)
    metrics.gauge(
        "last_sync_round_seconds",
        "Age of the oldest check of a connection's last sync by itself: how long a round of all takes.",
        await services.syncs.backfill.round_seconds(),
    )
    metrics.show_background_tasks([(task.name, task.failures, task.is_failing) for task in services.background.tasks])
    for name, text, value in services.cluster.gauges():
        metrics.gauge(name, text, value)
    return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _may_read_metrics(request: Request, networks: tuple[str, ...]) -> bool:
    # A forwarding header that is still here came through a proxy nobody declared as trusted: behind it could be
    # anybody, although the peer's own address looks local.
    trusted = bool(services_of(request).settings.server.trusted_proxies)
    if not trusted and any(name in request.headers for name in FORWARDING_HEADERS):
        return False
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)
