"""Reading all that operators set up at one moment, and many changes to it in one transaction.

Each change takes the `entry` that tells of it, and the slug of the client it belongs to, whose number the entry gets.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gateway.errors import Duplicate, Invalid
from gateway.models import ActivityEntry, ApiKey, Client, Connection, RatePolicy, User
from gateway.store.database import ConstraintViolated, Database, Row, Transaction
from gateway.store.tables import activity
from gateway.store.tables.api_keys import key_from
from gateway.store.tables.clients import client_from
from gateway.store.tables.connections import connection_from
from gateway.store.tables.users import user_from


class Snapshot(msgspec.Struct, frozen=True):
    """Everything at one moment, oldest first."""

    clients: list[Client]
    connections: list[Connection]
    users: list[User]
    keys: list[ApiKey]


class Bulk:
    """For work on all clients at once, which is an operator's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def snapshot(self) -> Snapshot:
        """Raises StorageUnavailable."""
        return await self._database.write(_snapshot, housekeeping=True)

    async def change(self, work: Callable[[Snapshot, "Changes"], Awaitable[None]]) -> None:
        """Give `work` what there is and the means to change it; all of it is done or, if it raises, nothing.

        Raises StorageUnavailable, and Duplicate as the tables demand.
        """

        async def unit(connection: Transaction) -> None:
            await work(await _snapshot(connection), Changes(connection))

        try:
            await self._database.write(unit)
        except ConstraintViolated as error:
            raise Duplicate(f"nothing was changed: {error}") from None


class Changes:
    """The statements, in the transaction that is under way."""

    def __init__(self, connection: Transaction) -> None:
        self._connection = connection

    async def add_client(self, client: Client, entry: ActivityEntry) -> None:
        await self._run(
            """
            INSERT INTO clients (slug, name, plan, rate_requests, rate_seconds, created_at, disabled_at)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            client.slug,
            client.name,
            client.plan,
            *_rate(client.rate),
            client.created_at,
            client.disabled_at,
        )
        await self._tell(client.slug, entry)

    async def update_client(self, client: Client, entry: ActivityEntry) -> None:
        await self._run(
            """
            UPDATE clients SET name = ?, plan = ?, rate_requests = ?, rate_seconds = ?, disabled_at = ? WHERE slug = ?
            """,
            client.name,
            client.plan,
            *_rate(client.rate),
            client.disabled_at,
            client.slug,
        )
        await self._tell(client.slug, entry)

    async def remove_client(self, slug: str, entry: ActivityEntry) -> None:
        await self._tell(slug, entry)
        await self._run("DELETE FROM clients WHERE slug = ?", slug)

    async def add_connection(self, slug: str, connection: Connection, entry: ActivityEntry) -> None:
        await self._run(
            """
            INSERT INTO connections (id, client_id, connector_type, label, status, created_at, airbyte_id, workspace_id)
            VALUES (?, (SELECT id FROM clients WHERE slug = ?), ?, ?, ?, ?, ?, ?)
            """,
            connection.id,
            slug,
            connection.connector_type,
            connection.label,
            connection.status,
            connection.created_at,
            connection.airbyte_id,
            connection.workspace_id,
        )
        await self._tell(slug, entry)

    async def unmap(self, connection_id: str) -> None:
        """Before mappings are given out anew: two connections may change places."""
        await self._run("UPDATE connections SET airbyte_id = NULL WHERE id = ?", connection_id)

    async def update_connection(self, slug: str, connection: Connection, entry: ActivityEntry, *, anew: bool) -> None:
        """`anew`: it is mapped to another Airbyte connection, and all that was known of the former is forgotten."""
        await self._run(
            "UPDATE connections SET connector_type = ?, label = ?, airbyte_id = ?, workspace_id = ? WHERE id = ?",
            connection.connector_type,
            connection.label,
            connection.airbyte_id,
            connection.workspace_id,
            connection.id,
        )
        if anew:
            await self._run(
                """
                UPDATE connections SET status = ?, status_checked_at = NULL, last_job_id = NULL, last_sync_at = NULL,
                    last_sync_status = NULL, backfilled_at = NULL WHERE id = ?
                """,
                connection.status,
                connection.id,
            )
        await self._tell(slug, entry)

    async def remove_connection(self, slug: str, connection_id: str, entry: ActivityEntry) -> None:
        await self._run("DELETE FROM connections WHERE id = ?", connection_id)
        await self._tell(slug, entry)

    async def add_user(self, slug: str | None, user: User, entry: ActivityEntry) -> None:
        await self._run(
            """
            INSERT INTO users (id, client_id, email, created_at)
            VALUES (?, (SELECT id FROM clients WHERE slug = ?), ?, ?)
            """,
            user.id,
            slug,
            user.email,
            user.created_at,
        )
        await self._tell(slug, entry)

    async def remove_user(self, slug: str | None, user: User, entry: ActivityEntry) -> None:
        """Raises Invalid when nobody would be left who can sign in as an admin."""
        await self._run("DELETE FROM users WHERE id = ?", user.id)
        if (
            user.is_admin
            and user.has_password
            and not await self._run("SELECT 1 FROM users WHERE client_id IS NULL AND password_hash IS NOT NULL LIMIT 1")
        ):
            raise Invalid(f"{user.email} is the last admin who can sign in: nothing was changed")
        await self._tell(slug, entry)

    async def update_key(self, slug: str, key: ApiKey, entry: ActivityEntry) -> None:
        await self._run(
            """
            UPDATE api_keys SET name = ?, scope = ?, rate_requests = ?, rate_seconds = ?, expires_at = ? WHERE id = ?
            """,
            key.name,
            key.scope,
            *_rate(key.rate),
            key.expires_at,
            key.id,
        )
        await self._tell(slug, entry)

    async def revoke_key(self, slug: str, key: ApiKey, entry: ActivityEntry) -> None:
        await self._run("UPDATE api_keys SET revoked_at = ? WHERE id = ?", entry.at, key.id)
        await self._tell(slug, entry)

    async def _run(self, sql: str, *parameters: Any) -> list[Row]:
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def _tell(self, slug: str | None, entry: ActivityEntry) -> None:
        rows = await self._run("SELECT id FROM clients WHERE slug = ?", slug)
        client_id = rows[0]["id"] if rows else None
        await activity.insert(self._connection, msgspec.structs.replace(entry, client_id=client_id))


def _rate(rate: RatePolicy | None) -> tuple[int | None, int | None]:
    return (rate.requests, rate.per_seconds) if rate else (None, None)


async def _snapshot(connection: Transaction) -> Snapshot:
    async def rows(table: str) -> list[Row]:
        return list(await connection.execute_fetchall(f"SELECT * FROM {table}"))  # noqa: S608 - the names below

    return Snapshot(
        clients=[client_from(row) for row in await rows("clients ORDER BY id")],
        connections=[connection_from(row) for row in await rows("connections ORDER BY number")],
        users=[user_from(row) for row in await rows("users ORDER BY number")],
        keys=[key_from(row) for row in await rows("api_keys ORDER BY number")],
    )
