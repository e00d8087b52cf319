"""Every statement about the table `events`: what happened, written in the transaction in which it did.

Only clients that have a webhook get events; for all others nothing is written. Each event comes with its deliveries,
one for each webhook that is told of it.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Literal

import msgspec

from gateway.errors import InvalidInput, UnknownRecord
from gateway.models import EventType, Webhook
from gateway.store.database import Database, Dialect, Transaction
from gateway.store.pruning import prune
from gateway.store.tables import deliveries
from gateway.store.tables.waiting_deliveries import WaitingDeliveries
from gateway.store.tables.webhooks import LISTENING, webhook_from
from gateway.times import Clock, format_time

MOST_OPEN_TESTS = 10
"""Of one webhook. Each is sent again for days while the receiver does not take it."""


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened at `at`; webhooks that were made or enabled later are not told of it.

    `subject` tells it from every other of its type and client. `data` is a record of ours.
    """

    client_id: int
    type: EventType | Literal["webhook.test"]
    subject: str
    at: str
    data: msgspec.Struct
    connection_id: str | None = None


class _Listener(msgspec.Struct, frozen=True):
    """A webhook that is told of what happens from `since` on, with its number."""

    number: int
    since: str
    webhook: Webhook

    def is_told(self, event: NewEvent, now: str) -> bool:
        """Return whether the webhook is to be told of the event."""
        # A clock that was ahead once must not keep it from being told of the present.
        is_news = event.at >= self.since or self.since > now
        return is_news and self.webhook.wants(event.type, event.connection_id)


class EventWriter:
    """Writes events into transactions that are under way, at the clock's time."""

    def __init__(self, dialect: Dialect, clock: Clock, waiting: WaitingDeliveries) -> None:
        """Have `waiting` bound how many events wait for a webhook."""
        self._dialect = dialect
        self._clock = clock
        self._waiting = waiting

    async def write(self, transaction: Transaction, events: Iterable[NewEvent]) -> None:
        """Write each event that a webhook is told of, in this order. One that was written before is passed over."""
        events = list(events)
        if not events:
            return
        listeners = await self._listeners(transaction, {event.client_id for event in events})
        now = format_time(self._clock.now())
        queued: set[int] = set()
        for event in events:
            wanted = [each.number for each in listeners.get(event.client_id, ()) if each.is_told(event, now)]
            number = await _insert(transaction, event, now) if wanted else None
            if number is None:
                continue
            for webhook_number in wanted:
                await deliveries.insert(
                    transaction,
                    webhook_number=webhook_number,
                    event_number=number,
                    client_id=event.client_id,
                    stream=event.connection_id or "",
                    next_at=now,
                )
                queued.add(webhook_number)
        for webhook_number in sorted(queued):
            await self._waiting.bound(transaction, webhook_number, now=now)

    async def _listeners(self, transaction: Transaction, client_ids: Iterable[int]) -> dict[int, list[_Listener]]:
        """Return the webhooks that are told of anything, by client."""
        rows = await transaction.execute_fetchall(
            f"""
            SELECT * FROM webhooks WHERE {LISTENING}
                AND client_id IN ({self._dialect.numbers("client_ids")}) ORDER BY number
            """,  # noqa: S608 - ours
            {"client_ids": json.dumps(list(client_ids))},
        )
        found: dict[int, list[_Listener]] = {}
        for row in rows:
            listener = _Listener(row["number"], row["told_since"], webhook_from(row))
            found.setdefault(row["client_id"], []).append(listener)
        return found

    async def write_test(self, transaction: Transaction, webhook_number: int, event: NewEvent) -> int:
        """Write an event for one webhook alone, whatever it asks for; return the number of its delivery."""
        now = format_time(self._clock.now())
        number = await _insert(transaction, event, now)
        if number is None:
            raise AssertionError("the subject of a test is random")
        return await deliveries.insert(
            transaction,
            webhook_number=webhook_number,
            event_number=number,
            client_id=event.client_id,
            # It waits for no other: whoever tests wants to see an answer now.
            stream=event.subject,
            next_at=now,
        )


