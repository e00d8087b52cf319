"""What the table `sync_days` comes to: by month, and of each connection in two spans of days.

A span is its first day and the day after its last, as `2026-11-01`.
"""

from collections.abc import Iterable

from gateway.models import ConnectionVolume, MonthCounts, MonthVolume
from gateway.store.database import Database, Row
from gateway.store.tables.excerpts import Excerpt, LongList

Span = tuple[str, str]
TWO_SUMS = ", ".join(
    f"CAST(coalesce(sum(CASE WHEN day >= :{span} AND day < :{span}_end THEN {what} END), 0) AS BIGINT) AS {span}_{name}"
    for span in ("first", "second")
    for name, what in (("syncs", "succeeded + failed + other"), ("rows", "rows"), ("bytes", "bytes"))
)
DAYS_OF_BOTH = "day >= :earliest AND day < :latest_end"
"""All days are four hundred of each connection: to sum them keeps SQLite's only reader for a second."""

COMPARED = LongList(
    columns="*",
    rows=f"""(
        SELECT number, id, label, connector_type, {TWO_SUMS}
        FROM connections
        LEFT JOIN sync_days ON sync_days.airbyte_id = connections.airbyte_id AND {DAYS_OF_BOTH}
        WHERE client_id = :client_id AND connections.airbyte_id IS NOT NULL
        GROUP BY number, id, label, connector_type
    ) AS compared""",  # noqa: S608 - ours
    text="label || ' ' || connector_type || ' ' || id",
    usual="first_rows DESC, second_rows DESC, label, number",
    number="number",
    orders={
        "label": "lower(label)",
        "first_rows": "first_rows",
        "second_rows": "second_rows",
        "first_bytes": "first_bytes",
        "second_bytes": "second_bytes",
    },
)
"""Connections of the client with what they moved in two spans."""


class Volumes:
    """Figures of a client's mapped connections. Every method takes `client_id` first, and raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_month(
        self, client_id: int, months: Iterable[str], *, connection_id: str | None = None
    ) -> list[MonthVolume]:
        """Return those of the months, such as `2026-11`, that have syncs: of all connections, or of one.

        Each month is read by itself, so that others read in between.
        """
        of_one = "" if connection_id is None else "AND id = :id"
        found = []
        for month in months:
            rows = await self._database.fetch_all(
                f"""
                SELECT CAST(sum(succeeded + failed + other) AS BIGINT) AS syncs, CAST(sum(failed) AS BIGINT) AS failed,
                    CAST(sum(rows) AS BIGINT) AS rows, CAST(sum(bytes) AS BIGINT) AS bytes
                FROM connections JOIN sync_days USING (airbyte_id)
                WHERE client_id = :client_id AND day >= :first AND day <= :last {of_one}
                """,  # noqa: S608 - ours
                {"client_id": client_id, "first": f"{month}-01", "last": f"{month}-31", "id": connection_id},
            )
            found += [MonthVolume(month, **dict(row)) for row in rows if row["syncs"] is not None]
        return found

    async def compared(
        self, client_id: int, excerpt: Excerpt, *, first: Span, second: Span
    ) -> tuple[list[ConnectionVolume], int]:
        """Return a page of the connections with the query in label, type or id, and how many there are.

        Those that moved most rows in the first span come first. The orders are `label`, `first_rows`, `second_rows`,
        `first_bytes` and `second_bytes`.
        """
        parameters = {"client_id": client_id, **_ends(first, second)}
        rows, total = await COMPARED.read(self._database, excerpt, parameters=parameters)
        return [_volume(row) for row in rows], total

    async def total(self, client_id: int, first: Span, second: Span) -> tuple[MonthCounts, MonthCounts]:
        """Return what all of the client's connections moved in each span."""
        row = await self._database.fetch_one(
            f"""
            SELECT {TWO_SUMS} FROM connections JOIN sync_days USING (airbyte_id)
            WHERE client_id = :client_id AND {DAYS_OF_BOTH}
            """,  # noqa: S608 - ours
            {"client_id": client_id, **_ends(first, second)},
        )
        return (_counts(row, "first"), _counts(row, "second")) if row else (MonthCounts(), MonthCounts())


def _ends(first: Span, second: Span) -> dict[str, str]:
    ends = {"first": first[0], "first_end": first[1], "second": second[0], "second_end": second[1]}
    return {**ends, "earliest": min(first[0], second[0]), "latest_end": max(first[1], second[1])}


def _volume(row: Row) -> ConnectionVolume:
    return ConnectionVolume(
        row["id"], row["label"], row["connector_type"], _counts(row, "first"), _counts(row, "second")
    )


def _counts(row: Row, span: str) -> MonthCounts:
    return MonthCounts(row[f"{span}_syncs"], row[f"{span}_rows"], row[f"{span}_bytes"])
