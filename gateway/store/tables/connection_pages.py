"""What pages show of connections: a page of them, however many there are."""

import msgspec

from gateway.models import DEPRECATED, Connection
from gateway.store.database import Database
from gateway.store.tables.connections import connection_from
from gateway.store.tables.excerpts import Excerpt, LongList

IS_UNMAPPED = "connections.airbyte_id IS NULL"
IS_VANISHED = f"connections.airbyte_id IS NOT NULL AND connections.status = '{DEPRECATED}'"
OF_MAPPING = {"": "1 = 1", "unmapped": IS_UNMAPPED, "vanished": IS_VANISHED}
"""The condition of each mapping that can be asked for; the empty one leaves nothing out."""
OWN_TEXT = "label || ' ' || connector_type || ' ' || connections.id || ' ' || coalesce(airbyte_id, '')"
CONNECTIONS_OF_CLIENT = LongList(
    columns="*",
    rows="connections",
    text=OWN_TEXT,
    usual="lower(label), number",
    number="number",
    orders={
        "label": "lower(label)",
        "type": "connector_type",
        "state": f"CASE WHEN {IS_UNMAPPED} THEN '' ELSE status END",
        "last_sync": "coalesce(last_sync_at, '')",
    },
)
CONNECTIONS_OF_CLIENTS = LongList(
    columns="connections.*",
    rows="connections JOIN clients ON clients.id = connections.client_id",
    text=f"{OWN_TEXT} || ' ' || clients.name || ' ' || clients.slug",
    usual="lower(clients.name), clients.id, lower(label), number",
    number="number",
    orders={**CONNECTIONS_OF_CLIENT.orders, "client": "lower(clients.name)"},
)


class MappingCounts(msgspec.Struct, frozen=True):
    """How many connections there are, and how many of them cannot be synced."""

    total: int
    unmapped: int
    vanished: int


class ConnectionPages:
    """Connections of one client, whose `client_id` comes first, or for the operator of all.

    Every method raises StorageUnavailable. The orders are `label`, `type`, `state` and `last_sync`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_client(self, client_id: int, excerpt: Excerpt) -> tuple[list[Connection], int]:
        """Return a page of those with the query in label, type or an id, by label, and how many there are."""
        rows, total = await CONNECTIONS_OF_CLIENT.read(
            self._database, excerpt, condition="client_id = :client_id", parameters={"client_id": client_id}
        )
        return [connection_from(row) for row in rows], total

    async def of_clients(self, excerpt: Excerpt, *, mapping: str = "") -> tuple[list[Connection], int]:
        """Return a page as `of_client` does, by client; the query may be in the client's name or slug too.

        `mapping` is one of OF_MAPPING. There is also the order `client`.
        """
        rows, total = await CONNECTIONS_OF_CLIENTS.read(
            self._database, excerpt, condition=OF_MAPPING[mapping], parameters={}
        )
        return [connection_from(row) for row in rows], total

    async def counts(self) -> MappingCounts:
        """Count the connections of all clients."""
        (row,) = await self._database.fetch_all(
            f"""
            SELECT count(*) AS total, count(CASE WHEN {IS_UNMAPPED} THEN 1 END) AS unmapped,
                count(CASE WHEN {IS_VANISHED} THEN 1 END) AS vanished
            FROM connections
            """  # noqa: S608 - ours
        )
        return MappingCounts(**dict(row))
