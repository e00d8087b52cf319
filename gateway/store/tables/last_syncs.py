"""The newest syncs as Airbyte told them: columns of `connections`, and the table `last_sync_refresh`."""

import json
from collections.abc import Collection, Iterable

import msgspec

from gateway.models import TERMINAL_STATUSES, Connection, Job
from gateway.store.database import Database, Row, Transaction
from gateway.store.tables import recent_syncs
from gateway.store.tables.connections import connection_from
from gateway.store.tables.recent_syncs import EndedSync
from gateway.store.tables.told_connections import ToldConnections

_NOTE_READ_UPTO = """
    INSERT INTO last_sync_refresh (only_row, read_upto) VALUES (1, :read_upto)
    ON CONFLICT (only_row) DO UPDATE SET read_upto = excluded.read_upto
    """
_MARK_BACKFILLED = """
    UPDATE connections SET backfilled_at = :at, watched_since = coalesce(watched_since, :at)
    WHERE airbyte_id = :airbyte_id
    """
_TERMINAL = ", ".join(f"'{status}'" for status in sorted(TERMINAL_STATUSES))

_KEEP_NEWER = f"""
    UPDATE connections SET last_job_id = :job_id, last_sync_at = :at, last_sync_status = :status
    WHERE airbyte_id = :airbyte_id
        AND (coalesce(last_sync_at, ''), coalesce(last_job_id, 0)) <= (:at, :job_id)
        AND (last_job_id {{differs}} :job_id OR last_sync_at {{differs}} :at
            OR (last_sync_status {{differs}} :status
                AND (:is_final = 1 OR coalesce(last_sync_status, '') NOT IN ({_TERMINAL}))))
    """  # noqa: S608 - ours


class LastSync(msgspec.Struct, frozen=True):
    """The newest sync job of the Airbyte connection `airbyte_id`; `at` is when it was created."""

    airbyte_id: str
    job_id: int
    at: str
    status: str

    @property
    def order(self) -> tuple[str, int]:
        """What tells the newer of two: ids alone do not, for they restart lower when Airbyte is restored."""
        return self.at, self.job_id


