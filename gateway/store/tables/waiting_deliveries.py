"""How many events may wait for one webhook: when there are more, the oldest are given up.

A receiver may take some events and, for weeks, none of one connection. Its queue must not grow until the disk is full.
The bound is each webhook's own, so a client pays for its receivers alone.
"""

from datetime import datetime

import msgspec

from gateway.store.database import Database, Transaction
from gateway.store.tables.delivery_order import make_first_due
from gateway.times import format_time, parse_time

MOST_EVENTS_WAITING = 20_000
"""Events of one webhook. A client with 100 connections that sync each hour has 4,800 a day."""
GIVEN_UP = "given up: too many newer events waited"


class WebhookFigures(msgspec.Struct, frozen=True):
    """Open deliveries, for how long the oldest has been due that nobody sends, and disabled webhooks."""

    webhook_events_waiting: int
    webhook_oldest_due_seconds: float
    webhooks_disabled: int


class WaitingDeliveries:
    """Keeps the queue of each webhook bounded, and counts what waits."""

    def __init__(self, database: Database, *, most: int = MOST_EVENTS_WAITING) -> None:
        """Let `most` events wait for one webhook."""
        self._database = database
        self._most = most

    async def figures(self, *, now: datetime) -> WebhookFigures:
        """Return what waits, of all clients that are not disabled. Raises StorageUnavailable."""
        enabled = "client_id IN (SELECT id FROM clients WHERE clients.disabled_at IS NULL)"
        (row,) = await self._database.fetch_all(
            f"""
            SELECT
                (SELECT count(*) FROM deliveries WHERE outcome IS NULL AND {enabled}) AS waiting,
                (SELECT min(next_at) FROM deliveries WHERE next_at <= :now
                    AND coalesce(leased_until, 0) <= {self._database.dialect.now} AND {enabled}) AS oldest_due,
                (SELECT count(*) FROM webhooks WHERE webhooks.disabled_at IS NOT NULL AND {enabled})
                    AS disabled_webhooks
            """,  # noqa: S608 - ours
            {"now": format_time(now)},
        )
        due = row["oldest_due"]
        seconds = 0.0 if due is None else (now - parse_time(due)).total_seconds()
        return WebhookFigures(row["waiting"], seconds, row["disabled_webhooks"])

    async def bound(self, transaction: Transaction, webhook_number: int, *, now: str) -> None:
        """Give up the webhook's oldest events beyond the bound, none of which is being sent; note on it that it was so.

        Whatever queues events calls it in the same transaction.
        """
        values: dict[str, object] = {"webhook": webhook_number, "now": now, "error": GIVEN_UP}
        (row,) = await transaction.execute_fetchall(
            "SELECT count(*) AS waiting FROM deliveries WHERE webhook_number = :webhook AND outcome IS NULL", values
        )
        if row["waiting"] <= self._most:
            return
        given_up = await transaction.execute_fetchall(
            f"""
            UPDATE deliveries SET outcome = 'failed', error = :error, next_at = NULL, leased_by = NULL,
                leased_until = NULL
            WHERE number IN (
                SELECT number FROM deliveries WHERE webhook_number = :webhook AND outcome IS NULL
                    AND coalesce(leased_until, 0) <= {self._database.dialect.now} ORDER BY number LIMIT :excess
            ) RETURNING stream
            """,  # noqa: S608 - ours
            {**values, "excess": row["waiting"] - self._most},
        )
        streams = {each["stream"] for each in given_up}
        await make_first_due(
            transaction, self._database.dialect, webhook_number=webhook_number, streams=streams, now=now
        )
        await transaction.execute_fetchall("UPDATE webhooks SET overflowed_at = :now WHERE number = :webhook", values)
