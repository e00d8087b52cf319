"""Write what Airbyte told of connections, of whatever client, and have no other client's read again."""

import json
from collections.abc import Awaitable, Callable, Collection, Iterable

from gateway.store.database import Database, Row, Transaction
from gateway.store.tables.connection_events import ConnectionEvents
from gateway.store.tables.connections import Connections


class ToldConnections:
    """Every method raises StorageUnavailable."""

    def __init__(self, database: Database, connections: Connections, events: ConnectionEvents) -> None:
        """Use `connections` to forget what is written here of them: all else stays cached."""
        self.events = events
        self._database = database
        self._connections = connections

    async def write(self, unit: Callable[[Transaction], Awaitable[Iterable[Row]]]) -> None:
        """Run a unit, which returns the clients whose connections it changed, as rows with `client_id`."""
        touched: set[int] = set()

        async def write(transaction: Transaction) -> None:
            touched.update(row["client_id"] for row in await unit(transaction))

        def forget() -> None:
            for client_id in touched:
                self._connections.forget(client_id)

        await self._database.write(write, housekeeping=True, committed=forget)

    async def owners(self, transaction: Transaction, airbyte_ids: Collection[str | None]) -> Iterable[Row]:
        """Return the clients of these Airbyte connections, as rows with `client_id`."""
        return await transaction.execute_fetchall(
            f"SELECT client_id FROM connections WHERE airbyte_id IN ({self._database.dialect.texts('airbyte_ids')})",  # noqa: S608 - ours
            {"airbyte_ids": json.dumps(list(airbyte_ids))},
        )
