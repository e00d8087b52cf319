"""Every statement about the table `database_id`: what tells this database from others, for as long as it lives."""

from gateway.store.database import Database, Transaction


class DatabaseId:
    """The id, which is read once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._id: str | None = None

    async def get(self, new_id: str) -> str:
        """Return the id. A database that has none yet takes `new_id` for good. Raises StorageUnavailable."""
        if self._id is None:
            row = await self._database.fetch_one("SELECT id FROM database_id")
            self._id = str(row["id"]) if row else await self._give(new_id)
        return self._id

    async def _give(self, new_id: str) -> str:
        async def write(transaction: Transaction) -> str:
            # Another gateway may have been quicker.
            await transaction.execute_fetchall(
                "INSERT INTO database_id (only_row, id) VALUES (1, :id) ON CONFLICT (only_row) DO NOTHING",
                {"id": new_id},
            )
            (row,) = await transaction.execute_fetchall("SELECT id FROM database_id")
            return str(row["id"])

        return await self._database.write(write, housekeeping=True)
