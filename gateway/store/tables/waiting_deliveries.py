"""How many events may wait for one webhook: when there are more, the oldest are given up.

A receiver may take some events and, for weeks, none of one connection. Its queue must not grow until the disk is full.
The bound is each webhook's own, so a client pays for its receivers alone.
"""

import json
from datetime import datetime

import msgspec

from gateway.store.database import Database, Transaction
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
        streams = json.dumps(sorted({each["stream"] for each in given_up}))
        await self._advance(transaction, {**values, "streams": streams})
        await transaction.execute_fetchall("UPDATE webhooks SET overflowed_at = :now WHERE number = :webhook", values)

    async def _advance(self, transaction: Transaction, values: dict[str, object]) -> None:
        """Make the first open delivery of each of the streams due, unless it is already."""
        listed = self._database.dialect.json_rows.format(":streams")
        await transaction.execute_fetchall(
            f"""
            UPDATE deliveries SET next_at = :now WHERE next_at IS NULL AND number IN (
                SELECT min(number) FROM deliveries WHERE webhook_number = :webhook AND outcome IS NULL
                    AND stream IN (SELECT value FROM {listed}) GROUP BY stream
            )
            """,  # noqa: S608 - ours
            values,
        )
