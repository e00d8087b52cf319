"""Every statement about the table `activity`: who did what, written in the transaction of what was done."""

from collections.abc import Iterable

import msgspec

from gateway.models import ActivityEntry
from gateway.store.database import Database, Parameters, Row, Transaction
from gateway.store.pruning import prune
from gateway.store.tables.text_search import contains, patterns

COLUMNS = ", ".join(ActivityEntry.__struct_fields__)
"""By name: a newer gateway on the same database may have added one."""
INSERT_ENTRY = """
    INSERT INTO activity (at, client_id, actor, action, subject, address, request_id, by_operator)
    VALUES (:at, :client_id, :actor, :action, :subject, :address, :request_id, :by_operator)
"""
LAST_NUMBER = (1 << 63) - 1
"""The largest there is: every entry comes before it."""
SEARCHED_AT_ONCE = 5000
"""Entries that one search looks at: through half a million it keeps SQLite's only reader for more than a second."""


class ActivityFilter(msgspec.Struct, frozen=True):
    """Which entries are wanted; what is empty leaves none out.

    `person` is a part of the actor's name. `operator` stands for the names of the operator's people: whoever is not
    told them finds no entry by them. `since` is the first time, `until` the first that is too late.
    """

    person: str = ""
    action: str = ""
    since: str = ""
    until: str = ""
    operator: str = ""

    @property
    def condition(self) -> str:
        """What the rows must fulfil, in SQL."""
        actor = "CASE by_operator WHEN 1 THEN :operator ELSE actor END" if self.operator else "actor"
        conditions = {
            contains(actor): self.person,
            "action = :action": self.action,
            "at >= :since": self.since,
            "at < :until": self.until,
        }
        return " AND ".join(
            ["number < :before", "number > :floor", *(text for text, value in conditions.items() if value)]
        )

    @property
    def parameters(self) -> Parameters:
        """What stands for each name of the condition but `before` and `floor`."""
        return {**msgspec.structs.asdict(self), **patterns(self.person)}


class Found(msgspec.Struct, frozen=True):
    """Entries that a search found, newest first. The search goes on `before` this number; None at its end."""

    rows: list[ActivityEntry]
    before: int | None = None


