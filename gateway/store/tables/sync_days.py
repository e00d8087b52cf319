"""Every statement about the tables `sync_days` and `sync_days_read`: how syncs went, day by day.

No cache holds any of it, so each write is housekeeping: the keys and connections read so far stay cached.
"""

import json
from collections.abc import Collection, Iterable
from datetime import date, timedelta
from functools import reduce

import msgspec

from gateway.models import ClientMonths, MonthCounts, SyncDay, TwoMonths
from gateway.store.database import Database, Transaction
from gateway.store.pruning import prune


class SyncDays:
    """Days of Airbyte connections. A client sees those of the ones that are mapped to its own.

    Every method raises StorageUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listed_ids = database.dialect.texts("airbyte_ids")

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

    async def months_of(self, client_id: int, today: date) -> ClientMonths:
        """Return what the client's connections moved in the month of `today` and in the one before. Months are UTC's.

        Only days that were read count: `read_upto` tells how far those of each connection are complete.
        """
        this = today.replace(day=1)
        last = (this - timedelta(days=1)).replace(day=1)
        rows = await self._database.fetch_all(
            """
            SELECT id, CASE WHEN day >= :this THEN 1 ELSE 0 END AS is_this,
                CAST(sum(succeeded + failed + other) AS BIGINT) AS syncs,
                CAST(sum(rows) AS BIGINT) AS rows, CAST(sum(bytes) AS BIGINT) AS bytes
            FROM connections JOIN sync_days USING (airbyte_id)
            WHERE client_id = :client_id AND day >= :last AND day < :next
            GROUP BY 1, 2
            """,
            {
                "client_id": client_id,
                "this": this.isoformat(),
                "last": last.isoformat(),
                "next": (this + timedelta(days=32)).replace(day=1).isoformat(),
            },
        )
        found: dict[str, TwoMonths] = {}
        for row in rows:
            counts = MonthCounts(row["syncs"], row["rows"], row["bytes"])
            months = TwoMonths(this=counts) if row["is_this"] else TwoMonths(last=counts)
            found[row["id"]] = months.plus(found.get(row["id"], TwoMonths()))
        return ClientMonths(reduce(TwoMonths.plus, found.values(), TwoMonths()), found)

    async def first_day_of(self, client_id: int) -> str | None:
        """Return the first day on which a sync of the client's connections is counted; None if none is."""
        row = await self._database.fetch_one(
            "SELECT min(day) AS day FROM connections JOIN sync_days USING (airbyte_id) WHERE client_id = :client_id",
            {"client_id": client_id},
        )
        return row["day"] if row else None

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

        async def write(transaction: Transaction) -> None:
            await transaction.execute_fetchall(
                "DELETE FROM sync_days WHERE airbyte_id = :airbyte_id AND day >= :first AND day < :before",
                {"airbyte_id": airbyte_id, "first": first, "before": before},
            )
            await transaction.executemany(
                """
                INSERT INTO sync_days (airbyte_id, day, succeeded, failed, other, rows, bytes)
                VALUES (:airbyte_id, :day, :succeeded, :failed, :other, :rows, :bytes)
                """,
                rows,
            )
            await transaction.execute_fetchall(
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
