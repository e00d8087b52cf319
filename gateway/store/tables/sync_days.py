"""Every statement about the tables `sync_days` and `sync_days_read`: how syncs went, day by day.

No cache holds any of it, so each write is housekeeping: the keys and connections read so far stay cached.
"""

import json
from collections.abc import Collection, Iterable

import msgspec

from gateway.models import SyncDay
from gateway.store.database import Database, Transaction
from gateway.store.pruning import prune


class SyncDays:
    """Days of Airbyte connections. A client sees those of the ones that are mapped to its own.

    Every method raises StorageUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listed_ids = f"SELECT value FROM {database.dialect.json_rows.format(':airbyte_ids')}"  # noqa: S608 - ours

    async def of_client(self, client_id: int, airbyte_ids: Collection[str], *, since: str) -> list[SyncDay]:
        """Return the days from `since` on when the client's connections among `airbyte_ids` had syncs."""
        rows = await self._database.fetch_all(
            f"""
            SELECT sync_days.* FROM connections JOIN sync_days USING (airbyte_id)
            WHERE client_id = :client_id AND airbyte_id IN ({self._listed_ids}) AND day >= :since
            """,  # noqa: S608 - ours
            {"client_id": client_id, "airbyte_ids": json.dumps(list(airbyte_ids)), "since": since},
        )
        return [SyncDay(**dict(row)) for row in rows]

    async def read_upto(self, airbyte_ids: Collection[str]) -> dict[str, str]:
        """Return up to when the days of each are complete; one that was never read is missing."""
        rows = await self._database.fetch_all(
            f"SELECT airbyte_id, read_upto FROM sync_days_read WHERE airbyte_id IN ({self._listed_ids})",  # noqa: S608 - ours
            {"airbyte_ids": json.dumps(list(airbyte_ids))},
        )
        return {row["airbyte_id"]: row["read_upto"] for row in rows}

    async def replace(
        self, airbyte_id: str, days: Iterable[SyncDay], *, first: str, before: str, read_upto: str
    ) -> None:
        """Put `days` in place of all from `first` on that come before `before`."""
        rows = [msgspec.structs.asdict(day) for day in days]

        async def write(connection: Transaction) -> None:
            await connection.execute_fetchall(
                "DELETE FROM sync_days WHERE airbyte_id = :airbyte_id AND day >= :first AND day < :before",
                {"airbyte_id": airbyte_id, "first": first, "before": before},
            )
            await connection.executemany(
                """
                INSERT INTO sync_days (airbyte_id, day, succeeded, failed, other, rows, bytes)
                VALUES (:airbyte_id, :day, :succeeded, :failed, :other, :rows, :bytes)
                """,
                rows,
            )
            await connection.execute_fetchall(
                """
                INSERT INTO sync_days_read (airbyte_id, read_upto) VALUES (:airbyte_id, :read_upto)
                ON CONFLICT (airbyte_id) DO UPDATE SET read_upto = excluded.read_upto
                """,
                {"airbyte_id": airbyte_id, "read_upto": read_upto},
            )

        await self._database.write(write, housekeeping=True)

    async def prune(self, before: str) -> None:
        """Forget the days earlier than `before`, and everything about connections that are no longer mapped.

        How far those were read goes first: whoever maps one again meanwhile has it read from the beginning.
        """
        await prune(
            self._database,
            """
            DELETE FROM sync_days_read WHERE airbyte_id IN
                (SELECT airbyte_id FROM sync_days_read
                 WHERE airbyte_id NOT IN (SELECT airbyte_id FROM connections
                                          WHERE airbyte_id IS NOT NULL) LIMIT :limit) RETURNING 1
            """,
            before,
        )
        await prune(
            self._database,
            """
            DELETE FROM sync_days WHERE (airbyte_id, day) IN
                (SELECT airbyte_id, day FROM sync_days
                 WHERE day < :before OR airbyte_id NOT IN (SELECT airbyte_id FROM connections
                                                      WHERE airbyte_id IS NOT NULL) LIMIT :limit) RETURNING 1
            """,
            before,
        )
