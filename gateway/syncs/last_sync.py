"""Keep every connection's last sync and status near Airbyte's, without a call per connection or per request.

One incremental question ("which jobs changed since?") over all workspaces in use refreshes all connections of all
clients, at most once in `freshness_seconds`, shared by whoever waits, on whichever gateway. A new mapping is
back-filled by one call.
"""

import asyncio

import structlog

from gateway.errors import GatewayError, StorageUnavailable
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.backfill import Backfill
from gateway.syncs.change_reader import ChangeReader
from gateway.syncs.refresh_leader import LAST_SYNCS, RefreshLeader
from gateway.syncs.status_check import StatusCheck
from gateway.times import Clock

log = structlog.get_logger()


class LastSyncRefresh:
    """Refreshes when somebody reads; nothing happens when nobody does."""

    def __init__(
        self,
        store: Store,
        changes: ChangeReader,
        backfill: Backfill,
        statuses: StatusCheck,
        leader: RefreshLeader,
        *,
        clock: Clock,
        freshness_seconds: float,
        wait_seconds: float,
    ) -> None:
        """Let readers wait for `wait_seconds` from the beginning of a refresh."""
        self._connections = store.connections
        self._changes = changes
        self._backfill = backfill
        self._statuses = statuses
        self._leader = leader
        self._clock = clock
        self._freshness_seconds = freshness_seconds
        self._wait_seconds = wait_seconds
        self._flight: SingleFlight[str, None] = SingleFlight(
            tell=lambda error: log.error("last_sync_refresh_failed", exc_info=error)
        )
        self._refreshed_at = float("-inf")
        self._begun_at = 0.0
        self._is_fresh = False

    async def ensure_fresh(self, client_id: int) -> bool:
        """Refresh the stored figures if need be; return whether the client's are at most `freshness_seconds` old.

        Other clients' troubles count for nothing, nor does any trouble for a client without mapping.
        Raises StorageUnavailable.
        """
        is_fresh = await self._ensure_refreshed()
        connections = await self._connections.of_client(client_id)
        return not connections.is_mapped or (is_fresh and not connections.is_awaiting_backfill)

    async def _ensure_refreshed(self) -> bool:
        now = self._clock.monotonic()
        if now - self._refreshed_at < self._freshness_seconds:
            return self._is_fresh
        if LAST_SYNCS not in self._flight:
            self._begun_at = now
        flight = self._flight.start(LAST_SYNCS, self._refresh)
        patience = self._begun_at + self._wait_seconds - now
        if patience > 0:
            await asyncio.wait({flight}, timeout=patience)
        return flight.done() and self._is_fresh

    async def close(self) -> None:
        """Cancel the refresh under way."""
        await self._flight.close(cancel=True)
        await self._statuses.close()

    async def _refresh(self) -> None:
        elsewhere = await self._leader.lead_or_follow()
        if elsewhere is None:
            await self._refresh_here()
        else:
            self._is_fresh = elsewhere.is_fresh
            self._refreshed_at = self._clock.monotonic() - elsewhere.seconds_ago

    async def _refresh_here(self) -> None:
        # Whatever ends the refresh, the figures are fresh only if it came to its end.
        self._is_fresh = False
        try:
            await self._changes.read()
            await self._backfill.run()
            self._is_fresh = True
        except GatewayError as error:
            log.warning("last_sync_refresh_failed", error=str(error), detail=getattr(error, "detail", ""))
        except Exception:
            await self._conclude()
            raise
        await self._conclude()

    async def _conclude(self) -> None:
        # A failure counts as an attempt: a broken Airbyte is asked no more often than a sound one.
        self._refreshed_at = self._clock.monotonic()
        await self._leader.publish(is_fresh=self._is_fresh)
        try:
            await self._statuses.start_if_due()
        except StorageUnavailable as error:
            log.warning("status_refresh_failed", error=str(error), detail=error.detail)
