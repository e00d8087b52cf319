"""Discover the workspaces and connections that Airbyte has, for the operator who maps them.

Reading a list takes a call for every twenty connections, so it is done in the background, at most once a minute, and a
page shows what is known. What it says about mapped connections is stored: their status, and that one has vanished.
"""

from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from typing import Generic, TypeVar

import msgspec
import structlog
from cachetools import LRUCache

from gateway.airbyte import Airbyte, ConnectionRecord, schedule_of
from gateway.errors import InternalError, UpstreamError, UpstreamRefused
from gateway.models import Schedule
from gateway.provisioning.mapping import connector_type_from
from gateway.provisioning.timings import DiscoveryTimings
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.refusals import NOT_FOUND
from gateway.syncs.statuses import record_statuses, record_vanished
from gateway.times import Clock, format_time

MOST_LISTINGS = 32
"""Lists kept, of workspaces that were looked at last."""
MOST_MISSING = 100
"""How many mapped connections that are missing from a list are asked for one by one."""
WORKSPACES = "workspaces"

Row = TypeVar("Row")

log = structlog.get_logger()


class UpstreamWorkspace(msgspec.Struct, frozen=True):
    """A workspace of Airbyte's."""

    id: str
    name: str


class UpstreamConnection(msgspec.Struct, frozen=True):
    """A connection of Airbyte's, as it was told at `read_at`. `connector_type` is empty while it is unknown."""

    id: str
    name: str
    status: str
    connector_type: str
    workspace_id: str
    read_at: str
    schedule: Schedule | None


class Listing(Generic[Row]):
    """What Airbyte has, by name, as it was at `read_at`. Before the first reading has ended that is None.

    `problem` is why the last reading failed, for operators, or empty.
    """

    def __init__(self) -> None:
        self.rows: Sequence[Row] = ()
        self.read_at: str | None = None
        self.read_so_far = 0
        self.is_under_way = False
        self.problem = ""
        self.fresh_until = float("-inf")


