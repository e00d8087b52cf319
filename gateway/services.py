"""The process-wide collaborators in one frozen record: built cheaply, opened in order, closed in reverse."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass

import structlog
from starlette.requests import HTTPConnection

from gateway.airbyte import Airbyte, Deadlines, Transport, connect_airbyte
from gateway.clock import Clock
from gateway.errors import StorageUnavailable
from gateway.inventory import Inventory
from gateway.last_sync import LastSyncRefresh
from gateway.limiter import Limiter
from gateway.loop_watch import LoopWatch
from gateway.metrics import Metrics
from gateway.provisioning import Provisioning
from gateway.retention import Retention
from gateway.settings import Settings
from gateway.shared.fleet import Fleet
from gateway.shared.limiter import SharedLimiter
from gateway.store import Store
from gateway.sync_history import SyncHistory
from gateway.syncs import Syncs
from gateway.trigger_audit import TriggerAudit

FLUSH_SECONDS = 30.0
"""How far last uses and usage counts may lag."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers and pages work with."""

    settings: Settings
    clock: Clock
    store: Store
    airbyte: Airbyte
    last_sync: LastSyncRefresh
    audit: TriggerAudit
    retention: Retention
    syncs: Syncs
    sync_history: SyncHistory
    provisioning: Provisioning
    inventory: Inventory
    limiter: Limiter | SharedLimiter
    fleet: Fleet
    metrics: Metrics
    loop_watch: LoopWatch
    flush_seconds: float = FLUSH_SECONDS

    @asynccontextmanager
    async def opened(self, fleet: AbstractAsyncContextManager[None] | None = None) -> AsyncIterator[None]:
        """Open what needs opening; close it in reverse, whatever happens. Raises DatabaseRefused.

        `fleet` is left when no trigger is under way any more: others would take it for the one of a dead gateway.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.airbyte.close)
            await stack.enter_async_context(self.store)
            await stack.enter_async_context(fleet or nullcontext())
            stack.push_async_callback(self._flush_usage)
            stack.push_async_callback(self.last_sync.close)
            stack.push_async_callback(self.sync_history.close)
            stack.push_async_callback(self.syncs.close)
            stack.push_async_callback(self.inventory.close)
            flusher = asyncio.create_task(self._keep_flushing())
            stack.push_async_callback(_cancel, flusher)
            yield

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """`opened`, for a process that serves. It alone may tell a trigger left over from one under way."""
        async with self.opened(self.fleet.joined()):
            tidying = asyncio.create_task(self.audit.keep_tidy(await self.audit.left_over()))
            forgetting = asyncio.create_task(self.retention.run())
            watching = asyncio.create_task(self.loop_watch.run())
            try:
                yield
            finally:
                await _cancel(tidying)
                await _cancel(forgetting)
                await _cancel(watching)

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(self.flush_seconds)
            try:
                await self._flush_usage()
            except Exception:
                # Whatever it was, the next flush may well succeed; an ended task would never write again.
                log.exception("usage_not_written")

    async def _flush_usage(self) -> None:
        try:
            await self.store.usage.flush()
        except StorageUnavailable as error:
            log.warning("usage_not_written", detail=error.detail)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def build_services(
    settings: Settings, clock: Clock, *, transport: Transport | None = None, deadlines: Deadlines | None = None
) -> Services:
    """Everything a gateway needs, nothing opened yet. `transport` replaces the network to Airbyte."""
    metrics = Metrics()
    store = Store(settings.database_place)
    fleet = Fleet(store, settings.rate_limit, clock.monotonic)
    options = settings.airbyte
    identity, secret = options.credential
    airbyte = connect_airbyte(
        base_url=options.base_url,
        auth=options.auth,
        identity=identity,
        secret=secret,
        lane=fleet.lane(options.max_in_flight),
        clock=clock,
        jitter=lambda: random.uniform(0.1, 0.3),  # noqa: S311 - spreads retries, guards nothing
        count_mismatch=metrics.count_mismatch,
        transport=transport,
        deadlines=deadlines or Deadlines(),
    )
    last_sync = LastSyncRefresh(store, airbyte, clock, freshness_seconds=options.freshness_seconds, turns=fleet.turns)
    audit = TriggerAudit(store, airbyte, clock, turns=fleet.turns, member=fleet.membership)
    return Services(
        settings=settings,
        clock=clock,
        store=store,
        airbyte=airbyte,
        last_sync=last_sync,
        audit=audit,
        retention=Retention(store, clock, turns=fleet.turns),
        syncs=Syncs(store, airbyte, last_sync, audit, clock),
        sync_history=SyncHistory(store, airbyte, clock),
        provisioning=Provisioning(store, airbyte, last_sync, clock, secrets.choice),
        inventory=Inventory(store, airbyte, clock),
        limiter=fleet.limiter(),
        fleet=fleet,
        metrics=metrics,
        loop_watch=LoopWatch(clock.monotonic),
    )


def services_of(connection: HTTPConnection) -> Services:
    """The typed way to what `create_app` gave the application."""
    services = connection.scope["app"].services
    if not isinstance(services, Services):
        raise TypeError("the application was not built by create_app")
    return services
