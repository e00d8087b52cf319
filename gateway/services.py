"""The process-wide collaborators in one frozen record: built cheaply, opened in order, closed in reverse."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import structlog

from gateway import __version__
from gateway.airbyte import Airbyte, AirbyteTimings, connect_airbyte
from gateway.airbyte.client import Connect
from gateway.airbyte.connect import CONFIG_CALLS_AT_ONCE
from gateway.airbyte.route import Proxy, Route
from gateway.auth.timings import AuthTimings
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
from gateway.settings import AirbyteSettings, Settings, TracingSettings
from gateway.settings.changes import Change, change_between
from gateway.store import Store
from gateway.store.retention import RETENTION, Retention
from gateway.store.timings import RetentionTimings, StoreTimings
from gateway.syncs.cancel_wishes import CANCEL_WISHES
from gateway.syncs.left_over import LEFT_OVER_TRIGGERS
from gateway.syncs.syncs import SyncOptions, Syncs, build_syncs
from gateway.syncs.timings import SyncTimings
from gateway.syncs.waiting import MOST_CALLERS, WaitingCallers
from gateway.telemetry.log import change_level, log_task_failure
from gateway.telemetry.loop_lag import LoopLag
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.timings import TelemetryTimings, TracingTimings
from gateway.telemetry.trace_context import current_traceparent
from gateway.times import Clock

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

TRACING_EXTRA_MISSING = "tracing.endpoint: traces need more libraries: pip install -r requirements-otel.lock"

log = structlog.get_logger()


class Timings(msgspec.Struct, frozen=True):
    """The timings of all rooms below, and of what this one does itself. Seconds."""

    airbyte: AirbyteTimings = AirbyteTimings()
    auth: AuthTimings = AuthTimings()
    cluster: ClusterTimings = ClusterTimings()
    discovery: DiscoveryTimings = DiscoveryTimings()
    retention: RetentionTimings = RetentionTimings()
    store: StoreTimings = StoreTimings()
    syncs: SyncTimings = SyncTimings()
    telemetry: TelemetryTimings = TelemetryTimings()
    file_check: float = 30.0
    """Between two looks whether the program's own files are there still."""


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers and pages work with."""

    settings: Settings
    clock: Clock
    store: Store
    airbyte: Airbyte
    retention: Retention
    syncs: Syncs
    clients: ClientService
    connections: ConnectionService
    keys: KeyService
    discovery: Discovery
    limiter: CallLimiter | SharedLimiter
    cluster: Cluster
    metrics: Metrics
    background: Background
    loop_lag: LoopLag
    timings: Timings
    tracing: "Tracing | None" = None

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
                (RETENTION, self.retention.run),
                (LOOP_LAG, self.loop_lag.run),
                (PROGRAM_FILES, lambda progress: watch_program_files(progress, seconds=self.timings.file_check)),
            ):
                stack.push_async_callback(self.background.start(name, work).stop)
            yield

    async def _keep_flushing(self, progress: Progress) -> None:
        while True:
            await asyncio.sleep(self.timings.store.usage_flush)
            await self._flush_usage()
            progress()

    async def _flush_usage(self) -> None:
        try:
            await self.store.usage.flush()
        except StorageUnavailable as error:
            log.warning("usage_not_written", detail=error.detail)


async def watch_program_files(progress: Progress, *, seconds: float, check: Callable[[], bool] = is_installed) -> None:
    """Log once, and end, when the program's own files are gone: only a restart brings them back.

    They are looked for every so many seconds.
    """
    while check():
        progress()
        await asyncio.sleep(seconds)
    log.error("program_files_missing", hint="restart the gateway; keep its temporary folder from being cleaned")


def build_services(
    settings: Settings,
    clock: Clock,
    *,
    connect: Connect | None = None,
    background: Background | None = None,
    timings: Timings | None = None,
) -> Services:
    """Build everything a gateway needs; nothing is opened yet. `connect` replaces the network to Airbyte.

    Raises SettingsError where settings need an extra that is not installed, OperatorError for a useless `ca_file`.
    """
    metrics, timings = Metrics(), timings or Timings()
    background = background or Background(log_task_failure)
    store = Store(settings.database_location, background, clock=clock, timings=timings.store)
    cluster = Cluster(store, settings.rate_limit, clock.monotonic, background=background, timings=timings.cluster)
    airbyte = _connect(settings, cluster, clock, metrics=metrics, connect=connect, timings=timings.airbyte)
    options = _sync_options(settings.airbyte)
    callers = WaitingCallers(FairQueue(most=MOST_CALLERS), timings.syncs.waiting)
    syncs = build_syncs(
        store, airbyte, cluster, clock, background, waiting=callers, options=options, timings=timings.syncs
    )
    return Services(
        settings=settings,
        clock=clock,
        store=store,
        airbyte=airbyte,
        retention=Retention(store, clock, leadership=cluster.leadership, timings=timings.retention),
        syncs=syncs,
        clients=ClientService(store, clock),
        connections=ConnectionService(store, airbyte, syncs.backfill, clock, secrets.choice),
        keys=KeyService(store, clock, secrets.choice, most_active=settings.keys.most_active),
        discovery=Discovery(store, airbyte, clock, timings=timings.discovery),
        limiter=cluster.limiter(most_active=settings.keys.most_active),
        cluster=cluster,
        metrics=metrics,
        background=background,
        loop_lag=LoopLag(clock.monotonic, interval_seconds=timings.telemetry.loop_lag_interval),
        timings=timings,
        tracing=_tracing(settings.tracing, timings.telemetry.tracing),
    )


def _sync_options(options: AirbyteSettings) -> SyncOptions:
    return SyncOptions(options.freshness_seconds, options.failure_messages)


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
