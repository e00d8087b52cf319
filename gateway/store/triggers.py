"""Every statement about the table `triggers`: who triggered what, written before it is sent, and what came of it.

No cache holds any of it, so each write is housekeeping: the keys read so far stay cached.
"""

import aiosqlite
import msgspec

from gateway.store.database import Database
from gateway.store.pruning import prune


class Intent(msgspec.Struct, frozen=True):
    """A trigger about to be sent. `since` is Airbyte's time from which on a new job is this trigger's.

    `caller` is the id of the key or the user who asked.
    """

    client_id: int
    connection_id: str
    airbyte_id: str
    caller: str
    request_id: str
    created_at: str
    since: str


class Unresolved(msgspec.Struct, frozen=True):
    """A trigger whose outcome was never written."""

    number: int
    client_id: int
    connection_id: str
    airbyte_id: str
    created_at: str
    since: str


class Triggers:
    """The audit of triggers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, intent: Intent) -> int | None:
        """Commit the intent: its number, or None if the client no longer has that connection so mapped.

        Raises StorageUnavailable: then nothing may be sent.
        """

        async def insert(connection: aiosqlite.Connection) -> int | None:
            rows = await connection.execute_fetchall(
                """
                INSERT INTO triggers (client_id, connection_id, airbyte_id, caller, request_id, created_at, since)
                SELECT client_id, id, airbyte_id, ?, ?, ?, ? FROM connections
                WHERE client_id = ? AND id = ? AND airbyte_id = ?
                RETURNING number
                """,
                (
                    intent.caller,
                    intent.request_id,
                    intent.created_at,
                    intent.since,
                    intent.client_id,
                    intent.connection_id,
                    intent.airbyte_id,
                ),
            )
            return next((row["number"] for row in rows), None)

        return await self._database.write(insert, housekeeping=True)

    async def resolve(self, client_id: int, number: int, *, outcome: str, job_id: int | None, at: str) -> None:
        """What became of the trigger. What was written first stays."""

        async def update(connection: aiosqlite.Connection) -> None:
            await connection.execute_fetchall(
                """
                UPDATE triggers SET outcome = ?, job_id = ?, resolved_at = ?
                WHERE client_id = ? AND number = ? AND outcome IS NULL
                """,
                (outcome, job_id, at, client_id, number),
            )

        await self._database.write(update, housekeeping=True)

    async def unresolved(self, limit: int) -> list[Unresolved]:
        """Every client's, oldest first: for the start."""
        rows = await self._database.fetch_all(
            """
            SELECT number, client_id, connection_id, airbyte_id, created_at, since FROM triggers
            WHERE outcome IS NULL ORDER BY number LIMIT ?
            """,
            (limit,),
        )
        return [Unresolved(**dict(row)) for row in rows]

    async def prune(self, before: str) -> None:
        """Forget what is older than `before`, resolved or not."""
        await prune(
            self._database,
            """
            DELETE FROM triggers WHERE number IN
                (SELECT number FROM triggers WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)
            RETURNING 1
            """,
            before,
        )
