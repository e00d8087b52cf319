"""Every statement about the table `connections` and about how far last-sync refreshing has come.

What an operator changes takes the `entry` that tells of it and writes both or neither; no change, no entry.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.errors import Duplicate, Unknown
from gateway.models import ActivityEntry, Connection
from gateway.store.database import ConstraintViolated, Database, Parameters, Row, Transaction
from gateway.store.read_cache import ReadCache
from gateway.store.tables import activity

CACHED_CLIENTS = 10_000


class ConnectionsOfClient(msgspec.Struct, frozen=True):
    """A client's connections, oldest first, and what is asked of them most."""

    rows: tuple[Connection, ...]
    by_id: dict[str, Connection]
    last_sync_at: str | None


class LastSync(msgspec.Struct, frozen=True):
    """The newest sync job of the Airbyte connection `airbyte_id`; `at` is when it was created."""

    airbyte_id: str
    job_id: int
    at: str
    status: str


class Connections:
    """Connections of clients. Whatever a client asks for takes `client_id` first."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: ReadCache[int, ConnectionsOfClient] = ReadCache(
            database, self._load, maxsize=CACHED_CLIENTS, subject="connections"
        )

    async def of_client(self, client_id: int) -> ConnectionsOfClient:
        return await self._cache.get(client_id)

    async def _load(self, client_id: int) -> ConnectionsOfClient:
        rows = await self._database.fetch_all(
            "SELECT * FROM connections WHERE client_id = ? ORDER BY number", (client_id,)
        )
        connections = tuple(connection_from(row) for row in rows)
        synced = [connection.last_sync_at for connection in connections if connection.last_sync_at]
        return ConnectionsOfClient(
            rows=connections,
            by_id={connection.id: connection for connection in connections},
            last_sync_at=max(synced, default=None),
        )

    async def add(self, connection: Connection, *, entry: ActivityEntry | None = None) -> None:
        """Raises Duplicate if the id is taken or the Airbyte connection belongs to someone already."""
        await self._mapping_write(
            connection,
            """
            INSERT INTO connections (id, client_id, connector_type, label, status, created_at,
                airbyte_id, workspace_id, status_checked_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING 1
            """,
            (
                connection.id,
                connection.client_id,
                connection.connector_type,
                connection.label,
                connection.status,
                connection.created_at,
                connection.airbyte_id,
                connection.workspace_id,
                connection.status_checked_at,
            ),
            entry,
        )

    async def map(self, connection: Connection, *, entry: ActivityEntry | None = None) -> None:
        """Point the connection at `airbyte_id`, forgetting all it knew of another one; Duplicate as for `add`."""
        await self._mapping_write(
            connection,
            """
            UPDATE connections SET airbyte_id = ?, workspace_id = ?, status = ?, status_checked_at = ?,
                last_job_id = NULL, last_sync_at = NULL, last_sync_status = NULL, backfilled_at = NULL
            WHERE client_id = ? AND id = ? RETURNING 1
            """,
            (
                connection.airbyte_id,
                connection.workspace_id,
                connection.status,
                connection.status_checked_at,
                connection.client_id,
                connection.id,
            ),
            entry,
        )

    async def _mapping_write(
        self, connection: Connection, sql: str, parameters: Parameters, entry: ActivityEntry | None
    ) -> None:
        try:
            await self._change(sql, parameters, entry)
        except ConstraintViolated as error:
            if error.constraint == "connections.airbyte_id":
                airbyte_id = connection.airbyte_id
                raise Duplicate(f"the Airbyte connection {airbyte_id} is already mapped to a connection") from None
            if error.constraint == "connections.id":
                raise Duplicate(f"there already is a connection {connection.id}") from None
            raise

    async def rename(
        self, client_id: int, connection_id: str, *, label: str, entry: ActivityEntry | None = None
    ) -> None:
        await self._change(
            "UPDATE connections SET label = ? WHERE client_id = ? AND id = ? RETURNING 1",
            (label, client_id, connection_id),
            entry,
        )

    async def remove(self, client_id: int, connection_id: str, *, entry: ActivityEntry | None = None) -> None:
        await self._change(
            "DELETE FROM connections WHERE client_id = ? AND id = ? RETURNING 1", (client_id, connection_id), entry
        )

    async def _change(self, sql: str, parameters: Parameters, entry: ActivityEntry | None) -> None:
        await self._database.write(lambda connection: activity.change(connection, sql, parameters, entry))

    async def any_by_id(self, connection_id: str) -> Connection:
        """For the operator, who owns them all. Raises Unknown."""
        row = await self._database.fetch_one("SELECT * FROM connections WHERE id = ?", (connection_id,))
        if row is None:
            raise Unknown(f"there is no connection {connection_id!r}; see: gateway connection list")
        return connection_from(row)

    async def all(self) -> list[Connection]:
        """Every client's, for the operator."""
        rows = await self._database.fetch_all("SELECT * FROM connections ORDER BY client_id, number")
        return [connection_from(row) for row in rows]

    async def mapped_airbyte_ids(self) -> set[str]:
        rows = await self._database.fetch_all("SELECT airbyte_id FROM connections WHERE airbyte_id IS NOT NULL")
        return {row["airbyte_id"] for row in rows}

    async def workspaces_in_use(self) -> list[str]:
        rows = await self._database.fetch_all(
            "SELECT DISTINCT workspace_id FROM connections WHERE workspace_id IS NOT NULL ORDER BY 1"
        )
        return [row["workspace_id"] for row in rows]

    async def waiting_for_backfill(self, limit: int) -> list[Connection]:
        """Mapped connections whose newest job has not been asked for yet, oldest first."""
        rows = await self._database.fetch_all(
            """
            SELECT * FROM connections WHERE airbyte_id IS NOT NULL AND backfilled_at IS NULL
            ORDER BY number LIMIT ?
            """,
            (limit,),
        )
        return [connection_from(row) for row in rows]

    async def require_backfill(self) -> None:
        """Every mapped connection is to be asked about again."""

        async def write(connection: Transaction) -> None:
            await connection.execute_fetchall("UPDATE connections SET backfilled_at = NULL")

        await self._housekeeping(write)

    async def oldest_status_check(self) -> str | None:
        row = await self._database.fetch_one(
            "SELECT min(coalesce(status_checked_at, '')) AS oldest FROM connections WHERE airbyte_id IS NOT NULL"
        )
        return row["oldest"] if row else None

    async def read_upto(self) -> str | None:
        """Airbyte's time up to which its job list has been read."""
        row = await self._database.fetch_one("SELECT read_upto FROM last_sync_refresh")
        return row["read_upto"] if row else None

    async def record_last_syncs(
        self,
        syncs: Iterable[LastSync],
        *,
        read_upto: str | None = None,
        backfilled: Iterable[str] = (),
        backfilled_at: str | None = None,
    ) -> None:
        """Keep each sync that is at least as new as the known one; mark the connections `backfilled`."""
        updates = [(sync.job_id, sync.at, sync.status, sync.airbyte_id, sync.job_id) for sync in syncs]
        marks = [(backfilled_at, airbyte_id) for airbyte_id in backfilled]

        async def write(connection: Transaction) -> None:
            await connection.executemany(
                """
                UPDATE connections SET last_job_id = ?, last_sync_at = ?, last_sync_status = ?
                WHERE airbyte_id = ? AND coalesce(last_job_id, 0) <= ?
                """,
                updates,
            )
            await connection.executemany("UPDATE connections SET backfilled_at = ? WHERE airbyte_id = ?", marks)
            if read_upto is not None:
                await connection.execute_fetchall(
                    """
                    INSERT INTO last_sync_refresh (only_row, read_upto) VALUES (1, ?)
                    ON CONFLICT (only_row) DO UPDATE SET read_upto = excluded.read_upto
                    """,
                    (read_upto,),
                )

        await self._housekeeping(write)

    async def record_statuses(
        self, statuses: Iterable[tuple[str, str]], *, checked_at: str, workspace_id: str | None = None
    ) -> None:
        """`(airbyte_id, status)` as Airbyte just told them."""
        updates = [(status, checked_at, workspace_id, airbyte_id) for airbyte_id, status in statuses]

        async def write(connection: Transaction) -> None:
            await connection.executemany(
                """
                UPDATE connections
                SET status = ?, status_checked_at = ?, workspace_id = coalesce(?, workspace_id)
                WHERE airbyte_id = ?
                """,
                updates,
            )

        await self._housekeeping(write)

    async def mark_statuses_checked(self, checked_at: str) -> None:
        """Every mapped connection was looked for just now, found or not."""

        async def write(connection: Transaction) -> None:
            await connection.execute_fetchall(
                "UPDATE connections SET status_checked_at = ? WHERE airbyte_id IS NOT NULL", (checked_at,)
            )

        await self._housekeeping(write)

    async def _housekeeping(self, write: Any) -> None:
        """Keys stay cached; the connections read so far are read again."""
        await self._database.write(write, housekeeping=True, committed=self._cache.clear)


def connection_from(row: Row) -> Connection:
    return Connection(
        id=row["id"],
        client_id=row["client_id"],
        connector_type=row["connector_type"],
        label=row["label"],
        status=row["status"],
        created_at=row["created_at"],
        airbyte_id=row["airbyte_id"],
        workspace_id=row["workspace_id"],
        status_checked_at=row["status_checked_at"],
        last_job_id=row["last_job_id"],
        last_sync_at=row["last_sync_at"],
        last_sync_status=row["last_sync_status"],
        backfilled_at=row["backfilled_at"],
    )
