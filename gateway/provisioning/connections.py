"""What operators do with connections: add, map, rename, move, remove, and import those of a whole Airbyte workspace."""

from collections.abc import AsyncIterator, Callable

import msgspec

from gateway import validation
from gateway.airbyte import Airbyte, ConnectionRecord
from gateway.auth.keys import mint_id
from gateway.errors import InvalidInput, UnknownRecord
from gateway.models import AWAITING_MAPPING, COMMAND_LINE, ActivityEntry, Actor, Client, Connection, activity_entry
from gateway.provisioning.mapping import ConnectionMapping, Mapped
from gateway.store import Store
from gateway.syncs.backfill import Backfill
from gateway.times import Clock, format_time


class Imported(msgspec.Struct, frozen=True):
    """The result for one of Airbyte's connections: `connection` is None if it was mapped already."""

    airbyte_id: str
    connection: Connection | None


class ConnectionService:
    """Connections of clients. `choice` picks a random character; `by` is who the activity log says it was."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        backfill: Backfill,
        clock: Clock,
        choice: Callable[[str], str],
    ) -> None:
        self._clients = store.clients
        self._connections = store.connections
        self._airbyte = airbyte
        self._mapping = ConnectionMapping(store, airbyte, backfill, clock)
        self._clock = clock
        self._choice = choice

    async def add(
        self,
        client_slug: str,
        *,
        connector_type: str,
        label: str,
        airbyte_id: str | None,
        connection_id: str | None = None,
        by: Actor = COMMAND_LINE,
    ) -> Mapped:
        """Add a connection, mapped if `airbyte_id` is given.

        Raises InvalidInput, UnknownRecord, and Duplicate if the Airbyte connection or a given `connection_id` is taken.
        """
        client = await self._clients.by_slug(client_slug)
        connection = Connection(
            id=connection_id or mint_id("conn", self._choice),
            client_id=client.id,
            connector_type=validation.slug("the connector type", connector_type),
            label=validation.text("the label", label),
            status=AWAITING_MAPPING,
            created_at=self._now(),
        )
        new = Mapped(connection) if airbyte_id is None else await self._mapping.map(connection, airbyte_id)
        await self._add(new.connection, by, "connection.create")
        return new

    async def map(self, connection_id: str, airbyte_id: str, *, by: Actor = COMMAND_LINE) -> Mapped:
        """Map to `airbyte_id`, and back-fill the last sync. Raises InvalidInput, UnknownRecord, Duplicate."""
        known = await self._connections.any_by_id(connection_id)
        mapped = await self._mapping.map(known, airbyte_id)
        entry = self._entry(by, "connection.map", mapped.connection)
        await self._connections.map(mapped.connection, entry=entry)
        await self._mapping.backfill(mapped.connection)
        return mapped

    async def rename(self, connection_id: str, *, label: str, by: Actor = COMMAND_LINE) -> Connection:
        """Give the connection another label. Raises InvalidInput, UnknownRecord."""
        known = await self._connections.any_by_id(connection_id)
        renamed = msgspec.structs.replace(known, label=validation.text("the label", label))
        entry = self._entry(by, "connection.rename", renamed)
        await self._connections.rename(renamed.client_id, renamed.id, label=renamed.label, entry=entry)
        return await self._connections.any_by_id(connection_id)

    async def move(
        self, connection_id: str, client_slug: str, *, gives_new_id: bool = False, by: Actor = COMMAND_LINE
    ) -> Connection:
        """Give the connection to another client, with its mapping and last sync. Raises InvalidInput, UnknownRecord.

        Each client's log tells of it, and neither is told who the other one is. What was started stays in the log of
        the client that started it.
        """
        known = await self._connections.any_by_id(connection_id)
        client = await self._clients.by_slug(client_slug)
        if client.id == known.client_id:
            raise InvalidInput(f"{connection_id} is a connection of {client_slug} already")
        new_id = mint_id("conn", self._choice) if gives_new_id else known.id
        moved = msgspec.structs.replace(known, client_id=client.id, id=new_id)
        entries = (self._entry(by, "connection.move-out", known), self._entry(by, "connection.move-in", moved))
        await self._connections.move(known, to_client=client.id, new_id=new_id, entries=entries)
        return await self._connections.any_by_id(new_id)

    async def remove(self, connection_id: str, *, by: Actor = COMMAND_LINE) -> Connection:
        """Remove the connection; Airbyte keeps its own, and its syncs. Raises UnknownRecord."""
        connection = await self._connections.any_by_id(connection_id)
        entry = self._entry(by, "connection.remove", connection)
        await self._connections.remove(connection.client_id, connection.id, entry=entry)
        return connection

    async def import_workspace(
        self, client_slug: str, workspace_id: str, *, by: Actor = COMMAND_LINE
    ) -> AsyncIterator[Imported]:
        """Add a connection for each of the workspace's that is not mapped yet, and yield each as it is done.

        Raises InvalidInput, UnknownRecord, UpstreamError; what was imported before that stays.
        """
        client = await self._clients.by_slug(client_slug)
        workspace_id = validation.uuid("the workspace", workspace_id)
        await self._require_workspace(workspace_id)
        mapped = await self._connections.mapped_airbyte_ids()
        async for record in self._airbyte.lists.all_connections(workspace_id):
            new = None if record.connection_id in mapped else await self._import(client, record, by)
            yield Imported(record.connection_id, new)

    async def _require_workspace(self, workspace_id: str) -> None:
        """Raise UnknownRecord unless Airbyte lists the workspace: asked for one it has not, it may list nothing."""
        async for page in self._airbyte.lists.workspace_pages():
            if any(record.workspace_id == workspace_id for record in page.rows):
                return
        raise UnknownRecord(f"Airbyte has no workspace {workspace_id}, or the gateway's credential may not read it")

    async def _import(self, client: Client, record: ConnectionRecord, by: Actor) -> Connection:
        connection_id = mint_id("conn", self._choice)
        connection = await self._mapping.connection_for(record, connection_id=connection_id, client_id=client.id)
        await self._add(connection, by, "connection.import")
        return connection

    async def _add(self, connection: Connection, by: Actor, action: str) -> None:
        await self._connections.add(connection, entry=self._entry(by, action, connection))
        await self._mapping.backfill(connection)

    def _entry(self, by: Actor, action: str, connection: Connection) -> ActivityEntry:
        return activity_entry(by, action, connection, at=self._now())

    def _now(self) -> str:
        return format_time(self._clock.now())