class Events:
    """Events outside the transactions that write them. Every method raises StorageUnavailable."""

    def __init__(self, database: Database, writer: EventWriter) -> None:
        self._database = database
        self._writer = writer

    async def add(self, events: Iterable[NewEvent]) -> None:
        """Write events about what changes nothing in the database, such as that time has passed."""
        new = list(events)
        await self._database.write(lambda transaction: self._writer.write(transaction, new), housekeeping=True)

    async def add_test(self, webhook: Webhook, event: NewEvent) -> int:
        """Write an event for one webhook alone; return its delivery's number.

        Raises UnknownRecord; InvalidInput if the webhook or its client is disabled, or too many tests are open.
        """

        async def write(transaction: Transaction) -> int:
            rows = await transaction.execute_fetchall(_TESTED, {"client_id": webhook.client_id, "id": webhook.id})
            for row in rows:
                if row["webhook_disabled_at"] is not None:
                    raise InvalidInput(f"the webhook {webhook.id} is disabled; first enable it")
                if row["client_disabled_at"] is not None:
                    raise InvalidInput(f"the client of the webhook {webhook.id} is disabled; first enable the client")
                if row["open_tests"] >= MOST_OPEN_TESTS:
                    raise InvalidInput(
                        f"{row['open_tests']} tests are on their way already; look at their answers first"
                    )
                return await self._writer.write_test(transaction, row["number"], event)
            raise UnknownRecord(f"the webhook {webhook.id} was removed")

        return await self._database.write(write, housekeeping=True)

    async def complete(self, client_id: int, number: int, *, data: str) -> None:
        """Keep `data`, JSON, with more than was known when the event was written: every attempt sends the same."""

        async def update(transaction: Transaction) -> None:
            await transaction.execute_fetchall(
                "UPDATE events SET data = :data WHERE client_id = :client_id AND number = :number",
                {"data": data, "client_id": client_id, "number": number},
            )

        await self._database.write(update, housekeeping=True)

    async def prune(self, before: str) -> None:
        """Forget events that were written, and last sent, earlier than `before`, with their deliveries.

        What is still to be delivered stays: it may wait for days behind the events before it.
        """
        await prune(
            self._database,
            """
            DELETE FROM events WHERE number IN
                (SELECT number FROM events WHERE created_at < :before AND NOT EXISTS (
                    SELECT 1 FROM deliveries WHERE event_number = events.number
                        AND ((outcome IS NULL AND client_id IN (SELECT id FROM clients WHERE disabled_at IS NULL))
                            OR attempted_at >= :before)
                ) ORDER BY created_at LIMIT :limit) RETURNING 1
            """,
            before,
        )


def event_id(client_id: int, event_type: str, subject: str) -> str:
    """Return the id of an event: the same for the same one, so a receiver knows it even after a restored backup."""
    text = json.dumps([client_id, event_type, subject])
    return f"evt_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


_TESTED = """
    SELECT webhooks.number AS number, webhooks.disabled_at AS webhook_disabled_at,
        clients.disabled_at AS client_disabled_at, (
            SELECT count(*) FROM deliveries JOIN events ON events.number = event_number
            WHERE webhook_number = webhooks.number AND outcome IS NULL AND events.type = 'webhook.test'
        ) AS open_tests
    FROM webhooks JOIN clients ON clients.id = webhooks.client_id
    WHERE webhooks.client_id = :client_id AND webhooks.id = :id
    """


async def _insert(transaction: Transaction, event: NewEvent, now: str) -> int | None:
    """Write the event and return its number; None if it was written before."""
    rows = await transaction.execute_fetchall(
        """
        INSERT INTO events (id, client_id, connection_id, type, subject, at, data, created_at)
        VALUES (:id, :client_id, :connection_id, :type, :subject, :at, :data, :now)
        ON CONFLICT (client_id, type, subject) DO NOTHING RETURNING number
        """,
        {
            "id": event_id(event.client_id, event.type, event.subject),
            "client_id": event.client_id,
            "connection_id": event.connection_id,
            "type": event.type,
            "subject": event.subject,
            "at": event.at,
            "data": msgspec.json.encode(event.data).decode(),
            "now": now,
        },
    )
    return next((row["number"] for row in rows), None)
