"""What a connection takes over from the Airbyte connection it is mapped to: status, workspace, name, last sync."""

import msgspec

from gateway import validation
from gateway.airbyte import Airbyte, ConnectionRecord, schedule_of
from gateway.errors import Duplicate, UnknownRecord, UpstreamError, UpstreamRefused
from gateway.models import AWAITING_MAPPING, Connection
from gateway.store import Store
from gateway.syncs.backfill import Backfill
from gateway.times import Clock, format_time

CUSTOM = "custom"
"""The connector type of a source that Airbyte has no name for."""
ARROWS = (" → ", " -> ", " <> ")
"""Airbyte names connections `source → destination`; a client should not read the second half."""


class Mapped(msgspec.Struct, frozen=True):
    """A connection as it was mapped, and a warning if Airbyte could not be asked about it."""

    connection: Connection
    warning: str | None = None


class ConnectionMapping:
    """Asks Airbyte about connections that are to be mapped, or just were. Writes nothing but last syncs."""

    def __init__(self, store: Store, airbyte: Airbyte, backfill: Backfill, clock: Clock) -> None:
        self._store = store
        self._airbyte = airbyte
        self._backfill = backfill
        self._clock = clock

    async def map(self, connection: Connection, airbyte_id: str) -> Mapped:
        """Return the connection as mapped to `airbyte_id`. Raises InvalidInput, UnknownRecord, Duplicate.

        An Airbyte that cannot be asked now is only a warning: the mapping is checked as soon as it answers.
        """
        airbyte_id = validation.uuid("the Airbyte id", airbyte_id)
        if airbyte_id in await self._store.connections.mapped_airbyte_ids() - {connection.airbyte_id}:
            raise Duplicate(f"the Airbyte connection {airbyte_id} is already mapped to a connection")
        try:
            record = await self._airbyte.connection(airbyte_id)
        except UpstreamRefused as refusal:
            raise UnknownRecord(f"Airbyte has no connection {airbyte_id} ({refusal.detail})") from refusal
        except UpstreamError as error:
            warning = f"Airbyte could not be asked ({error.message}: {error.detail}); mapped unchecked"
            return Mapped(_with_mapping(connection, airbyte_id), warning)
        return Mapped(_with_mapping(connection, airbyte_id, record, checked_at=self._now()))

    async def connection_for(self, record: ConnectionRecord, *, connection_id: str, client_id: int) -> Connection:
        """Return a new connection of the client's, mapped to Airbyte's and named after it. Raises UpstreamError."""
        source_type = await self._airbyte.lists.source_type(record.source_id)
        connection = Connection(
            id=connection_id,
            client_id=client_id,
            connector_type=connector_type_from(source_type),
            label=label_from(record.name),
            status=AWAITING_MAPPING,
            created_at=self._now(),
        )
        return _with_mapping(connection, record.connection_id, record, checked_at=self._now())

    async def backfill(self, connection: Connection) -> None:
        """Store the newest sync, if Airbyte can tell it now; otherwise the gateway asks when somebody reads."""
        if connection.workspace_id is not None:
            try:
                await self._backfill.run_one(connection)
            except UpstreamError:
                return

    def _now(self) -> str:
        return format_time(self._clock.now())


def _with_mapping(
    connection: Connection,
    airbyte_id: str,
    record: ConnectionRecord | None = None,
    *,
    checked_at: str | None = None,
) -> Connection:
    return msgspec.structs.replace(
        connection,
        airbyte_id=airbyte_id,
        workspace_id=record.workspace_id if record else None,
        status=record.status if record else AWAITING_MAPPING,
        status_checked_at=checked_at,
        schedule=schedule_of(record) if record else None,
        schedule_since=checked_at,
    )


def connector_type_from(source_type: str) -> str:
    """Return Airbyte's word for the source if it is fit for a connector type, else CUSTOM."""
    return source_type if validation.SLUG.fullmatch(source_type) else CUSTOM


def label_from(name: str) -> str:
    """Return the source's half of an Airbyte connection's name, fit for a label."""
    for arrow in ARROWS:
        name = name.partition(arrow)[0]
    printable = "".join(character if character.isprintable() else " " for character in name)
    return " ".join(printable.split())[: validation.LONGEST_TEXT].rstrip() or "Connection"
