"""List what Airbyte has: workspaces, their connections and sources, whose pages come in no order."""

from collections.abc import AsyncIterator, Sequence

import msgspec

from gateway.airbyte import paths
from gateway.airbyte.mapping import checked_connection, checked_workspace
from gateway.airbyte.reader import Reader
from gateway.airbyte.rows import Page, PageDecoder, walk
from gateway.airbyte.schema import ConnectionRecord, SourceRecord, WorkspaceRecord
from gateway.errors import UpstreamInvalid

MOST_PASSES = 30
"""So many passes show each of 1,000 rows, even when pages come in random order."""

_CONNECTION_PAGES = PageDecoder(ConnectionRecord, checked_connection)
_SOURCE_PAGES = PageDecoder(SourceRecord, lambda source: source)
_SOURCE = msgspec.json.Decoder(SourceRecord)
_WORKSPACE_PAGES = PageDecoder(WorkspaceRecord, checked_workspace)


class AirbyteLists:
    """For operators and for the gateway itself: no client's call comes here. Every method raises UpstreamError."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def connections(
        self, workspace_ids: Sequence[str], *, offset: int, include_deleted: bool = False
    ) -> Page[ConnectionRecord]:
        """Return a page in no order at all: paging may repeat or miss rows. Raises UpstreamError."""
        path = paths.connections(workspace_ids, offset=offset, include_deleted=include_deleted)
        page = await self._reader.page(_CONNECTION_PAGES, path)
        return self._reader.asked_for(page, lambda record: record.workspace_id in workspace_ids)

    def connection_pages(self, workspace_ids: Sequence[str]) -> AsyncIterator[Page[ConnectionRecord]]:
        """Yield the pages of one pass over the connections of workspaces, deleted ones too. Raises UpstreamError."""
        return walk(
            lambda offset: self.connections(workspace_ids, offset=offset, include_deleted=True),
            lambda record: record.connection_id,
        )

    async def all_connections(self, workspace_id: str) -> AsyncIterator[ConnectionRecord]:
        """Yield each connection of a workspace once. Raises UpstreamError; UpstreamInvalid if pages keep hiding rows.

        Pages come in no order and may repeat or miss rows. A pass over all offsets reads as many rows as there are,
        so fewer different ones mean that some were missed: then it passes again.
        """
        seen: set[str] = set()
        for _ in range(MOST_PASSES):
            walked = 0
            async for page in walk(
                lambda offset: self.connections([workspace_id], offset=offset), lambda record: record.connection_id
            ):
                walked += len(page.rows)
                for record in page.rows:
                    if record.connection_id not in seen:
                        seen.add(record.connection_id)
                        yield record
            if len(seen) >= walked:
                return
        raise UpstreamInvalid(detail=f"Airbyte's pages kept hiding some of the workspace's {walked} connections")

    async def source_type(self, source_id: str) -> str:
        """Return `shopify`, `postgres`, …; empty for a custom connector. Its configuration is never parsed."""
        return (await self._reader.read(_SOURCE, paths.source(source_id))).source_type

    async def sources(self, workspace_id: str, *, offset: int) -> Page[SourceRecord]:
        """Return a page in no order at all, as `connections` does. Raises UpstreamError."""
        return await self._reader.page(_SOURCE_PAGES, paths.sources(workspace_id, offset=offset))

    def source_pages(self, workspace_id: str) -> AsyncIterator[Page[SourceRecord]]:
        """Yield the pages of one pass over a workspace's sources. Raises UpstreamError."""
        return walk(lambda offset: self.sources(workspace_id, offset=offset), lambda source: source.source_id)

    async def workspaces(self, *, offset: int) -> Page[WorkspaceRecord]:
        """Return a page of the workspaces that the credential sees. Raises UpstreamError."""
        return await self._reader.page(_WORKSPACE_PAGES, paths.workspaces(offset=offset))

    def workspace_pages(self) -> AsyncIterator[Page[WorkspaceRecord]]:
        """Yield all pages of the workspaces that the credential sees. Raises UpstreamError."""
        return walk(lambda offset: self.workspaces(offset=offset), lambda workspace: workspace.workspace_id)