class Discovery:
    """Lists of Airbyte's workspaces and connections. Nothing is read unless somebody asks."""

    def __init__(
        self, store: Store, airbyte: Airbyte, clock: Clock, *, timings: DiscoveryTimings | None = None
    ) -> None:
        self._store = store
        self._connections = store.connections
        self._airbyte = airbyte
        self._clock = clock
        self._timings = timings or DiscoveryTimings()
        self._flights: SingleFlight[str, None] = SingleFlight(
            tell=lambda error: log.error("discovery_failed", exc_info=error)
        )
        self._workspaces: Listing[UpstreamWorkspace] = Listing()
        self._listings: LRUCache[str, Listing[UpstreamConnection]] = LRUCache(MOST_LISTINGS)

    async def workspaces(self, *, force: bool = False) -> Listing[UpstreamWorkspace]:
        """Return the workspaces by name, as they are known now. `force` reads them again."""
        listing = self._workspaces
        await self._refresh(WORKSPACES, listing, lambda: self._read_workspaces(listing), force=force)
        return copy(listing)

    async def connections(self, workspace_id: str, *, force: bool = False) -> Listing[UpstreamConnection]:
        """Return the workspace's connections that Airbyte has not deleted, by name, as they are known now.

        What a reading under way changes later is not in it: a page must not show old rows under a new time. `force`
        reads them again.

        `workspace_id` must be one that Airbyte named: it becomes a part of an address.
        """
        listing = self._listings.get(workspace_id) or Listing()
        self._listings[workspace_id] = listing
        await self._refresh(workspace_id, listing, lambda: self._read_connections(workspace_id, listing), force=force)
        return copy(listing)

    async def close(self) -> None:
        """Cancel readings that are under way."""
        await self._flights.close(cancel=True)

    async def _refresh(
        self, key: str, listing: Listing[Row], read: Callable[[], Awaitable[Sequence[Row]]], *, force: bool
    ) -> None:
        """Start a reading unless the list is fresh, or join the one under way, and wait as long as a page may."""
        if not force and self._clock.monotonic() < listing.fresh_until:
            return
        await self._flights.run_for(key, lambda: self._read(listing, read), seconds=self._timings.page_wait)

    async def _read(self, listing: Listing[Row], read: Callable[[], Awaitable[Sequence[Row]]]) -> None:
        listing.is_under_way = True
        try:
            listing.rows = await read()
            listing.read_at = format_time(self._clock.now())
            listing.fresh_until = self._clock.monotonic() + self._timings.fresh
            listing.problem = ""
        except UpstreamError as error:
            listing.problem = self._airbyte.troubles.explain(error).cause
        except Exception:
            listing.problem = InternalError.message
            raise
        finally:
            listing.is_under_way = False

    async def _read_workspaces(self, listing: Listing[UpstreamWorkspace]) -> Sequence[UpstreamWorkspace]:
        found: dict[str, UpstreamWorkspace] = {}
        listing.read_so_far = 0
        async for page in self._airbyte.lists.workspace_pages():
            listing.read_so_far += page.sent
            found |= {record.workspace_id: UpstreamWorkspace(record.workspace_id, record.name) for record in page.rows}
        return sorted(found.values(), key=lambda workspace: (workspace.name.casefold(), workspace.id))

    async def _read_connections(
        self, workspace_id: str, listing: Listing[UpstreamConnection]
    ) -> Sequence[UpstreamConnection]:
        listing.read_so_far = 0
        records: list[ConnectionRecord] = []
        asked_at = format_time(self._clock.now())
        async for record in self._airbyte.lists.all_connections(workspace_id):
            records.append(record)
            listing.read_so_far = len(records)
        await self._record_statuses(workspace_id, records, asked_at=asked_at)
        types = await self._connector_types(workspace_id)
        records.sort(key=lambda record: (record.name.casefold(), record.connection_id))
        return [
            UpstreamConnection(
                record.connection_id,
                record.name,
                record.status,
                types.get(record.source_id, ""),
                workspace_id=record.workspace_id,
                read_at=asked_at,
                schedule=schedule_of(record),
            )
            for record in records
        ]

    async def _connector_types(self, workspace_id: str) -> dict[str, str]:
        """Return `{source id: connector type}`. What Airbyte does not say now, the operator fills in."""
        types: dict[str, str] = {}
        try:
            async for page in self._airbyte.lists.source_pages(workspace_id):
                types |= {source.source_id: connector_type_from(source.source_type) for source in page.rows}
        except UpstreamError:
            return types
        return types

    async def _record_statuses(self, workspace_id: str, records: Sequence[ConnectionRecord], *, asked_at: str) -> None:
        """Store the status of each mapped connection of the workspace, whether it is in the list or not."""
        mapped = {row.airbyte_id: row for row in await self._connections.all() if row.airbyte_id is not None}
        listed = {record.connection_id for record in records}
        told = [record for record in records if record.connection_id in mapped]
        await record_statuses(self._store, told, checked_at=asked_at)
        missing = [key for key, row in mapped.items() if key not in listed and row.workspace_id == workspace_id]
        for airbyte_id in missing[:MOST_MISSING]:
            await self._ask_for(airbyte_id)

    async def _ask_for(self, airbyte_id: str) -> None:
        """Store the status and the workspace of a connection that was missing from a list, which proves nothing."""
        asked_at = format_time(self._clock.now())
        try:
            record = await self._airbyte.connection(airbyte_id)
        except UpstreamRefused as refusal:
            if refusal.title == NOT_FOUND:
                await record_vanished(self._store, airbyte_id, checked_at=asked_at)
        except UpstreamError as error:
            log.warning("connection_not_listed", airbyte_id=airbyte_id, detail=error.detail)
        else:
            await record_statuses(self._store, [record], checked_at=asked_at)
