"""Every statement about the tables `database_id` and `cursor_key`: a text that the database has one of, for good."""

from gateway.store.database import Database, Transaction


class OnlyValue:
    """A text in a column of a table with one row; it is read once."""

    def __init__(self, database: Database, table: str, column: str) -> None:
        self._database = database
        self._select = f"SELECT {column} AS value FROM {table}"  # noqa: S608 - ours
        self._insert = f"INSERT INTO {table} (only_row, {column}) VALUES (1, :value) ON CONFLICT (only_row) DO NOTHING"  # noqa: S608 - ours
        self._value: str | None = None

    async def get(self, new_value: str) -> str:
        """Return the text. A database that has none yet takes `new_value` for good. Raises StorageUnavailable."""
        if self._value is None:
            row = await self._database.fetch_one(self._select)
            self._value = str(row["value"]) if row else await self._give(new_value)
        return self._value

    async def _give(self, new_value: str) -> str:
        async def write(transaction: Transaction) -> str:
            # Another gateway may have been quicker.
            await transaction.execute_fetchall(self._insert, {"value": new_value})
            (row,) = await transaction.execute_fetchall(self._select)
            return str(row["value"])

        return await self._database.write(write, housekeeping=True)
