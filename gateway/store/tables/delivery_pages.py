"""What people see of the deliveries of one webhook, and sending one again. See `deliveries` for the queue itself."""

from gateway.models import Delivery
from gateway.store.database import Database, Transaction
from gateway.store.tables import deliveries
from gateway.store.tables.activity import LAST_NUMBER
from gateway.store.tables.waiting_deliveries import WaitingDeliveries


class DeliveryPages:
    """Deliveries of a client's webhook, the newest first. Every method raises StorageUnavailable."""

    def __init__(self, database: Database, waiting: WaitingDeliveries) -> None:
        """Have `waiting` bound how many events wait for a webhook."""
        self._database = database
        self._waiting = waiting

    async def of_webhook(
        self, client_id: int, webhook_id: str, *, before: int | None = None, limit: int
    ) -> list[Delivery]:
        """Return at most `limit` deliveries of the client's webhook, newest first; only those before a number."""
        rows = await self._database.fetch_all(
            """
            SELECT deliveries.number AS number, events.id AS event_id, events.type AS event_type,
                events.connection_id AS connection_id, events.at AS event_at, outcome, attempts, next_at, attempted_at,
                status, excerpt, error
            FROM deliveries JOIN webhooks ON webhooks.number = webhook_number
                JOIN events ON events.number = event_number
            WHERE webhooks.client_id = :client_id AND webhooks.id = :id AND deliveries.number < :before
            ORDER BY deliveries.number DESC LIMIT :limit
            """,
            {
                "client_id": client_id,
                "id": webhook_id,
                "before": LAST_NUMBER if before is None else before,
                "limit": limit,
            },
        )
        return [Delivery(**dict(row)) for row in rows]

    async def send_again(self, client_id: int, webhook_id: str, event_id: str, *, now: str) -> bool:
        """Send an event once more, behind what is open; False if no delivery of it to the webhook has ended.

        False too for a webhook that is disabled.
        """

        async def write(transaction: Transaction) -> bool:
            rows = list(
                await transaction.execute_fetchall(
                    """
                    SELECT webhook_number, event_number, deliveries.client_id AS client_id, stream
                    FROM deliveries JOIN webhooks ON webhooks.number = webhook_number
                        JOIN events ON events.number = event_number
                    WHERE webhooks.client_id = :client_id AND webhooks.id = :id AND events.id = :event
                        AND outcome IS NOT NULL AND webhooks.disabled_at IS NULL
                    LIMIT 1
                    """,
                    {"client_id": client_id, "id": webhook_id, "event": event_id},
                )
            )
            for row in rows:
                await deliveries.insert(transaction, **{**dict(row), "next_at": now})
                await self._waiting.bound(transaction, row["webhook_number"], now=now)
            return bool(rows)

        return await self._database.write(write, housekeeping=True)
