"""Every statement about the table `connections` but what Airbyte tells of them (see `last_syncs`).

What an operator changes takes the `entry` that tells of it and writes both or neither; no change, no entry.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

from gateway.errors import Duplicate, UnknownRecord
from gateway.models import DEPRECATED, TERMINAL_STATUSES, ActivityEntry, Connection, ConnectionsOfClient, Schedule
from gateway.store.database import ConstraintViolated, Database, Parameters, Row, Transaction
from gateway.store.read_cache import ReadCache
from gateway.store.tables import activity, recent_syncs
from gateway.times import parse_time

CACHED_CLIENTS = 10_000
KEPT_SCHEDULES = 1000


INSERT_CONNECTION = """
    INSERT INTO connections (id, client_id, connector_type, label, status, created_at,
        airbyte_id, workspace_id, status_checked_at, schedule, schedule_since)
    VALUES (:id, :client_id, :connector_type, :label, :status, :created_at,
        :airbyte_id, :workspace_id, :status_checked_at, :schedule, :schedule_since)
"""


class Connections:
    """Connections of clients. Whatever a client asks for takes `client_id` first.

    Every method but `forget` and `remembered` raises StorageUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: ReadCache[int, ConnectionsOfClient] = ReadCache(
            database,
            self._load,
            maxsize=CACHED_CLIENTS,
            owner_of=lambda client_id, _: client_id,
            subject="connections",
        )

    def forget(self, client_id: int) -> None:
        """Read the client's connections again when they are next asked for."""
        self._cache.forget(client_id)

    def remembered(self, client_id: int) -> ConnectionsOfClient | None:
        """Return what `of_client` would if it is in memory; None says nothing."""
        return self._cache.peek(client_id)

    async def of_client(self, client_id: int) -> ConnectionsOfClient:
        """Return the client's connections, from memory while nothing changed them."""
        return await self._cache.get(client_id)

    async def _load(self, client_id: int) -> ConnectionsOfClient:
        rows = await self._database.fetch_all(
            "SELECT * FROM connections WHERE client_id = :client_id ORDER BY number", {"client_id": client_id}
        )
        connections = tuple(connection_from(row) for row in rows)
        mapped = [connection for connection in connections if connection.airbyte_id is not None]
        told = [each.status_checked_at for each in mapped if each.status_checked_at and each.mapping == "mapped"]
        synced = [connection.last_sync_at for connection in connections if connection.last_sync_at]
        return ConnectionsOfClient(
            rows=connections,
            by_id={connection.id: connection for connection in connections},
            by_airbyte_id={connection.airbyte_id: connection for connection in mapped if connection.airbyte_id},
            last_sync_at=max(synced, default=None),
            is_mapped=bool(mapped),
            is_awaiting_backfill=any(connection.backfilled_at is None for connection in mapped),
            workspaces=frozenset(filter(None, (connection.workspace_id for connection in mapped))),
            statuses_of=parse_time(min(told)) if told else None,
        )

    async def add(self, connection: Connection, *, entry: ActivityEntry | None = None) -> None:
        """Add the connection. Raises Duplicate if the id or the Airbyte connection is taken, by whomever."""
        await self._write_mapping(connection, f"{INSERT_CONNECTION} RETURNING 1", entry)

    async def add_all(
        self, client_id: int, connections: Sequence[Connection], *, entries: Sequence[ActivityEntry]
    ) -> None:
        """Add connections of one client, all or none. Raises Duplicate if one is taken, by whomever."""

        async def unit(transaction: Transaction) -> None:
            await transaction.executemany(INSERT_CONNECTION, [_values(connection) for connection in connections])
            await activity.insert_all(transaction, entries)

        try:
            await self._database.write(unit, housekeeping=True, committed=lambda: self.forget(client_id))
        except ConstraintViolated as error:
            if error.constraint in {"connections.airbyte_id", "connections.id"}:
                raise Duplicate("one of the connections belongs to a client already; nothing was changed") from None
            raise

    async def map(self, connection: Connection, *, entry: ActivityEntry | None = None) -> None:
        """Point the connection at `airbyte_id`, forgetting all it knew of another one. Raises Duplicate as `add`."""
        await self._write_mapping(
            connection,
            """
            UPDATE connections SET airbyte_id = :airbyte_id, workspace_id = :workspace_id,
                status = :status, status_checked_at = :status_checked_at,
                schedule = :schedule, schedule_since = :schedule_since,
                last_job_id = NULL, last_sync_at = NULL, last_sync_status = NULL, backfilled_at = NULL,
                last_ended_at = NULL, warning = NULL, watched_since = NULL
            WHERE client_id = :client_id AND id = :id RETURNING 1
            """,
            entry,
        )

    async def _write_mapping(self, connection: Connection, sql: str, entry: ActivityEntry | None) -> None:
        parameters = _values(connection)

        async def unit(transaction: Transaction) -> None:
            await recent_syncs.forget(transaction, connection.id)
            await activity.change(transaction, sql, parameters, entry)

        try:
            await self._database.write(unit, housekeeping=True, committed=lambda: self.forget(connection.client_id))
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
        """Give the connection another label."""
        await self._change(
            client_id,
            "UPDATE connections SET label = :label WHERE client_id = :client_id AND id = :id RETURNING 1",
            {"label": label, "client_id": client_id, "id": connection_id},
            entry,
        )

    async def move(
        self, connection: Connection, *, to_client: int, new_id: str, entries: Iterable[ActivityEntry]
    ) -> None:
        """Give the connection to another client, under `new_id`. What Airbyte told of it goes along."""

        async def unit(transaction: Transaction) -> None:
            moved = await transaction.execute_fetchall(
                """
                UPDATE connections SET client_id = :to_client, id = :new_id
                WHERE client_id = :client_id AND id = :id RETURNING 1
                """,
                {
                    "to_client": to_client,
                    "new_id": new_id,
                    "client_id": connection.client_id,
                    "id": connection.id,
                },
            )
            for entry in entries if list(moved) else ():
                await activity.insert(transaction, entry)

        def forget() -> None:
            self.forget(connection.client_id)
            self.forget(to_client)

        await self._database.write(unit, housekeeping=True, committed=forget)

    async def remove(self, client_id: int, connection_id: str, *, entry: ActivityEntry | None = None) -> None:
        """Forget the connection; Airbyte keeps its own."""
        await self._change(
            client_id,
            "DELETE FROM connections WHERE client_id = :client_id AND id = :id RETURNING 1",
            {"client_id": client_id, "id": connection_id},
            entry,
        )

    async def _change(self, client_id: int, sql: str, parameters: Parameters, entry: ActivityEntry | None) -> None:
        """Run a statement that changes connections of one client: nobody else's are read again."""
        await self._database.write(
            lambda transaction: activity.change(transaction, sql, parameters, entry),
            housekeeping=True,
            committed=lambda: self.forget(client_id),
        )

    async def any_by_id(self, connection_id: str) -> Connection:
        """Return the connection, whosever it is, for the operator. Raises UnknownRecord."""
        row = await self._database.fetch_one("SELECT * FROM connections WHERE id = :id", {"id": connection_id})
        if row is None:
            raise UnknownRecord(f"there is no connection {connection_id!r}; see: gateway connection list")
        return connection_from(row)

    async def all(self) -> list[Connection]:
        """Return every client's connections, for the operator."""
        rows = await self._database.fetch_all("SELECT * FROM connections ORDER BY client_id, number")
        return [connection_from(row) for row in rows]

    async def is_any_syncing(self) -> bool:
        """Return whether the newest known sync of any connection has not ended, as far as Airbyte still has that."""
        ended = ", ".join(f"'{status}'" for status in sorted(TERMINAL_STATUSES))
        row = await self._database.fetch_one(
            f"""
            SELECT 1 FROM connections WHERE airbyte_id IS NOT NULL AND status <> '{DEPRECATED}'
                AND last_sync_status NOT IN ({ended}) LIMIT 1
            """  # noqa: S608 - ours
        )
        return row is not None

    async def mapped_airbyte_ids(self) -> set[str]:
        """Return the ids of the Airbyte connections that are taken."""
        rows = await self._database.fetch_all("SELECT airbyte_id FROM connections WHERE airbyte_id IS NOT NULL")
        return {row["airbyte_id"] for row in rows}


def _values(connection: Connection) -> Parameters:
    return msgspec.structs.asdict(connection) | {"schedule": schedule_text(connection.schedule)}


def connection_from(row: Row) -> Connection:
    """Return the connection of a row of the table."""
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
        schedule=None if row["schedule"] is None else _read_schedule(row["schedule"]),
        schedule_since=row["schedule_since"],
        last_ended_at=row["last_ended_at"],
        warning=row["warning"],
    )


@lru_cache(KEPT_SCHEDULES)
def _read_schedule(text: str) -> Schedule:
    """Return the schedule of a text of the table: many connections have the same."""
    schedule: Schedule = msgspec.json.decode(text, type=Schedule)
    return schedule


def schedule_text(schedule: Schedule | None) -> str | None:
    """Return what the table holds of a schedule: JSON as the API shows it."""
    return None if schedule is None else msgspec.json.encode(schedule).decode()
