"""The record of the collaborators: opened in order, closed in reverse."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from gateway.airbyte import Airbyte
from gateway.background import Background, Progress
from gateway.cluster.cluster import Cluster
from gateway.cluster.shared_limiter import SharedLimiter
from gateway.errors import StorageUnavailable
from gateway.limiter import CallLimiter, Limiter
from gateway.notices.building import Notices
from gateway.notices.watch import NOTICES
from gateway.provisioning.assignment import Assignment
from gateway.provisioning.clients import ClientService
from gateway.provisioning.connections import ConnectionService
from gateway.provisioning.discovery import Discovery
from gateway.provisioning.keys import KeyService
from gateway.resources import is_installed
from gateway.services.timings import Timings
from gateway.settings import Settings
from gateway.settings.brand import CurrentBrand
from gateway.store import Store
from gateway.store.retention import RETENTION, Retention
from gateway.syncs.cancel_wishes import CANCEL_WISHES
from gateway.syncs.last_sync_watch import LAST_SYNC_WATCH
from gateway.syncs.left_over import LEFT_OVER_TRIGGERS
from gateway.syncs.syncs import Syncs
from gateway.telemetry.loop_lag import LoopLag
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.program_files import watch_program_files
from gateway.times import Clock
from gateway.webhooks.delivery import WEBHOOK_DELIVERY
from gateway.webhooks.due_events import DUE_EVENTS
from gateway.webhooks.webhooks import Webhooks

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from gateway.telemetry.tracing import Tracing

INSTALLATION_ID_BYTES = 8
USAGE_FLUSH = "usage flush"
"""The task that writes last uses and usage counts, as logs, /readyz and /metrics name it."""
OUTCOME_RETRIES = "trigger outcome retries"
"""The task that writes outcomes of triggers that could not be written."""
PROGRAM_FILES = "program files"
"""The task that looks whether the program's own files are there still."""
LOOP_LAG = "loop lag"
"""The task that measures the event loop's lag."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers and pages work with."""

    settings: Settings
    brand: CurrentBrand
    clock: Clock
    store: Store
    airbyte: Airbyte
    retention: Retention
    syncs: Syncs
    webhooks: Webhooks
    clients: ClientService
    connections: ConnectionService
    keys: KeyService
    assignment: Assignment
    discovery: Discovery
    limiter: CallLimiter | SharedLimiter
    polls: Limiter
    """How fast clients ask for jobs, which takes no token: who is too fast waits a moment, and nobody is refused."""
    job_reads: Limiter
    """How often a client's polls may have Airbyte asked: who looks for many jobs that nobody knows waits for a turn."""
    cluster: Cluster
    metrics: Metrics
    notices: Notices
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
                (DUE_EVENTS, self.webhooks.due_events.run),
                (WEBHOOK_DELIVERY, self.webhooks.delivery.run),
                (RETENTION, self.retention.run),
                (LOOP_LAG, self.loop_lag.run),
                (PROGRAM_FILES, self._watch_files),
            ):
                stack.push_async_callback(self.background.start(name, work).stop)
            if self.notices.watch.channels:
                stack.push_async_callback(self.notices.watch.close)
                stack.push_async_callback(self.background.start(NOTICES, self.notices.watch.run).stop)
            yield

    async def _watch_files(self, progress: Progress) -> None:
        await watch_program_files(progress, check=is_installed, seconds=self.timings.file_check)

    async def _watch(self, progress: Progress) -> None:
        await self.syncs.last_sync_watch.run(progress, refreshed=self.webhooks.due_events.wake)

    async def installation_id(self) -> str:
        """Return what tells this installation's database from all others. Raises StorageUnavailable."""
        return await self.store.database_id.get(secrets.token_hex(INSTALLATION_ID_BYTES))

    async def _keep_flushing(self, progress: Progress) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.timings.store.usage_flush):
                    await self.store.usage.has_many.wait()
            await self._flush_usage()
            progress()

    async def _flush_usage(self) -> None:
        try:
            await self.store.usage.flush()
            await self.store.key_callers.flush()
        except StorageUnavailable as error:
            log.warning("usage_not_written", detail=error.detail)


def services_of(connection: "HTTPConnection") -> Services:
    """Return the services that `create_app` gave to the application."""
    services = connection.scope["app"].services
    if not isinstance(services, Services):
        raise TypeError("the application was not built by create_app")
    return services
