"""The statuses, schedules and workspaces of connections as Airbyte told them: columns of `connections`."""

import json
from collections.abc import Collection, Iterable
from datetime import timedelta

import msgspec

from gateway.models import Schedule
from gateway.store.database import Database, Row, Transaction
from gateway.store.tables.connections import schedule_text
from gateway.store.tables.told_connections import ToldConnections
from gateway.times import format_time, parse_time

LONGEST_LATE = timedelta(hours=1)
"""No answer of Airbyte's is written later than this after it was asked."""
_TELL_STATUS = """
    UPDATE connections
    SET status = :status, status_checked_at = :checked_at, schedule = :schedule,
        schedule_since = CASE WHEN schedule_since IS NULL OR status <> :status
            OR schedule {differs} :schedule THEN :checked_at ELSE schedule_since END,
        workspace_id = coalesce(:workspace_id, workspace_id)
    WHERE airbyte_id = :airbyte_id
        AND (coalesce(status_checked_at, '') <= :checked_at OR status_checked_at > :believed_until)
    """


class ToldStatus(msgspec.Struct, frozen=True):
    """What Airbyte said of its connection `airbyte_id`; without `workspace_id` the one that is stored stays."""

    airbyte_id: str
    status: str
    schedule: Schedule | None = None
    workspace_id: str | None = None


class Statuses:
    """Of every client's mapped connections. Every method raises StorageUnavailable."""

    def __init__(self, database: Database, told: ToldConnections) -> None:
        self._database = database
        self._told = told

    async def oldest_check(self) -> str | None:
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

    async def record(self, statuses: Iterable[ToldStatus], *, checked_at: str) -> None:
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
            before = await self._told.events.before(transaction, airbyte_ids)
            await transaction.executemany(_TELL_STATUS.format(differs=self._database.dialect.is_distinct), updates)
            await self._told.events.write_statuses(transaction, before, checked_at=checked_at)
            return await self._told.owners(transaction, airbyte_ids)

        await self._told.write(write)

    async def older_than(self, moment: str, workspaces: Collection[str]) -> list[str]:
        """Return Airbyte's ids of connections of these workspaces whose status was not told since `moment`."""
        rows = await self._database.fetch_all(
            f"""
            SELECT airbyte_id FROM connections
            WHERE airbyte_id IS NOT NULL AND coalesce(status_checked_at, '') < :moment
                AND workspace_id IN ({self._database.dialect.texts("workspaces")})
            ORDER BY number
            """,  # noqa: S608 - ours
            {"moment": moment, "workspaces": json.dumps(list(workspaces))},
        )
        return [row["airbyte_id"] for row in rows]

    async def mark_checked(self, checked_at: str, workspaces: Collection[str]) -> None:
        """Note that the mapped connections of these workspaces were looked for just now, found or not."""
        await self._told.write(
            lambda transaction: transaction.execute_fetchall(
                f"""
                UPDATE connections SET status_checked_at = :at, schedule_since = coalesce(schedule_since, :at)
                WHERE airbyte_id IS NOT NULL AND workspace_id IN ({self._database.dialect.texts("workspaces")})
                RETURNING client_id
                """,  # noqa: S608 - ours
                {"at": checked_at, "workspaces": json.dumps(list(workspaces))},
            )
        )
