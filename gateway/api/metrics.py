"""/metrics: what Prometheus reads. What is counted elsewhere in plain numbers is gathered here."""

import asyncio
import ipaddress
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response

from gateway import __version__
from gateway.errors import NotFound, StorageUnavailable
from gateway.services import Services, services_of

FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")
WEBHOOK_FIGURES = {
    "webhook_events_waiting": "Events on their way to webhooks, with those that wait for their next attempt.",
    "webhook_oldest_due_seconds": "How long the oldest of them has been due that nobody sends.",
    "webhooks_disabled": "Webhooks that are told of nothing.",
}


async def show_metrics(request: Request) -> Response:
    """Show the metrics to the networks of `server.metrics_networks`. Raises NotFound for everyone else."""
    services = services_of(request)
    if not _may_read_metrics(request, services.settings.server.metrics_networks):
        raise NotFound
    metrics = services.metrics
    _gather_process(services)
    _gather_upstream(services)
    _gather_database(services)
    await _gather_stored(services)
    for name, text, value in services.cluster.gauges():
        metrics.gauge(name, text, value)
    return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _gather_process(services: Services) -> None:
    metrics = services.metrics
    metrics.gauge("build_info", "The version, as a label.", 1, {"version": __version__})
    metrics.gauge("rate_limit_buckets", "Keys whose bucket is not full.", len(services.limiter))
    metrics.gauge("tasks", "Tasks of the event loop.", len(asyncio.all_tasks()))
    lag_seconds = services.loop_lag.take_longest_seconds()
    metrics.gauge("loop_lag_seconds", "Longest stand-still of the event loop since the last reading.", lag_seconds)
    metrics.show_background_tasks([(task.name, task.failures, task.is_failing) for task in services.background.tasks])


def _gather_upstream(services: Services) -> None:
    metrics = services.metrics
    figures = services.airbyte.figures()
    metrics.gauge("upstream_permits", "Calls to Airbyte that may be under way at once.", figures.permits)
    metrics.gauge("upstream_in_flight", "Calls to Airbyte under way.", figures.in_flight)
    metrics.gauge("upstream_waiting", "Calls to Airbyte that wait for a permit.", figures.waiting)
    answers, jobs = services.syncs.waiting, services.syncs.watcher
    metrics.gauge("callers_waiting_for_answers", "Callers that wait for an answer of Airbyte's.", len(answers))
    metrics.gauge("callers_waiting_for_jobs", "Callers that wait for the end of a job.", len(jobs))
    metrics.gauge("upstream_breaker_open", "1 while calls are stopped because Airbyte fails.", figures.is_open)
    metrics.gauge("upstream_client_breakers_open", "Clients whose own calls alone are stopped.", figures.open_clients)
    refused = "1 while Airbyte refuses our credential."
    metrics.gauge("upstream_credential_refused", refused, figures.is_credential_refused)
    stopped = {("permits",): figures.without_permit, ("breaker",): figures.stopped}
    metrics.counter("upstream_calls_stopped", "Calls to Airbyte that were not made, and why.", stopped, ("reason",))
    age = "Age of this gateway's last reading of all connections' last syncs. It reads when somebody asks."
    metrics.gauge("last_sync_age_seconds", age, services.syncs.last_sync.age_seconds)


def _gather_database(services: Services) -> None:
    metrics = services.metrics
    health = services.store.health
    labels = ("operation", "reason")
    metrics.counter("database_failures", "Reads and writes that failed, and why.", health.failures, labels)
    metrics.gauge("database_writes_failing", "1 while the last write failed.", health.write_failure is not None)
    waited = "Seconds that transactions waited for the write lock."
    metrics.counter("database_lock_wait_seconds", waited, {(): health.lock_seconds})
    metrics.counter("database_writes", "Transactions that got the write lock.", {(): health.writes})


async def _gather_stored(services: Services) -> None:
    """Show what the database knows; nothing of it without one: the figures about that are what is needed then."""
    round_seconds, waiting = None, None
    with suppress(StorageUnavailable):
        round_seconds = await services.syncs.backfill.round_seconds()
        waiting = await services.store.waiting_deliveries.figures(now=services.clock.now())
    metrics = services.metrics
    age = "Age of the oldest check of a connection's last sync by itself: how long a round of all takes."
    metrics.gauge("last_sync_round_seconds", age, round_seconds)
    for name, text in WEBHOOK_FIGURES.items():
        metrics.gauge(name, text, None if waiting is None else getattr(waiting, name))


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
