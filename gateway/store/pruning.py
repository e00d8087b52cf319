"""Deleting old rows without keeping other writes waiting."""

from gateway.store.database import Database, Transaction

PRUNE_STEP = 500
"""Rows in one transaction: a few milliseconds, between which other transactions come."""


async def prune(database: Database, sql: str, before: str) -> None:
    """Run `sql`, which deletes at most `:limit` rows older than `:before` and returns them, until it finds no more.

    No cache holds such rows, so each step is housekeeping. Raises StorageUnavailable.
    """

    async def step(transaction: Transaction) -> int:
        return len(list(await transaction.execute_fetchall(sql, {"before": before, "limit": PRUNE_STEP})))

    while await database.write(step, housekeeping=True) == PRUNE_STEP:
        pass