class ActivityLog:
    """Entries, newest first. What a client may see takes `client_id` first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, entry: ActivityEntry) -> None:
        """Write an entry about something that changes nothing in the database. Raises StorageUnavailable."""
        await self._database.write(lambda transaction: insert(transaction, entry), housekeeping=True)

    async def of_client(self, client_id: int, *, before: int | None = None, limit: int) -> list[ActivityEntry]:
        """Return at most `limit` entries of the client's; with `before`, only those with a smaller number.

        Raises StorageUnavailable.
        """
        return await self._select(
            f"""
            SELECT {COLUMNS} FROM activity WHERE client_id = :client_id AND number < :before
            ORDER BY number DESC LIMIT :limit
            """,  # noqa: S608 - ours
            {"client_id": client_id, "before": _number(before), "limit": limit},
        )

    async def all(self, *, before: int | None = None, limit: int) -> list[ActivityEntry]:
        """Return entries as `of_client` does, of every client and of none, for the operator.

        Raises StorageUnavailable.
        """
        return await self._select(
            f"SELECT {COLUMNS} FROM activity WHERE number < :before ORDER BY number DESC LIMIT :limit",  # noqa: S608 - ours
            {"before": _number(before), "limit": limit},
        )

    async def search_of_client(
        self, client_id: int, *, before: int | None = None, limit: int, wanted: ActivityFilter
    ) -> Found:
        """Return at most `limit` entries of the client's, of the next SEARCHED_AT_ONCE below the number `before`.

        Raises StorageUnavailable.
        """
        return await self._search("client_id = :client_id", {"client_id": client_id}, before, limit, wanted)

    async def search_all(self, *, before: int | None = None, limit: int, wanted: ActivityFilter) -> Found:
        """Return entries as `search_of_client` does, of every client and of none, for the operator.

        Raises StorageUnavailable.
        """
        return await self._search("1 = 1", {}, before, limit, wanted)

    async def prune(self, before: str) -> None:
        """Forget what happened earlier than `before`. Raises StorageUnavailable."""
        await prune(
            self._database,
            """
            DELETE FROM activity WHERE number IN
                (SELECT number FROM activity WHERE at < :before LIMIT :limit) RETURNING 1
            """,
            before,
        )

    async def _search(
        self, scope: str, parameters: Parameters, before: int | None, limit: int, wanted: ActivityFilter
    ) -> Found:
        """Search the next entries of `scope`, a condition in SQL. One more than `limit` tells if there are more."""
        first, end = await self._beginning_of(wanted), await self._end_of(wanted)
        last = min(_number(before), end)
        parameters = {**parameters, **wanted.parameters, "before": last, "limit": limit + 1}
        beyond = await self._database.fetch_all(
            f"""
            SELECT number FROM activity WHERE {scope} AND number < :before
            ORDER BY number DESC LIMIT 1 OFFSET :searched
            """,  # noqa: S608 - ours
            {**parameters, "searched": SEARCHED_AT_ONCE},
        )
        looked_through = beyond[0]["number"] if beyond else 0
        floor = max(looked_through, first - 1)
        rows = await self._select(
            f"""
            SELECT {COLUMNS} FROM activity WHERE {scope} AND {wanted.condition}
            ORDER BY number DESC LIMIT :limit
            """,  # noqa: S608 - ours
            {**parameters, "floor": floor},
        )
        if len(rows) > limit:
            return Found(rows[:limit], before=rows[limit - 1].number)
        return Found(rows, before=looked_through + 1 if looked_through >= first else None)

    async def _beginning_of(self, wanted: ActivityFilter) -> int:
        """Return the least number of an entry from `since` on, so that a search ends there.

        Several gateways write, whose clocks differ: the numbers follow the times nearly, hence the least of many.
        """
        if not wanted.since:
            return 1
        (row,) = await self._database.fetch_all(
            """
            SELECT min(number) AS number FROM
                (SELECT number FROM activity WHERE at >= :since ORDER BY at LIMIT :searched) AS oldest
            """,
            {"since": wanted.since, "searched": SEARCHED_AT_ONCE},
        )
        return row["number"] or LAST_NUMBER

    async def _end_of(self, wanted: ActivityFilter) -> int:
        """Return a number that is larger than those of all entries before `until`, so that a search begins there.

        It is the largest of many, as `_beginning_of` is the least.
        """
        if not wanted.until:
            return LAST_NUMBER
        (row,) = await self._database.fetch_all(
            """
            SELECT max(number) AS number FROM
                (SELECT number FROM activity WHERE at < :until ORDER BY at DESC LIMIT :searched) AS newest
            """,
            {"until": wanted.until, "searched": SEARCHED_AT_ONCE},
        )
        return (row["number"] or 0) + 1

    async def _select(self, sql: str, parameters: Parameters) -> list[ActivityEntry]:
        rows = await self._database.fetch_all(sql, parameters)
        return [ActivityEntry(**{**dict(row), "by_operator": bool(row["by_operator"])}) for row in rows]


def _number(before: int | None) -> int:
    return LAST_NUMBER if before is None else before


async def insert(transaction: Transaction, entry: ActivityEntry) -> None:
    """Write the entry in the transaction that is under way."""
    await transaction.execute_fetchall(INSERT_ENTRY, _values(entry))


async def insert_unless_often(transaction: Transaction, entry: ActivityEntry, *, since: str, most: int) -> None:
    """Write the entry, unless its actor did the same `most` times from `since` on: who loops fills no disk."""
    alike = await transaction.execute_fetchall(
        "SELECT 1 FROM activity WHERE at >= :since AND actor = :actor AND action = :action LIMIT :most",
        {"since": since, "actor": entry.actor, "action": entry.action, "most": most},
    )
    if len(list(alike)) < most:
        await insert(transaction, entry)


async def insert_all(transaction: Transaction, entries: Iterable[ActivityEntry]) -> None:
    """Write the entries in the transaction that is under way."""
    await transaction.executemany(INSERT_ENTRY, map(_values, entries))


def _values(entry: ActivityEntry) -> Parameters:
    return {**msgspec.structs.asdict(entry), "by_operator": int(entry.by_operator)}


async def change(transaction: Transaction, sql: str, parameters: Parameters, entry: ActivityEntry | None) -> list[Row]:
    """Run a statement with RETURNING; if it changed anything, write the entry about it too. Return its rows."""
    rows = list(await transaction.execute_fetchall(sql, parameters))
    if rows and entry is not None:
        await insert(transaction, entry)
    return rows
