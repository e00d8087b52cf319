"""Every statement about the table `recent_syncs`; writes stand in a transaction that is under way, with their sums."""

import json
from collections.abc import Collection, Iterable
from datetime import timedelta

import msgspec

from gateway.models import Job
from gateway.store.database import Database, Transaction
from gateway.times import format_time, later, parse_time, seconds_of

KEPT_RECENT = 11
"""Of each connection: the newest, and the ten that it is compared with."""
_INSERT = """
    INSERT INTO recent_syncs (connection_number, job_id, at, ended_at, status, rows, bytes)
    SELECT number, CAST(:job_id AS BIGINT), :at, :ended_at, :status, CAST(:rows AS BIGINT), CAST(:bytes AS BIGINT)
    FROM connections WHERE airbyte_id = :airbyte_id
    ON CONFLICT (connection_number, job_id) DO UPDATE SET at = excluded.at, ended_at = excluded.ended_at,
        status = excluded.status, rows = excluded.rows, bytes = excluded.bytes
    """
_OF_CONNECTION = "connection_number = (SELECT number FROM connections WHERE airbyte_id = :airbyte_id)"
_TRIM = f"""
    DELETE FROM recent_syncs WHERE {_OF_CONNECTION} AND (at, job_id) < (
        SELECT at, job_id FROM recent_syncs WHERE {_OF_CONNECTION}
        ORDER BY at DESC, job_id DESC LIMIT 1 OFFSET {KEPT_RECENT - 1})
    """  # noqa: S608 - ours
_IS_EMPTY = (
    "CASE WHEN status = 'succeeded' AND coalesce(rows, bytes) IS NOT NULL "
    "AND coalesce(rows, 0) = 0 AND coalesce(bytes, 0) = 0 THEN 1 ELSE 0 END"
)
_SUMMARISE = f"""
    UPDATE connections SET (last_ended_at, warning) = (
        SELECT max(ended_at), CASE WHEN count(*) = {KEPT_RECENT} AND sum(is_empty) = 1 AND max(is_newest * is_empty) = 1
            AND max(has_moved) = 1 THEN 'no_data' END
        FROM (
            SELECT ended_at, {_IS_EMPTY} AS is_empty,
                CASE WHEN rows > 0 OR bytes > 0 THEN 1 ELSE 0 END AS has_moved,
                CASE WHEN row_number() OVER (ORDER BY at DESC, job_id DESC) = 1 THEN 1 ELSE 0 END AS is_newest
            FROM recent_syncs WHERE connection_number = connections.number
        ) AS syncs)
    WHERE airbyte_id = :airbyte_id
    """  # noqa: S608 - ours


class EndedSync(msgspec.Struct, frozen=True):
    """A sync of the Airbyte connection `airbyte_id` that has ended; `at` is when it was created."""

    airbyte_id: str
    job_id: int
    at: str
    ended_at: str
    status: str
    rows: int | None
    bytes: int | None


def end_of(job: Job) -> str:
    """Return when an ended job ended. Without a duration it ended when it was created."""
    seconds = seconds_of(job.duration) or 0
    return format_time(later(parse_time(job.start_time or ""), timedelta(seconds=seconds)))


class RecentSyncs:
    """What is held of a client's connections."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_connection(self, client_id: int, connection_id: str) -> list[EndedSync]:
        """Return the newest syncs of the client's connection that have ended, newest first. Raises StorageUnavailable.

        Those of a connection that is not the client's are none.
        """
        rows = await self._database.fetch_all(
            """
            SELECT airbyte_id, job_id, at, ended_at, recent_syncs.status AS status, rows, bytes
            FROM connections JOIN recent_syncs ON connection_number = number
            WHERE client_id = :client_id AND id = :id AND airbyte_id IS NOT NULL
            ORDER BY at DESC, job_id DESC
            """,
            {"client_id": client_id, "id": connection_id},
        )
        return [EndedSync(**dict(row)) for row in rows]


async def of(database: Database, airbyte_ids: Collection[str]) -> dict[str, list[EndedSync]]:
    """Return what is held of each mapped connection among these, the newest first. Raises StorageUnavailable."""
    rows = await database.fetch_all(
        f"""
        SELECT airbyte_id, job_id, at, ended_at, recent_syncs.status AS status, rows, bytes
        FROM connections LEFT JOIN recent_syncs ON connection_number = number
        WHERE airbyte_id IN ({database.dialect.texts("airbyte_ids")})
        ORDER BY at DESC, job_id DESC
        """,  # noqa: S608 - ours
        {"airbyte_ids": json.dumps(list(airbyte_ids))},
    )
    held: dict[str, list[EndedSync]] = {row["airbyte_id"]: [] for row in rows}
    for row in rows:
        if row["job_id"] is not None:
            held[row["airbyte_id"]].append(EndedSync(**dict(row)))
    return held


async def keep(transaction: Transaction, syncs: Iterable[EndedSync]) -> None:
    """Keep the newest of these and of what is held, and write what they come to beside each connection."""
    rows = [msgspec.structs.asdict(sync) for sync in syncs]
    each = [{"airbyte_id": airbyte_id} for airbyte_id in sorted({row["airbyte_id"] for row in rows})]
    await transaction.executemany(_INSERT, rows)
    await transaction.executemany(_TRIM, each)
    await transaction.executemany(_SUMMARISE, each)


async def forget(transaction: Transaction, connection_id: str) -> None:
    """Forget the syncs of one of our connections: it leads elsewhere from now on."""
    await transaction.execute_fetchall(
        "DELETE FROM recent_syncs WHERE connection_number = (SELECT number FROM connections WHERE id = :id)",
        {"id": connection_id},
    )
