"""Keep every connection's last sync and status near Airbyte's, without a call per connection or per request.

One incremental question ("which jobs changed since?") over all workspaces in use refreshes all connections of all
clients, at most once in `freshness_seconds`, shared by whoever waits, on whichever gateway. A new mapping is
back-filled by one call. What is asked for by itself holds up only its own client.
"""

import asyncio
import math
from collections.abc import Collection

import structlog

from gateway.errors import GatewayError, UpstreamError
from gateway.models import Connection, ConnectionsOfClient
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.backfill import Backfill
from gateway.syncs.change_reader import ChangeReader
from gateway.syncs.outage_watch import OutageWatch
from gateway.syncs.refresh_leader import LAST_SYNCS, RefreshLeader
from gateway.syncs.status_check import StatusCheck
from gateway.times import Clock

SINGLES = "single ones"

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
        outage: OutageWatch,
        clock: Clock,
        freshness_seconds: float,
        wait_seconds: float,
    ) -> None:
        """Let readers wait for `wait_seconds` from the beginning of a refresh."""
        self._connections = store.connections
        self._last_syncs = store.last_syncs
        self._changes = changes
        self._backfill = backfill
        self._statuses = statuses
        self._leader = leader
        self._outage = outage
        self._clock = clock
        self.freshness_seconds = freshness_seconds
        """Readers refresh what is older."""
        self._wait_seconds = wait_seconds
        self._cadence = max(freshness_seconds, wait_seconds)
        self._flight: SingleFlight[str, None] = SingleFlight(
            tell=lambda error: log.error("last_sync_refresh_failed", exc_info=error), is_for_all=True
        )
        self._refreshed_at = float("-inf")
        """When the last refresh ended, however it did."""
        self._singles_at = float("-inf")
        """When those were asked for that need a call each."""
        self._is_read = False
        """Whether somebody has read figures since then."""
        self._begun_at = 0.0
        self._read_at = float("-inf")
        """When the last reading began, if it came to its end."""
        self._unread: frozenset[str] = frozenset()
        """The workspaces that it passed over."""

    async def ensure_fresh(self, client_id: int) -> bool:
        """Refresh the stored figures if need be; return whether what is told of the client's connections is current.

        Raises StorageUnavailable.
        """
        _, is_current = await self.connections_of(client_id)
        return is_current

    async def connections_of(self, client_id: int) -> tuple[ConnectionsOfClient, bool]:
        """Refresh as `ensure_fresh`; return the client's connections and whether what is told of them is current.

        It is not if the last refresh that covers one of them failed, passed it over, or is older than twice its
        cadence, nor if a status was told longer ago than twice the cadence of the check. Other clients'
        troubles count for nothing, nor does any trouble for a client without mapping. Raises
        StorageUnavailable.
        """
        self._is_read = True
        if self._is_older(self.freshness_seconds):
            await self.refresh_if_older(self.freshness_seconds)
        connections = self._connections.remembered(client_id) or await self._connections.of_client(client_id)
        are_statuses_old = not self._statuses.is_current(connections.statuses_of)
        if connections.is_awaiting_backfill or are_statuses_old:
            connections = await self._after_singles(client_id, connections, are_statuses_old=are_statuses_old)
            are_statuses_old = not self._statuses.is_current(connections.statuses_of)
        is_current = not connections.is_mapped or not (
            connections.is_awaiting_backfill or are_statuses_old or not self.is_current_for(connections.workspaces)
        )
        return connections, is_current

    async def _after_singles(
        self, client_id: int, connections: ConnectionsOfClient, *, are_statuses_old: bool
    ) -> ConnectionsOfClient:
        """Wait for what is being asked for by itself, and return the connections as they are told of then."""
        if SINGLES in self._flight:
            await self._wait(self._flight.start(SINGLES, self._ask_by_themselves))
            connections = await self._connections.of_client(client_id)
        if are_statuses_old and (check := self._statuses.under_way) is not None:
            await self._wait(check)
            connections = await self._connections.of_client(client_id)
        return connections

    def is_current_for(self, workspaces: Collection[str]) -> bool:
        """Return whether the last refresh told of these workspaces, and is not too old."""
        return self._is_current and self._unread.isdisjoint(workspaces)

    def covers(self, workspace_id: str | None) -> bool:
        """Return whether refreshing tells of a connection's syncs: Airbyte tells of its workspace, which is known."""
        return workspace_id is not None and workspace_id not in self._unread

    def tells_of(self, job_type: str, workspace_id: str | None) -> bool:
        """Return whether refreshing tells how such a job of a workspace stands: it tells of syncs only."""
        return job_type == "sync" and self.covers(workspace_id)

    async def known_at(self, connection: Connection) -> str | None:
        """Return as of when, in Airbyte's time, what is stored of the connection's syncs is known.

        None if nobody can say: refreshing passes it over, or its newest sync has yet to be asked for. Raises
        StorageUnavailable.
        """
        if connection.backfilled_at is None or not self.covers(connection.workspace_id):
            return None
        return await self._last_syncs.read_upto()

    @property
    def unread(self) -> frozenset[str]:
        """The workspaces that the last refresh passed over."""
        return self._unread

    @property
    def refreshed_at(self) -> float:
        """When the last refresh ended, however it did, monotonic: what it told of is stored since."""
        return self._refreshed_at

    @property
    def _is_current(self) -> bool:
        return self._clock.monotonic() - self._read_at <= 2 * self._cadence

    @property
    def age_seconds(self) -> float | None:
        """How long ago the changes were last read for all; None if they never were, as while nobody asks."""
        age = self._clock.monotonic() - self._read_at
        return age if math.isfinite(age) else None

    async def refresh_if_older(self, seconds: float) -> None:
        """Refresh unless a refresh ended less than `seconds` ago; wait for it as long as readers do."""
        if (flight := self.start_if_older(seconds)) is not None:
            await self._wait(flight)

    def start_if_older(self, seconds: float) -> asyncio.Task[None] | None:
        """Return the refresh that is under way or begins now; None if one ended less than `seconds` ago."""
        if not self._is_older(seconds):
            return None
        if LAST_SYNCS not in self._flight:
            self._begun_at = self._clock.monotonic()
        return self._flight.start(LAST_SYNCS, lambda: self._refresh(seconds))

    def _is_older(self, seconds: float) -> bool:
        """Return whether the last refresh ended at least `seconds` ago."""
        return self._clock.monotonic() - self._refreshed_at >= seconds

    async def _wait(self, flight: asyncio.Task[None]) -> None:
        """Wait for a flight as long as readers do."""
        patience = self._begun_at + self._wait_seconds - self._clock.monotonic()
        if patience > 0:
            await asyncio.wait({flight}, timeout=patience)

    async def close(self) -> None:
        """Cancel the refresh under way."""
        await self._flight.close(cancel=True)
        await self._statuses.close()

    async def _refresh(self, seconds: float) -> None:
        elsewhere = await self._leader.lead_or_follow(seconds)
        if elsewhere is None:
            await self._refresh_here()
            return
        self._refreshed_at = self._clock.monotonic() - elsewhere.seconds_ago
        # That it was told as fresh means that it took no longer than the cadence.
        self._read_at = self._refreshed_at - self._cadence if elsewhere.is_fresh else float("-inf")
        self._unread = elsewhere.unread

    async def _refresh_here(self) -> None:
        """Read the changes for all; then ask, in a flight of its own, for what has to be asked for by itself."""
        began = self._clock.monotonic()
        read_at = float("-inf")
        try:
            if await self._changes.read():
                await self._outage.answered()
            read_at = began
        except GatewayError as error:
            if isinstance(error, UpstreamError):
                await self._outage.failed(error)
            log.warning("last_sync_refresh_failed", error=str(error), detail=getattr(error, "detail", ""))
        except Exception:
            log.exception("last_sync_refresh_failed")
        finally:
            # A failure counts as an attempt: a broken Airbyte is asked no more often than a sound one.
            self._refreshed_at = self._clock.monotonic()
            self._read_at = read_at
            self._unread = self._changes.unread
            await self._conclude()

    async def _conclude(self) -> None:
        await self._leader.publish(
            is_fresh=self._refreshed_at - self._read_at <= self._cadence,
            unread=self._unread,
        )
        # No more often for those who wait for a job, and so refresh each second.
        now = self._clock.monotonic()
        if now - self._singles_at >= self.freshness_seconds:
            self._singles_at = now
            self._flight.start(SINGLES, self._ask_by_themselves)

    async def _ask_by_themselves(self) -> None:
        """Ask for workspaces and connections that need a call each: only their clients wait for those."""
        try:
            if self._is_current:  # nor is a broken Airbyte asked for single ones
                await self._changes.retry_unread()
                self._unread = self._changes.unread
                is_read, self._is_read = self._is_read, False
                await self._backfill.run(is_read=is_read)
            await self._statuses.start_if_due()
        except GatewayError as error:
            log.warning("backfill_interrupted", error=str(error), detail=getattr(error, "detail", ""))
