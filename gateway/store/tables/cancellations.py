"""Every statement about the table `cancellations`: jobs that somebody wants cancelled, and what came of it.

No cache holds any of it, so each write is housekeeping: the keys read so far stay cached.
"""

import msgspec

from gateway.errors import TooManyCancels
from gateway.store.database import Database, Transaction
from gateway.store.pruning import prune

MOST_WISHES_OF_CLIENT = 100
"""Open wishes of one client. They wait for as many jobs, and a connection does one at a time."""

WANTED = """EXISTS (
    SELECT 1 FROM connections JOIN clients ON clients.id = connections.client_id
        JOIN api_keys ON api_keys.client_id = clients.id
    WHERE clients.id = cancellations.client_id AND clients.disabled_at IS NULL
        AND connections.id = cancellations.connection_id AND connections.airbyte_id = cancellations.airbyte_id
        AND api_keys.id = cancellations.caller AND api_keys.revoked_at IS NULL
        AND (api_keys.expires_at IS NULL OR api_keys.expires_at > :now)
)"""
"""Whether a wish may still be sent: its connection is the client's and so mapped, and its key still works."""


class CancelWish(msgspec.Struct, frozen=True):
    """A job that somebody wants cancelled. `caller` is the id of the key that asked."""

    client_id: int
    connection_id: str
    airbyte_id: str
    job_id: int
    job_type: str
    caller: str
    request_id: str
    created_at: str


class OpenWish(msgspec.Struct, frozen=True):
    """A wish that is still to be carried out. `is_wanted`: its connection is the client's still, and its key works."""

    number: int
    client_id: int
    connection_id: str
    airbyte_id: str
    job_id: int
    job_type: str
    created_at: str
    is_wanted: bool
    workspace_id: str | None


