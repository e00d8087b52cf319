"""What last-sync refreshing reads and writes: columns of `connections`, and the table `last_sync_refresh`."""

import json
from collections.abc import Collection, Iterable
from datetime import timedelta

import msgspec

from gateway.models import TERMINAL_STATUSES, Connection, Job, Schedule
from gateway.store.database import Database, Row, Transaction, Unit
from gateway.store.tables import recent_syncs
from gateway.store.tables.connection_events import ConnectionEvents
from gateway.store.tables.connections import Connections, connection_from, schedule_text
from gateway.store.tables.events import EventWriter
from gateway.store.tables.recent_syncs import EndedSync
from gateway.times import format_time, parse_time

LONGEST_LATE = timedelta(hours=1)
"""No answer of Airbyte's is written later than this after it was asked."""
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

_TELL_STATUS = """
    UPDATE connections
    SET status = :status, status_checked_at = :checked_at, schedule = :schedule,
        schedule_since = CASE WHEN schedule_since IS NULL OR status <> :status
            OR schedule {differs} :schedule THEN :checked_at ELSE schedule_since END,
        workspace_id = coalesce(:workspace_id, workspace_id)
    WHERE airbyte_id = :airbyte_id
        AND (coalesce(status_checked_at, '') <= :checked_at OR status_checked_at > :believed_until)
    """


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


class ToldStatus(msgspec.Struct, frozen=True):
    """What Airbyte said of its connection `airbyte_id`; without `workspace_id` the one that is stored stays."""

    airbyte_id: str
    status: str
    schedule: Schedule | None = None
    workspace_id: str | None = None


class LastSyncs:
    """What Airbyte told of mapped connections, every client's. Every method raises StorageUnavailable."""

    def __init__(self, database: Database, connections: Connections, events: EventWriter) -> None:
        """Use `connections` to forget what is written here of them: all else stays cached."""
        self._database = database
        self._connections = connections
        self._events = ConnectionEvents(events, self._listed("airbyte_ids"))

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
            WHERE airbyte_id IN ({self._listed("airbyte_ids")})
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

        await self._write(write)

    async def require_backfill(self, *, workspaces: Collection[str] = (), airbyte_ids: Collection[str] = ()) -> None:
        """Have the newest job of connections asked for again: of those in `workspaces`, and of single ones."""
        if not workspaces and not airbyte_ids:
            return
        await self._write(
            lambda transaction: transaction.execute_fetchall(
                f"""
                UPDATE connections SET backfilled_at = NULL
                WHERE backfilled_at IS NOT NULL AND (workspace_id IN ({self._listed("workspaces")})
                    OR airbyte_id IN ({self._listed("airbyte_ids")}))
                RETURNING client_id
                """,  # noqa: S608 - ours
                {"workspaces": json.dumps(list(workspaces)), "airbyte_ids": json.dumps(list(airbyte_ids))},
            )
        )

    async def oldest_status_check(self) -> str | None:
        """Return when the status looked up longest ago was; "" if one never was, None if no workspace is in use.

        One that a gateway of an older version looked up, which knows no schedules, counts as never looked up.
        """
        row = await self._database.fetch_one(
            """
            SELECT min(CASE WHEN schedule_since IS NULL THEN '' ELSE coalesce(status_checked_at, '') END) AS oldest
            FROM connections
            WHERE airbyte_id IS NOT NULL AND workspace_id IS NOT NULL
            """
        )
        return row["oldest"] if row else None

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
            before = await self._events.before(transaction, {job.connection_id for job in told})
            await transaction.executemany(_KEEP_NEWER.format(differs=self._database.dialect.is_distinct), updates)
            await transaction.executemany(_MARK_BACKFILLED, marks)
            await recent_syncs.keep(transaction, ended)
            await self._events.write_syncs(transaction, before, told)
            if read_upto is not None:
                await transaction.execute_fetchall(_NOTE_READ_UPTO, {"read_upto": read_upto})
            touched = {row["airbyte_id"] for row in [*updates, *marks]} | {sync.airbyte_id for sync in ended}
            return await self._owners(transaction, touched)

        await self._write(write)

    async def record_statuses(self, statuses: Iterable[ToldStatus], *, checked_at: str) -> None:
        """Write each as Airbyte told it, and since when it has told this schedule with this status.

        `checked_at` is when Airbyte was asked: what it told later stays, unless a clock was hours ahead then. Statuses
        that change become events in the same transaction.
        """
        updates = [
            {
                "airbyte_id": told.airbyte_id,
                "status": told.status,
                "schedule": schedule_text(told.schedule),
                "checked_at": checked_at,
                "believed_until": format_time(parse_time(checked_at) + LONGEST_LATE),
                "workspace_id": told.workspace_id,
            }
            for told in statuses
        ]
        airbyte_ids = [str(row["airbyte_id"]) for row in updates]

        async def write(transaction: Transaction) -> Iterable[Row]:
            before = await self._events.before(transaction, airbyte_ids)
            await transaction.executemany(_TELL_STATUS.format(differs=self._database.dialect.is_distinct), updates)
            await self._events.write_statuses(transaction, before, checked_at=checked_at)
            return await self._owners(transaction, airbyte_ids)

        await self._write(write)

    async def statuses_older_than(self, moment: str, workspaces: Collection[str]) -> list[str]:
        """Return Airbyte's ids of connections of these workspaces whose status was not told since `moment`."""
        rows = await self._database.fetch_all(
            f"""
            SELECT airbyte_id FROM connections
            WHERE airbyte_id IS NOT NULL AND coalesce(status_checked_at, '') < :moment
                AND workspace_id IN ({self._listed("workspaces")})
            ORDER BY number
            """,  # noqa: S608 - ours
            {"moment": moment, "workspaces": json.dumps(list(workspaces))},
        )
        return [row["airbyte_id"] for row in rows]

    async def mark_statuses_checked(self, checked_at: str, workspaces: Collection[str]) -> None:
        """Note that the mapped connections of these workspaces were looked for just now, found or not."""
        await self._write(
            lambda transaction: transaction.execute_fetchall(
                f"""
                UPDATE connections SET status_checked_at = :at, schedule_since = coalesce(schedule_since, :at)
                WHERE airbyte_id IS NOT NULL AND workspace_id IN ({self._listed("workspaces")})
                RETURNING client_id
                """,  # noqa: S608 - ours
                {"at": checked_at, "workspaces": json.dumps(list(workspaces))},
            )
        )

    def _listed(self, name: str) -> str:
        """Return a subquery for the texts of the JSON list that the parameter `name` holds."""
        return f"SELECT value FROM {self._database.dialect.json_rows.format(':' + name)}"  # noqa: S608 - ours

    async def _owners(self, transaction: Transaction, airbyte_ids: Collection[str | None]) -> Iterable[Row]:
        """Return the clients of these Airbyte connections."""
        return await transaction.execute_fetchall(
            f"SELECT client_id FROM connections WHERE airbyte_id IN ({self._listed('airbyte_ids')})",  # noqa: S608 - ours
            {"airbyte_ids": json.dumps(list(airbyte_ids))},
        )

    async def _write(self, unit: Unit[Iterable[Row]]) -> None:
        """Run a unit, which returns the clients whose connections it changed: all others' stay cached."""
        touched: set[int] = set()

        async def write(transaction: Transaction) -> None:
            touched.update(row["client_id"] for row in await unit(transaction))

        def forget() -> None:
            for client_id in touched:
                self._connections.forget(client_id)

        await self._database.write(write, housekeeping=True, committed=forget)
