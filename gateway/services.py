"""The process-wide collaborators in one frozen record: built cheaply, opened in order, closed in reverse."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from gateway import __version__
from gateway.airbyte import Airbyte, Deadlines, connect_airbyte
from gateway.airbyte.client import Connect
from gateway.airbyte.connect import CONFIG_CALLS_AT_ONCE
from gateway.airbyte.route import Proxy, Route
from gateway.airbyte.tls import verifying_tls
from gateway.auth import keys
from gateway.background import Background, Progress
from gateway.cluster.cluster import Cluster
from gateway.cluster.shared_limiter import SharedLimiter
from gateway.cluster.timings import ClusterTimings
from gateway.errors import SettingsError, StorageUnavailable
from gateway.limiter import CallLimiter
from gateway.limiter.fair_queue import FairQueue
from gateway.models import RatePolicy
from gateway.provisioning.clients import ClientService
from gateway.provisioning.connections import ConnectionService
from gateway.provisioning.discovery import Discovery
from gateway.provisioning.keys import KeyService
from gateway.provisioning.timings import DiscoveryTimings
from gateway.resources import is_installed
from gateway.settings import Settings, TracingSettings
from gateway.settings.changes import Change, change_between
from gateway.store import Store
from gateway.store.retention import RETENTION, Retention
from gateway.store.timings import STORE_TIMINGS, StoreTimings
from gateway.syncs.cancel_wishes import CANCEL_WISHES
from gateway.syncs.last_sync_watch import LAST_SYNC_WATCH
from gateway.syncs.left_over import LEFT_OVER_TRIGGERS
from gateway.syncs.syncs import SyncOptions, Syncs, build_syncs
from gateway.syncs.timings import SyncTimings
from gateway.syncs.waiting import MOST_CALLERS, WaitingCallers
from gateway.telemetry.log import change_level, log_task_failure
from gateway.telemetry.loop_lag import LoopLag
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.program_files import watch_program_files
from gateway.telemetry.trace_context import current_traceparent
from gateway.times import Clock
from gateway.webhooks.delivery import WEBHOOK_DELIVERY
from gateway.webhooks.timings import WebhookTimings
from gateway.webhooks.webhooks import Outside, Webhooks, build_webhooks

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from gateway.telemetry.tracing import Tracing

USAGE_FLUSH = "usage flush"
"""The task that writes last uses and usage counts, as logs, /readyz and /metrics name it."""
OUTCOME_RETRIES = "trigger outcome retries"
"""The task that writes outcomes of triggers that could not be written."""
PROGRAM_FILES = "program files"
"""The task that looks whether the program's own files are there still."""
LOOP_LAG = "loop lag"
"""The task that measures the event loop's lag."""

OUTSIDE = Outside(verifying_tls, partial(keys.mint_id, choice=secrets.choice), secrets.token_bytes, random.random)

