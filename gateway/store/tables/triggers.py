"""Every statement about the table `triggers`: who triggered what, written before it is sent, and what came of it.

No cache holds any of it, so each write is housekeeping: the keys read so far stay cached.
"""

import msgspec

from gateway.store.database import Database, Transaction
from gateway.store.pruning import prune
from gateway.store.timings import MILLISECONDS

LATEST_TIME = "9999-12-31T23:59:59.999Z"


class Intent(msgspec.Struct, frozen=True):
    """A trigger about to be sent. `since` is Airbyte's time.

    `caller` is the id of the key or the user who asked, `gateway_id` that of the gateway that sends it.
    """

    client_id: int
    connection_id: str
    airbyte_id: str
    caller: str
    request_id: str
    created_at: str
    since: str
    gateway_id: str | None = None


class TriggerUnderWay(Exception):
    """Another living gateway's trigger of this connection, young enough to be waited for, sent to Airbyte or not."""

    def __init__(self, number: int, *, is_sent: bool) -> None:
        super().__init__(f"the trigger {number} is under way")
        self.number = number
        self.is_sent = is_sent


class Outcome(msgspec.Struct, frozen=True):
    """What became of a trigger."""

    outcome: str
    job_id: int | None


class Unresolved(msgspec.Struct, frozen=True):
    """A trigger whose outcome was never written; the columns as `schema.sql` explains them."""

    number: int
    client_id: int
    connection_id: str
    airbyte_id: str
    created_at: str
    since: str
    newest_before: int | None
    span_seconds: int | None


