"""Every statement about the table `outage`: since when Airbyte has given no answer, as all gateways know it.

No cache holds it, so each write is housekeeping.
"""

from gateway.models import Outage, Trouble
from gateway.store.database import Database, Transaction


class Outages:
    """The outage that lasts, if one does. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self) -> Outage | None:
        """Return the outage that lasts; None while Airbyte answers."""
        row = await self._database.fetch_one("SELECT since, kind, cause FROM outage")
        return None if row is None else Outage(row["since"], Trouble(row["kind"], row["cause"]))

    async def note(self, trouble: Trouble, *, at: str) -> None:
        """Note what is wrong. An outage that lasts goes on since it began, whatever is wrong now."""

        async def write(transaction: Transaction) -> None:
            await transaction.execute_fetchall(
                """
                INSERT INTO outage (only_row, since, kind, cause) VALUES (1, :at, :kind, :cause)
                ON CONFLICT (only_row) DO UPDATE SET kind = excluded.kind, cause = excluded.cause
                """,
                {"at": at, "kind": trouble.kind, "cause": trouble.cause},
            )

        await self._database.write(write, housekeeping=True)

    async def end(self) -> None:
        """Note that Airbyte answers."""

        async def write(transaction: Transaction) -> None:
            await transaction.execute_fetchall("DELETE FROM outage")

        await self._database.write(write, housekeeping=True)
