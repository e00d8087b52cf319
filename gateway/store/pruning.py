"""Deleting old rows without holding anybody up."""

from gateway.store.database import Database, Transaction

PRUNE_STEP = 500
"""Rows in one transaction: a few milliseconds, between which other writes have their turn."""


async def prune(database: Database, sql: str, before: str) -> None:
    """Run `sql`, which deletes at most `?2` rows older than `?1` and returns them, until it finds no more.

    No cache holds such rows, so each step is housekeeping. Raises StorageUnavailable.
    """

    async def step(connection: Transaction) -> int:
        return len(list(await connection.execute_fetchall(sql, (before, PRUNE_STEP))))

    while await database.write(step, housekeeping=True) == PRUNE_STEP:
        pass
