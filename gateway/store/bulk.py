"""Reading all that operators set up at one moment, and many changes to it in one transaction."""

from collections.abc import Awaitable, Callable

import msgspec

from gateway.errors import Duplicate
from gateway.models import ApiKey, Client, Connection, User, Webhook
from gateway.store.changes import Changes
from gateway.store.database import ConstraintViolated, Database, Row, Transaction
from gateway.store.tables.clients import client_from
from gateway.store.tables.connections import connection_from
from gateway.store.tables.events import EventWriter
from gateway.store.tables.key_rows import key_from
from gateway.store.tables.users import user_from
from gateway.store.tables.webhooks import webhook_from


class Snapshot(msgspec.Struct, frozen=True):
    """Everything at one moment, oldest first."""

    clients: list[Client]
    connections: list[Connection]
    users: list[User]
    keys: list[ApiKey]
    webhooks: list[Webhook]


class Bulk:
    """For work on all clients at once, which is an operator's."""

    def __init__(self, database: Database, events: EventWriter) -> None:
        self._database = database
        self._events = events

    async def snapshot(self) -> Snapshot:
        """Read everything in one transaction. Raises StorageUnavailable."""
        return await self._database.write(_snapshot, housekeeping=True)

    async def change(self, work: Callable[[Snapshot, Changes], Awaitable[None]]) -> None:
        """Give `work` what there is and the means to change it; all of it is done or, if it raises, nothing.

        Raises StorageUnavailable, and Duplicate as the tables demand.
        """

        async def unit(transaction: Transaction) -> None:
            await work(await _snapshot(transaction), Changes(transaction, self._events))

        try:
            await self._database.write(unit)
        except ConstraintViolated as error:
            raise Duplicate(f"nothing was changed: {error}") from None


async def _snapshot(transaction: Transaction) -> Snapshot:
    async def rows(table: str) -> list[Row]:
        return list(await transaction.execute_fetchall(f"SELECT * FROM {table}"))  # noqa: S608 - the names below

    return Snapshot(
        clients=[client_from(row) for row in await rows("clients ORDER BY id")],
        connections=[connection_from(row) for row in await rows("connections ORDER BY number")],
        users=[user_from(row) for row in await rows("users ORDER BY number")],
        keys=[key_from(row) for row in await rows("api_keys ORDER BY number")],
        webhooks=[webhook_from(row) for row in await rows("webhooks ORDER BY number")],
    )