class Cancellations:
    """Wishes to cancel jobs: at most one open one of each job. Every method raises StorageUnavailable."""

    def __init__(self, database: Database, *, retry_seconds: int) -> None:
        """`retry_seconds`: when a client that may have no more wishes is to come back."""
        self._database = database
        self._retry_seconds = retry_seconds

    async def begin(self, wish: CancelWish) -> int | None:
        """Commit the wish and return its number.

        None if the job has an open one already, or if the client no longer has that connection so mapped. Raises
        TooManyCancels if the client has as many open ones as it may have.
        """

        async def insert(transaction: Transaction) -> int | None:
            await _withdraw(transaction, wish)
            rows = await transaction.execute_fetchall(
                """
                INSERT INTO cancellations
                    (client_id, connection_id, airbyte_id, job_id, job_type, caller, request_id, created_at)
                SELECT client_id, id, airbyte_id, :job_id, :job_type, :caller, :request_id, :created_at
                FROM connections
                WHERE client_id = :client_id AND id = :connection_id AND airbyte_id = :airbyte_id
                ON CONFLICT (airbyte_id, job_id) WHERE outcome IS NULL DO NOTHING
                RETURNING number
                """,
                msgspec.structs.asdict(wish),
            )
            number = next((row["number"] for row in rows), None)
            if number is not None:
                await self._require_room(transaction, wish.client_id)
            return number

        return await self._database.write(insert, housekeeping=True)

    async def claim(self, client_id: int, number: int, *, at: str, sent_before: str) -> bool:
        """Commit that the wish is being sent from `at` on; return whether it may be sent.

        It may not if it has an outcome, if another gateway began to send it at `sent_before` or later, if the client no
        longer has that connection so mapped, or if the client is disabled or the key that asked has ended.
        """

        async def update(transaction: Transaction) -> bool:
            rows = await transaction.execute_fetchall(
                f"""
                UPDATE cancellations SET sent_at = :now
                WHERE client_id = :client_id AND number = :number AND outcome IS NULL
                    AND (sent_at IS NULL OR sent_at < :sent_before) AND {WANTED}
                RETURNING number
                """,  # noqa: S608 - ours
                {"now": at, "client_id": client_id, "number": number, "sent_before": sent_before},
            )
            return bool(list(rows))

        return await self._database.write(update, housekeeping=True)

    async def release(self, client_id: int, number: int) -> None:
        """Write that the wish is not being sent any more, and is still to be sent."""

        async def update(transaction: Transaction) -> None:
            await transaction.execute_fetchall(
                "UPDATE cancellations SET sent_at = NULL WHERE client_id = :client_id AND number = :number",
                {"client_id": client_id, "number": number},
            )

        await self._database.write(update, housekeeping=True)

    async def resolve(self, client_id: int, number: int, *, outcome: str, at: str) -> None:
        """Write what came of the wish. What was written first stays."""

        async def update(transaction: Transaction) -> None:
            await transaction.execute_fetchall(
                """
                UPDATE cancellations SET outcome = :outcome, resolved_at = :at
                WHERE client_id = :client_id AND number = :number AND outcome IS NULL
                """,
                {"outcome": outcome, "at": at, "client_id": client_id, "number": number},
            )

        await self._database.write(update, housekeeping=True)

    async def open(self, limit: int, *, now: str, sent_before: str) -> list[OpenWish]:
        """Return at most `limit` open wishes: the oldest of each client, then the next of each.

        None that a gateway may be sending now: those it began to send at `sent_before` or later.
        """
        rows = await self._database.fetch_all(
            f"""
            SELECT cancellations.number, cancellations.client_id, connection_id, cancellations.airbyte_id, job_id,
                job_type, cancellations.created_at, {WANTED} AS is_wanted, workspace_id
            FROM cancellations LEFT JOIN connections ON connections.client_id = cancellations.client_id
                AND connections.id = connection_id AND connections.airbyte_id = cancellations.airbyte_id
            WHERE outcome IS NULL AND (sent_at IS NULL OR sent_at < :sent_before)
            ORDER BY row_number() OVER (PARTITION BY cancellations.client_id ORDER BY cancellations.number),
                cancellations.number LIMIT :limit
            """,  # noqa: S608 - ours
            {"now": now, "sent_before": sent_before, "limit": limit},
        )
        return [OpenWish(**{**dict(row), "is_wanted": bool(row["is_wanted"])}) for row in rows]

    async def jobs_of(self, client_id: int, airbyte_id: str, *, now: str) -> frozenset[int]:
        """Return the ids of the connection's jobs that are to be cancelled, and are not yet."""
        rows = await self._database.fetch_all(
            f"""
            SELECT job_id FROM cancellations
            WHERE client_id = :client_id AND airbyte_id = :airbyte_id AND outcome IS NULL AND {WANTED}
            """,  # noqa: S608 - ours
            {"client_id": client_id, "airbyte_id": airbyte_id, "now": now},
        )
        return frozenset(row["job_id"] for row in rows)

    async def prune(self, before: str) -> None:
        """Forget what is older than `before`, carried out or not."""
        await prune(
            self._database,
            """
            DELETE FROM cancellations WHERE number IN
                (SELECT number FROM cancellations WHERE created_at < :before ORDER BY created_at LIMIT :limit)
            RETURNING 1
            """,
            before,
        )

    async def _require_room(self, transaction: Transaction, client_id: int) -> None:
        """Raise TooManyCancels, which undoes the transaction, if the client has more open wishes than it may have."""
        (row,) = await transaction.execute_fetchall(
            "SELECT count(*) AS wishes FROM cancellations WHERE client_id = :client_id AND outcome IS NULL",
            {"client_id": client_id},
        )
        if row["wishes"] > MOST_WISHES_OF_CLIENT:
            raise TooManyCancels(retry_after=self._retry_seconds)


async def _withdraw(transaction: Transaction, wish: CancelWish) -> None:
    """End an open wish of the job that may not be sent any more: this one would be taken for the same."""
    await transaction.execute_fetchall(
        f"""
        UPDATE cancellations SET outcome = 'withdrawn', resolved_at = :now
        WHERE airbyte_id = :airbyte_id AND job_id = :job_id AND outcome IS NULL AND NOT {WANTED}
        """,  # noqa: S608 - ours
        {"now": wish.created_at, "airbyte_id": wish.airbyte_id, "job_id": wish.job_id},
    )
