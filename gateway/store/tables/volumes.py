"""What the table `sync_days` comes to: by month, and of each connection in two spans of days.

A span is its first day and the day after its last, as `2026-11-01`.
"""

from gateway.models import ConnectionVolume, MonthCounts, MonthVolume
from gateway.store.database import Database, Row
from gateway.store.tables.excerpts import Excerpt, LongList

Span = tuple[str, str]
TWO_SUMS = ", ".join(
    f"CAST(coalesce(sum(CASE WHEN day >= :{span} AND day < :{span}_end THEN {what} END), 0) AS BIGINT) AS {span}_{name}"
    for span in ("first", "second")
    for name, what in (("syncs", "succeeded + failed + other"), ("rows", "rows"), ("bytes", "bytes"))
)
COMPARED = LongList(
    columns="*",
    rows=f"""
        (SELECT id, label, connector_type, {TWO_SUMS} FROM connections LEFT JOIN sync_days USING (airbyte_id)
        WHERE client_id = :client_id AND airbyte_id IS NOT NULL GROUP BY id, label, connector_type) AS summed
        """,  # noqa: S608 - ours
    text="label || ' ' || connector_type || ' ' || id",
    usual="first_rows DESC, second_rows DESC, label, id",
    number="id",
    orders={},
)


class Volumes:
    """Figures of a client's mapped connections. Every method takes `client_id` first, and raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_month(self, client_id: int, *, since: str, connection_id: str | None = None) -> list[MonthVolume]:
        """Return the months with syncs from the day `since` on, newest first: of all connections, or of one."""
        of_one = "" if connection_id is None else "AND id = :id"
        rows = await self._database.fetch_all(
            f"""
            SELECT substr(day, 1, 7) AS month, CAST(sum(succeeded + failed + other) AS BIGINT) AS syncs,
                CAST(sum(failed) AS BIGINT) AS failed,
                CAST(sum(rows) AS BIGINT) AS rows, CAST(sum(bytes) AS BIGINT) AS bytes
            FROM connections JOIN sync_days USING (airbyte_id)
            WHERE client_id = :client_id AND day >= :since {of_one} GROUP BY 1 ORDER BY 1 DESC
            """,  # noqa: S608 - ours
            {"client_id": client_id, "since": since, "id": connection_id},
        )
        return [MonthVolume(**dict(row)) for row in rows]

    async def compared(
        self, client_id: int, first: Span, second: Span, excerpt: Excerpt
    ) -> tuple[list[ConnectionVolume], int]:
        """Return the connections with the query in label, type or id: a page, and how many there are.

        Those that moved most rows in the first span come first. A page beyond the end is the last one.
        """
        values = {"client_id": client_id, **_ends(first, second)}
        rows, total = await COMPARED.read(self._database, excerpt, parameters=values)
        return [_volume(row) for row in rows], total

    async def total(self, client_id: int, first: Span, second: Span) -> tuple[MonthCounts, MonthCounts]:
        """Return what all of the client's connections moved in each span."""
        row = await self._database.fetch_one(
            f"""
            SELECT {TWO_SUMS} FROM connections JOIN sync_days USING (airbyte_id) WHERE client_id = :client_id
            """,  # noqa: S608 - ours
            {"client_id": client_id, **_ends(first, second)},
        )
        return (_counts(row, "first"), _counts(row, "second")) if row else (MonthCounts(), MonthCounts())


def _ends(first: Span, second: Span) -> dict[str, str]:
    return {"first": first[0], "first_end": first[1], "second": second[0], "second_end": second[1]}


def _volume(row: Row) -> ConnectionVolume:
    return ConnectionVolume(
        row["id"], row["label"], row["connector_type"], _counts(row, "first"), _counts(row, "second")
    )


def _counts(row: Row, span: str) -> MonthCounts:
    return MonthCounts(row[f"{span}_syncs"], row[f"{span}_rows"], row[f"{span}_bytes"])