class LastSyncs:
    """What Airbyte told of mapped connections, every client's. Every method raises StorageUnavailable."""

    def __init__(self, database: Database, told: ToldConnections) -> None:
        self._database = database
        self._told = told

    async def workspaces_in_use(self) -> list[str]:
        """Return the ids of the workspaces that connections are mapped to."""
        rows = await self._database.fetch_all(
            "SELECT DISTINCT workspace_id FROM connections WHERE workspace_id IS NOT NULL ORDER BY 1"
        )
        return [row["workspace_id"] for row in rows]

    async def waiting_for_backfill(self) -> list[Connection]:
        """Return mapped connections whose newest job has yet to be asked for: one of each client, then the next."""
        rows = await self._database.fetch_all(
            """
            SELECT * FROM connections WHERE airbyte_id IS NOT NULL AND backfilled_at IS NULL
            ORDER BY row_number() OVER (PARTITION BY client_id ORDER BY number), number
            """
        )
        return [connection_from(row) for row in rows]

    async def asked_longest_ago(self, limit: int, *, before: str) -> list[Connection]:
        """Return mapped connections whose newest job was asked for last before `before`, the longest ago first."""
        rows = await self._database.fetch_all(
            """
            SELECT * FROM connections WHERE airbyte_id IS NOT NULL AND backfilled_at < :before
            ORDER BY backfilled_at, number LIMIT :limit
            """,
            {"before": before, "limit": limit},
        )
        return [connection_from(row) for row in rows]

    async def oldest_asked(self) -> str | None:
        """Return when the mapped connection that was asked for by itself longest ago was; None if none was."""
        row = await self._database.fetch_one(
            "SELECT min(backfilled_at) AS oldest FROM connections WHERE airbyte_id IS NOT NULL"
        )
        return row["oldest"] if row else None

    async def known(self, airbyte_ids: Collection[str]) -> dict[str, LastSync | None]:
        """Return the stored last sync of each mapped connection among `airbyte_ids`."""
        rows = await self._database.fetch_all(
            f"""
            SELECT airbyte_id, last_job_id, last_sync_at, last_sync_status FROM connections
            WHERE airbyte_id IN ({self._database.dialect.texts("airbyte_ids")})
            """,  # noqa: S608 - ours
            {"airbyte_ids": json.dumps(list(airbyte_ids))},
        )
        return {
            row["airbyte_id"]: None
            if row["last_job_id"] is None
            else LastSync(row["airbyte_id"], row["last_job_id"], row["last_sync_at"], row["last_sync_status"])
            for row in rows
        }

    async def recent(self, airbyte_ids: Collection[str]) -> dict[str, list[EndedSync]]:
        """Return the newest ended syncs of each mapped connection among `airbyte_ids`, the newest first."""
        return await recent_syncs.of(self._database, airbyte_ids)

    async def withdraw(self, sync: LastSync) -> None:
        """Forget the connection's last sync, if it still is this one, and with it all recent ones."""

        async def write(transaction: Transaction) -> Iterable[Row]:
            withdrawn = list(
                await transaction.execute_fetchall(
                    """
                    UPDATE connections SET last_job_id = NULL, last_sync_at = NULL, last_sync_status = NULL,
                        last_ended_at = NULL, warning = NULL, watched_since = NULL
                    WHERE airbyte_id = :airbyte_id AND last_job_id = :job_id AND last_sync_at = :at
                    RETURNING client_id, id
                    """,
                    {"airbyte_id": sync.airbyte_id, "job_id": sync.job_id, "at": sync.at},
                )
            )
            for row in withdrawn:
                await recent_syncs.forget(transaction, row["id"])
            return withdrawn

        await self._told.write(write)

    async def require_backfill(self, *, workspaces: Collection[str] = (), airbyte_ids: Collection[str] = ()) -> None:
        """Have the newest job of connections asked for again: of those in `workspaces`, and of single ones."""
        if not workspaces and not airbyte_ids:
            return
        await self._told.write(
            lambda transaction: transaction.execute_fetchall(
                f"""
                UPDATE connections SET backfilled_at = NULL
                WHERE backfilled_at IS NOT NULL AND (workspace_id IN ({self._database.dialect.texts("workspaces")})
                    OR airbyte_id IN ({self._database.dialect.texts("airbyte_ids")}))
                RETURNING client_id
                """,  # noqa: S608 - ours
                {"workspaces": json.dumps(list(workspaces)), "airbyte_ids": json.dumps(list(airbyte_ids))},
            )
        )

    async def read_upto(self) -> str | None:
        """Return Airbyte's time up to which its job list has been read; None before the first reading."""
        row = await self._database.fetch_one("SELECT read_upto FROM last_sync_refresh")
        return row["read_upto"] if row else None

    async def record(
        self,
        syncs: Iterable[LastSync],
        *,
        read_upto: str | None = None,
        backfilled: Iterable[str] = (),
        backfilled_at: str | None = None,
        ended: Collection[EndedSync] = (),
        told: Collection[Job] = (),
    ) -> None:
        """Keep each sync that is newer than the known one, or the same and not ended yet; mark the `backfilled`.

        In the same transaction: each connection keeps the newest `ended` ones, and news among `told` become events.
        """
        updates = [
            {**msgspec.structs.asdict(sync), "is_final": int(sync.status in TERMINAL_STATUSES)} for sync in syncs
        ]
        marks = [{"at": backfilled_at, "airbyte_id": airbyte_id} for airbyte_id in backfilled]

        async def write(transaction: Transaction) -> Iterable[Row]:
            before = await self._told.events.before(transaction, {job.connection_id for job in told})
            await transaction.executemany(_KEEP_NEWER.format(differs=self._database.dialect.is_distinct), updates)
            await transaction.executemany(_MARK_BACKFILLED, marks)
            await recent_syncs.keep(transaction, ended)
            await self._told.events.write_syncs(transaction, before, told)
            if read_upto is not None:
                await transaction.execute_fetchall(_NOTE_READ_UPTO, {"read_upto": read_upto})
            touched = {row["airbyte_id"] for row in [*updates, *marks]} | {sync.airbyte_id for sync in ended}
            return await self._told.owners(transaction, touched)

        await self._told.write(write)