class Triggers:
    """The audit of triggers. Every method raises StorageUnavailable."""

    def __init__(self, database: Database, *, live_seconds: float) -> None:
        """`live_seconds`: how long after its last heartbeat a gateway counts as live."""
        self._database = database
        self._live_seconds = live_seconds

    async def begin(
        self, intent: Intent, *, young_since: str | None = None, silence_seconds: float | None = None
    ) -> int | None:
        """Commit the intent; return its number, or None if the client no longer has that connection so mapped.

        Raises StorageUnavailable: then nothing may be sent. With `young_since`, raises TriggerUnderWay while another
        gateway that was seen in the last `silence_seconds`, as by default each that lives, has an unresolved trigger of
        this connection that was made at that time or later.
        """

        async def insert(transaction: Transaction) -> int | None:
            if young_since is not None:
                await self._require_none_under_way(transaction, intent, young_since, self._silence_of(silence_seconds))
            rows = await transaction.execute_fetchall(
                """
                INSERT INTO triggers
                    (client_id, connection_id, airbyte_id, caller, request_id, created_at, since, gateway_id)
                SELECT client_id, id, airbyte_id, :caller, :request_id, :created_at, :since, :gateway_id
                FROM connections
                WHERE client_id = :client_id AND id = :connection_id AND airbyte_id = :airbyte_id
                RETURNING number
                """,
                msgspec.structs.asdict(intent),
            )
            return next((row["number"] for row in rows), None)

        return await self._database.write(insert, housekeeping=True)

    async def mark_sent(
        self, client_id: int, number: int, *, newest_before: int | None, since: str, span_seconds: int
    ) -> bool:
        """Commit that the trigger is sent now, and the newest sync id before it; return whether it may be sent.

        It may not if the client no longer has that connection so mapped, or if the trigger has an outcome: another
        gateway took it for a dead one's.
        """

        async def update(transaction: Transaction) -> bool:
            rows = await transaction.execute_fetchall(
                """
                UPDATE triggers SET newest_before = :newest_before, since = :since, span_seconds = :span_seconds
                WHERE client_id = :client_id AND number = :number AND outcome IS NULL AND EXISTS
                    (SELECT 1 FROM connections WHERE connections.client_id = triggers.client_id
                        AND connections.id = triggers.connection_id AND connections.airbyte_id = triggers.airbyte_id)
                RETURNING number
                """,
                {
                    "client_id": client_id,
                    "number": number,
                    "newest_before": newest_before,
                    "since": since,
                    "span_seconds": span_seconds,
                },
            )
            return bool(list(rows))

        return await self._database.write(update, housekeeping=True)

    async def resolve(self, client_id: int, number: int, *, outcome: str, job_id: int | None, at: str) -> None:
        """Write what became of the trigger. What was written first stays."""

        async def update(transaction: Transaction) -> None:
            await transaction.execute_fetchall(
                """
                UPDATE triggers SET outcome = :outcome, job_id = :job_id, resolved_at = :at
                WHERE client_id = :client_id AND number = :number AND outcome IS NULL
                """,
                {"outcome": outcome, "job_id": job_id, "at": at, "client_id": client_id, "number": number},
            )

        await self._database.write(update, housekeeping=True)

    async def withdraw(self, intent: Intent, *, outcome: str, at: str) -> None:
        """Write what became of an intent whose number nobody learned, if it was committed at all."""

        async def update(transaction: Transaction) -> None:
            await transaction.execute_fetchall(
                """
                UPDATE triggers SET outcome = :outcome, resolved_at = :at
                WHERE client_id = :client_id AND connection_id = :connection_id AND gateway_id = :gateway_id
                    AND request_id = :request_id AND created_at = :created_at AND outcome IS NULL
                """,
                {**msgspec.structs.asdict(intent), "outcome": outcome, "at": at},
            )

        await self._database.write(update, housekeeping=True)

    async def _require_none_under_way(
        self, transaction: Transaction, intent: Intent, young_since: str, silence: int
    ) -> None:
        rows = await transaction.execute_fetchall(
            f"""
            SELECT triggers.number, span_seconds IS NOT NULL AS is_sent
            FROM triggers JOIN gateways ON gateways.id = triggers.gateway_id
            WHERE outcome IS NULL AND airbyte_id = :airbyte_id AND created_at >= :young_since
                AND gateways.id <> :gateway_id AND seen_at > {self._database.dialect.now} - :silence
            ORDER BY triggers.number LIMIT 1
            """,  # noqa: S608 - ours
            {
                "airbyte_id": intent.airbyte_id,
                "young_since": young_since,
                "gateway_id": intent.gateway_id or "",
                "silence": silence,
            },
        )
        for row in rows:
            raise TriggerUnderWay(row["number"], is_sent=bool(row["is_sent"]))

    async def outcome(self, client_id: int, number: int) -> Outcome | None:
        """Return what became of the trigger; None while it is under way, and for one that is not there."""
        row = await self._database.fetch_one(
            """
            SELECT outcome, job_id FROM triggers
            WHERE client_id = :client_id AND number = :number AND outcome IS NOT NULL
            """,
            {"client_id": client_id, "number": number},
        )
        return None if row is None else Outcome(row["outcome"], row["job_id"])

    def _silence_of(self, seconds: float | None) -> int:
        """Return milliseconds: those after which a gateway is dead, where no other time is given."""
        return int((self._live_seconds if seconds is None else seconds) * MILLISECONDS)

    async def unresolved(self, limit: int, *, young_since: str | None = None) -> list[Unresolved]:
        """Return at most `limit` triggers of every client that have no outcome, oldest first.

        With `young_since`, none that a living gateway may still be at: those it began at that time or later.
        """
        rows = await self._database.fetch_all(
            f"""
            SELECT number, client_id, connection_id, airbyte_id, created_at, since, newest_before, span_seconds
            FROM triggers
            WHERE outcome IS NULL AND (created_at < :young_since OR gateway_id IS NULL OR gateway_id NOT IN
                (SELECT id FROM gateways WHERE seen_at > {self._database.dialect.now} - :silence))
            ORDER BY number LIMIT :limit
            """,  # noqa: S608 - ours
            {"young_since": young_since or LATEST_TIME, "limit": limit, "silence": self._silence_of(None)},
        )
        return [Unresolved(**dict(row)) for row in rows]

    async def prune(self, before: str) -> None:
        """Forget what is older than `before`, resolved or not."""
        await prune(
            self._database,
            """
            DELETE FROM triggers WHERE number IN
                (SELECT number FROM triggers WHERE created_at < :before ORDER BY created_at LIMIT :limit)
            RETURNING 1
            """,
            before,
        )
