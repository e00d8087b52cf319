"""Read a page of a long list, searched and sorted by the database, and how many rows were found."""

from collections.abc import Mapping

import msgspec

from gateway.store.database import Database, Parameters, Row
from gateway.store.tables.text_search import contains, patterns


class Excerpt(msgspec.Struct, frozen=True):
    """Which rows of a list are wanted: `limit` of those that contain `query`, after `offset` of them.

    `sort` names an order of the list, after a `-` for the opposite one; empty for the list's usual order.
    """

    limit: int
    offset: int = 0
    query: str = ""
    sort: str = ""


class LongList(msgspec.Struct, frozen=True):
    """A list as the database knows it, in SQL of ours: what of which rows, and where a query is looked for.

    `orders` has an expression for each name that `sort` may have, none of which is NULL; `usual` is a whole ORDER BY.
    Rows that are alike in an order are sorted by `number`.
    """

    columns: str
    rows: str
    text: str
    usual: str
    number: str
    orders: Mapping[str, str]

    async def read(
        self, database: Database, excerpt: Excerpt, *, condition: str = "1 = 1", parameters: Parameters
    ) -> tuple[list[Row], int]:
        """Return the rows of the excerpt that fulfil the condition, and how many there are. Raises StorageUnavailable.

        An excerpt beyond the end is the last one.
        """
        found = f"FROM {self.rows} WHERE {condition}"
        if excerpt.query:
            found += f" AND {contains(self.text)}"
        values = {**parameters, **patterns(excerpt.query)}
        (counted,) = await database.fetch_all(f"SELECT count(*) AS total {found}", values)
        total: int = counted["total"]
        last = max(0, total - 1) // excerpt.limit * excerpt.limit
        rows = await database.fetch_all(
            f"SELECT {self.columns} {found} ORDER BY {self._order(excerpt.sort)} LIMIT :limit OFFSET :offset",
            {**values, "limit": excerpt.limit, "offset": min(excerpt.offset, last)},
        )
        return rows, total

    def _order(self, sort: str) -> str:
        if not sort:
            return self.usual
        direction = "DESC" if sort.startswith("-") else "ASC"
        return f"{self.orders[sort.removeprefix('-')]} {direction}, {self.number} {direction}"
