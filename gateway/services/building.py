"""Build the collaborators from the settings, cheaply: nothing is opened yet."""

import random
import secrets
from functools import partial
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.airbyte import Airbyte, AirbyteTimings, connect_airbyte
from gateway.airbyte.client import Connect
from gateway.airbyte.connect import CONFIG_CALLS_AT_ONCE
from gateway.airbyte.route import Proxy, Route
from gateway.airbyte.tls import verifying_tls
from gateway.auth import keys
from gateway.background import Background
from gateway.cluster.cluster import Cluster
from gateway.errors import SettingsError
from gateway.limiter import Limiter
from gateway.limiter.fair_queue import FairQueue
from gateway.limiter.waiting_list import WaitingList
from gateway.models import RatePolicy
from gateway.notices.building import Notices, build_notices
from gateway.provisioning.assignment import Assignment
from gateway.provisioning.clients import ClientService
from gateway.provisioning.connections import ConnectionService
from gateway.provisioning.discovery import Discovery
from gateway.provisioning.keys import KeyService
from gateway.services.services import Services
from gateway.services.timings import Timings
from gateway.settings import RateLimitSettings, Settings, TracingSettings
from gateway.settings.brand import CurrentBrand, read_brand
from gateway.settings.tables import WEBHOOK_CA_FILE
from gateway.store import Store
from gateway.store.retention import Retention
from gateway.store.timings import StoreTimings
from gateway.syncs.syncs import SyncOptions, Syncs, build_syncs
from gateway.syncs.timings import SyncTimings
from gateway.syncs.waiting import MOST_CALLERS, WaitingCallers
from gateway.telemetry.log import log_task_failure
from gateway.telemetry.loop_lag import LoopLag
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.timings import TracingTimings
from gateway.telemetry.trace_context import current_traceparent
from gateway.times import Clock
from gateway.webhooks.timings import WebhookTimings
from gateway.webhooks.webhooks import Outside, Webhooks, build_webhooks

if TYPE_CHECKING:
    from gateway.telemetry.tracing import Tracing

TRACING_EXTRA_MISSING = "tracing.endpoint: traces need more libraries: pip install -r requirements-otel.lock"


def build_services(
    settings: Settings,
    clock: Clock,
    *,
    connect: Connect | None = None,
    background: Background | None = None,
    timings: Timings | None = None,
) -> Services:
    """Build all, open nothing. `connect` replaces the network to Airbyte. Raises SettingsError, OperatorError."""
    metrics, timings, background = Metrics(), timings or Timings(), background or Background(log_task_failure)
    store = _store(settings, background, clock, timings=timings.store)
    cluster = Cluster(store, settings.rate_limit, clock.monotonic, background=background, timings=timings.cluster)
    airbyte = _connect(settings, cluster, clock, metrics=metrics, connect=connect, timings=timings.airbyte)
    policy, brand = _policy(settings.rate_limit), CurrentBrand(read_brand(settings))
    syncs = _syncs(settings, store, airbyte, cluster, clock=clock, timings=timings.syncs)
    return Services(
        settings=settings,
        brand=brand,
        clock=clock,
        store=store,
        airbyte=airbyte,
        retention=Retention(store, clock, leadership=cluster.leadership, timings=timings.retention),
        syncs=syncs,
        webhooks=_webhooks(settings, store, syncs, clock, metrics=metrics, timings=timings.webhooks),
        clients=ClientService(store, clock),
        connections=ConnectionService(store, airbyte, syncs.backfill, clock, secrets.choice),
        keys=KeyService(store, clock, secrets.choice, most_active=settings.keys.most_active),
        assignment=Assignment(store, clock, secrets.choice),
        discovery=Discovery(store, airbyte, clock, timings=timings.discovery),
        limiter=cluster.limiter(most_active=settings.keys.most_active),
        polls=Limiter(policy),
        job_reads=Limiter(policy),
        cluster=cluster,
        metrics=metrics,
        notices=_notices(settings, brand, store, airbyte, syncs=syncs, cluster=cluster, clock=clock, timings=timings),
        background=background,
        loop_lag=LoopLag(clock.monotonic, interval_seconds=timings.telemetry.loop_lag_interval),
        timings=timings,
        tracing=_tracing(settings.tracing, timings.telemetry.tracing),
    )


def _store(settings: Settings, background: Background, clock: Clock, *, timings: StoreTimings) -> Store:
    return Store(settings.database_location, background, clock=clock, timings=timings, read_queue=WaitingList())


def _policy(rate: RateLimitSettings) -> RatePolicy:
    return RatePolicy(rate.requests, rate.per_seconds)


def _webhooks(
    settings: Settings, store: Store, syncs: Syncs, clock: Clock, *, metrics: Metrics, timings: WebhookTimings
) -> Webhooks:
    outside = Outside(
        tls=partial(verifying_tls, setting=WEBHOOK_CA_FILE),
        new_id=partial(keys.mint_id, choice=secrets.choice),
        random_bytes=secrets.token_bytes,
        part=random.random,
        count_attempt=metrics.count_webhook_attempt,
    )
    return build_webhooks(store, syncs, clock, settings=settings, outside=outside, timings=timings)


def _syncs(
    settings: Settings,
    store: Store,
    airbyte: Airbyte,
    cluster: Cluster,
    *,
    clock: Clock,
    timings: SyncTimings,
) -> Syncs:
    options = SyncOptions(settings.airbyte.freshness_seconds, settings.airbyte.failure_messages)
    waiting = WaitingCallers(FairQueue(most=MOST_CALLERS), timings.waiting)
    return build_syncs(store, airbyte, cluster, clock, waiting=waiting, options=options, timings=timings)


def _notices(
    settings: Settings,
    brand: CurrentBrand,
    store: Store,
    airbyte: Airbyte,
    *,
    syncs: Syncs,
    cluster: Cluster,
    clock: Clock,
    timings: Timings,
) -> Notices:
    return build_notices(
        settings,
        store,
        airbyte,
        syncs.last_sync,
        brand=brand,
        clock=clock,
        leadership=cluster.leadership,
        timings=timings.notices,
    )


def _tracing(options: TracingSettings, timings: TracingTimings) -> "Tracing | None":
    if not options.endpoint:
        return None
    try:
        from gateway.telemetry.tracing import Tracing  # noqa: PLC0415 - of an extra, and slow to import
    except ModuleNotFoundError:
        raise SettingsError(TRACING_EXTRA_MISSING) from None
    return Tracing(options.endpoint, version=__version__, timings=timings)


def _connect(
    settings: Settings,
    cluster: Cluster,
    clock: Clock,
    *,
    metrics: Metrics,
    connect: Connect | None,
    timings: AirbyteTimings,
) -> Airbyte:
    options = settings.airbyte
    identity, secret = options.credential
    return connect_airbyte(
        base_url=options.base_url,
        config_url=options.config_api_url,
        route=Route(settings.ca_file, Proxy.of(options.proxy) if options.proxy else None),
        auth=options.auth,
        identity=identity,
        secret=secret,
        bulkhead=cluster.bulkhead(options.max_in_flight, wait_seconds=timings.deadlines.permit),
        config_bulkhead=cluster.own_bulkhead(CONFIG_CALLS_AT_ONCE, wait_seconds=timings.deadlines.config),
        clock=clock,
        jitter=lambda: random.uniform(0.1, 0.3),  # noqa: S311 - spreads retries, guards nothing
        observer=metrics,
        traceparent=current_traceparent,
        connect=connect,
        timings=timings,
    )