TRACING_EXTRA_MISSING = "tracing.endpoint: traces need more libraries: pip install -r requirements-otel.lock"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers and pages work with."""

    settings: Settings
    clock: Clock
    store: Store
    airbyte: Airbyte
    retention: Retention
    syncs: Syncs
    webhooks: Webhooks
    clients: ClientService
    connections: ConnectionService
    keys: KeyService
    discovery: Discovery
    limiter: CallLimiter | SharedLimiter
    cluster: Cluster
    metrics: Metrics
    background: Background
    loop_lag: LoopLag
    tracing: "Tracing | None" = None
    flush_seconds: float = STORE_TIMINGS.usage_flush

    @asynccontextmanager
    async def opened(self, cluster: AbstractAsyncContextManager[None] | None = None) -> AsyncIterator[None]:
        """Open what needs opening; close it in reverse, whatever happens. Raises DatabaseRefused.

        `cluster` is left when no trigger is under way any more: others would take it for the one of a dead gateway.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.background.close)
            stack.push_async_callback(self.airbyte.close)
            await stack.enter_async_context(self.store)
            await stack.enter_async_context(cluster or nullcontext())
            stack.push_async_callback(self._flush_usage)
            stack.push_async_callback(self.syncs.close)
            stack.push_async_callback(self.webhooks.delivery.close)
            stack.push_async_callback(self.discovery.close)
            stack.push_async_callback(self.background.start(USAGE_FLUSH, self._keep_flushing).stop)
            yield

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Be `opened`, for a process that serves. It alone may tell a trigger left over from one under way."""
        async with self.opened(self.cluster.joined()), AsyncExitStack() as stack:
            if self.tracing is not None:
                self.tracing.open()
                stack.push_async_callback(self.tracing.close)
            left_over = await self.syncs.left_over.read()
            for name, work in (
                (LEFT_OVER_TRIGGERS, lambda progress: self.syncs.left_over.run(left_over, progress)),
                (CANCEL_WISHES, self.syncs.cancel.wishes.run),
                (OUTCOME_RETRIES, self.syncs.outcomes.run_retries),
                (LAST_SYNC_WATCH, self._watch),
                (WEBHOOK_DELIVERY, self.webhooks.delivery.run),
                (RETENTION, self.retention.run),
                (LOOP_LAG, self.loop_lag.run),
                (PROGRAM_FILES, partial(watch_program_files, check=is_installed)),
            ):
                stack.push_async_callback(self.background.start(name, work).stop)
            yield

    async def _watch(self, progress: Progress) -> None:
        await self.syncs.last_sync_watch.run(progress, refreshed=self.webhooks.due_events.look)

    async def _keep_flushing(self, progress: Progress) -> None:
        while True:
            await asyncio.sleep(self.flush_seconds)
            await self._flush_usage()
            progress()

    async def _flush_usage(self) -> None:
        try:
            await self.store.usage.flush()
        except StorageUnavailable as error:
            log.warning("usage_not_written", detail=error.detail)


def build_services(
    settings: Settings,
    clock: Clock,
    *,
    connect: Connect | None = None,
    deadlines: Deadlines | None = None,
    background: Background | None = None,
    cluster_timings: ClusterTimings | None = None,
    sync_timings: SyncTimings | None = None,
    discovery_timings: DiscoveryTimings | None = None,
    store_timings: StoreTimings = STORE_TIMINGS,
    webhook_timings: WebhookTimings | None = None,
) -> Services:
    """Build everything a gateway needs; nothing is opened yet. `connect` replaces the network to Airbyte."""
    metrics = Metrics()
    background, store, cluster = _foundation(settings, clock, background, store_timings, cluster_timings)
    airbyte = _connect(settings, cluster, clock, metrics=metrics, connect=connect, deadlines=deadlines)
    timings = sync_timings or SyncTimings()
    options = SyncOptions(settings.airbyte.freshness_seconds, settings.airbyte.failure_messages)
    callers = WaitingCallers(FairQueue(most=MOST_CALLERS), timings.waiting)
    syncs = build_syncs(store, airbyte, cluster, clock, background, waiting=callers, options=options, timings=timings)
    return Services(
        settings=settings,
        clock=clock,
        store=store,
        airbyte=airbyte,
        retention=Retention(store, clock, leadership=cluster.leadership),
        syncs=syncs,
        webhooks=build_webhooks(store, syncs, clock, settings=settings, outside=OUTSIDE, timings=webhook_timings),
        clients=ClientService(store, clock),
        connections=ConnectionService(store, airbyte, syncs.backfill, clock, secrets.choice),
        keys=KeyService(store, clock, secrets.choice, most_active=settings.keys.most_active),
        discovery=Discovery(store, airbyte, clock, timings=discovery_timings),
        limiter=cluster.limiter(most_active=settings.keys.most_active),
        cluster=cluster,
        metrics=metrics,
        background=background,
        loop_lag=LoopLag(clock.monotonic),
        tracing=_tracing(settings.tracing),
    )


def _foundation(
    settings: Settings,
    clock: Clock,
    background: Background | None,
    of_store: StoreTimings,
    of_cluster: ClusterTimings | None,
) -> tuple[Background, Store, Cluster]:
    """Build what all else stands on."""
    background = background or Background(log_task_failure)
    store = Store(settings.database_location, background, clock=clock, timings=of_store)
    cluster = Cluster(store, settings.rate_limit, clock.monotonic, background=background, timings=of_cluster)
    return background, store, cluster


def _tracing(options: TracingSettings) -> "Tracing | None":
    if not options.endpoint:
        return None
    try:
        from gateway.telemetry.tracing import Tracing  # noqa: PLC0415 - of an extra, and slow to import
    except ModuleNotFoundError:
        raise SettingsError(TRACING_EXTRA_MISSING) from None
    return Tracing(options.endpoint, version=__version__)


def _connect(
    settings: Settings,
    cluster: Cluster,
    clock: Clock,
    *,
    metrics: Metrics,
    connect: Connect | None,
    deadlines: Deadlines | None,
) -> Airbyte:
    options = settings.airbyte
    identity, secret = options.credential
    deadlines = deadlines or Deadlines()
    return connect_airbyte(
        base_url=options.base_url,
        config_url=options.config_api_url,
        route=Route(settings.ca_file, Proxy.of(options.proxy) if options.proxy else None),
        auth=options.auth,
        identity=identity,
        secret=secret,
        bulkhead=cluster.bulkhead(options.max_in_flight, wait_seconds=deadlines.permit),
        config_bulkhead=cluster.own_bulkhead(CONFIG_CALLS_AT_ONCE, wait_seconds=deadlines.config),
        clock=clock,
        jitter=lambda: random.uniform(0.1, 0.3),  # noqa: S311 - spreads retries, guards nothing
        observer=metrics,
        traceparent=current_traceparent,
        connect=connect,
        deadlines=deadlines,
    )


def services_of(connection: "HTTPConnection") -> Services:
    """Return the services that `create_app` gave to the application."""
    services = connection.scope["app"].services
    if not isinstance(services, Services):
        raise TypeError("the application was not built by create_app")
    return services


class Reloader:
    """Reads the settings again and applies what may change, between two rounds of the event loop: all or nothing."""

    def __init__(self, read: Callable[[], Settings], settings: Settings, services: Services) -> None:
        """Start from `settings`, which hold now; `read` reads those to come."""
        self._read = read
        self._settings = settings
        self._services = services

    def reload(self) -> str:
        """Read and apply the settings; return a sentence on what came of it. Unreadable settings change nothing."""
        try:
            # In the event loop: files of a few lines, read faster than a thread is started.
            change = change_between(self._settings, self._read())
        except SettingsError as error:
            log.error("settings_refused", detail=str(error))  # noqa: TRY400 - a sentence, not a traceback
            return "Serving with the old settings; the log says why"
        self._apply(change)
        level = log.warning if change.needs_restart else log.info
        level("settings_reloaded", applied=change.applied, needs_restart=change.needs_restart)
        return (
            f"Serving; waiting for a restart: {', '.join(change.needs_restart)}" if change.needs_restart else "Serving"
        )

    def _apply(self, change: Change) -> None:
        self._settings = settings = change.settings
        services = self._services
        rate = RatePolicy(settings.rate_limit.requests, settings.rate_limit.per_seconds)
        if rate != services.limiter.default:
            services.limiter.change_default(rate)
        services.airbyte.change_credential(*settings.airbyte.credential)
        if "log.level" in change.applied:
            change_level(settings.log.level)
