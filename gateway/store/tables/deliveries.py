"""Every statement about the table `deliveries`: events on their way to webhooks, a queue that all gateways share.

Deliveries of one webhook and stream, which is a connection's, go one after the other: only the first open one is ever
due, and what ends it makes the next one due. A gateway that sends one holds a lease of it, by the database's time.
"""

import json
from collections.abc import Collection

import msgspec

from gateway.models import ActivityEntry, DeliveryOutcome, DisabledReason
from gateway.settings.secret import Secret
from gateway.store.database import Database, Row, Transaction
from gateway.store.tables import activity
from gateway.store.timings import MILLISECONDS

MOST_CANDIDATES = 1000
"""Due deliveries that are looked at for one choice."""
WEBHOOK_DISABLED = "the webhook was disabled"


class DueDelivery(msgspec.Struct, frozen=True):
    """A delivery that is due and that nobody sends now."""

    number: int
    webhook_number: int
    client_id: int


class ClaimedDelivery(msgspec.Struct, frozen=True):
    """A delivery whose lease this gateway holds, with all that sending it takes. `data` is JSON."""

    number: int
    webhook_number: int
    webhook_id: str
    client_id: int
    stream: str
    connection_id: str | None
    url: str
    secret: Secret
    previous_secret: Secret | None
    previous_until: str | None
    failing_since: str | None
    event_number: int
    event_id: str
    event_type: str
    event_at: str
    data: str
    attempts: int
    """How often it was sent before."""

    def __repr__(self) -> str:
        """Leave out the address, which may be secret, and what is sent."""
        return f"ClaimedDelivery({self.number}, {self.webhook_id})"


class DeliveryAttempt(msgspec.Struct, frozen=True):
    """How sending a delivery ended at `at`. Without an `outcome` it is sent again at `next_at`."""

    at: str
    status: int | None
    excerpt: str
    error: str
    is_success: bool
    outcome: DeliveryOutcome | None
    next_at: str | None
    disabled_reason: DisabledReason | None = None
    """The webhook is told of nothing more, and `entry` says so."""
    entry: ActivityEntry | None = None


class Deliveries:
    """The queue. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(
        self, *, now: str, of_webhook: int, passed_over: Collection[int], clients_passed_over: Collection[int]
    ) -> list[DueDelivery]:
        """Return deliveries that are due: the first of each webhook, then the next of each, at most `of_webhook`.

        None of the webhooks and clients that are passed over, nor of a disabled client's.
        """
        rows = await self._database.fetch_all(
            f"""
            SELECT number, webhook_number, client_id FROM (
                SELECT number, webhook_number, client_id, next_at,
                    row_number() OVER (PARTITION BY webhook_number ORDER BY next_at, number) AS place
                FROM deliveries
                WHERE next_at <= :now AND coalesce(leased_until, 0) <= {self._database.dialect.now}
                    AND webhook_number NOT IN ({self._numbers("webhooks")})
                    AND client_id NOT IN ({self._numbers("clients")})
                    AND client_id IN (SELECT id FROM clients WHERE disabled_at IS NULL)
            ) AS waiting WHERE place <= :of_webhook ORDER BY place, next_at, number LIMIT {MOST_CANDIDATES}
            """,  # noqa: S608 - ours
            {
                "now": now,
                "of_webhook": of_webhook,
                "webhooks": json.dumps(list(passed_over)),
                "clients": json.dumps(list(clients_passed_over)),
            },
        )
        return [DueDelivery(**dict(row)) for row in rows]

    async def claim(self, numbers: Collection[int], *, holder: str, seconds: float, now: str) -> list[ClaimedDelivery]:
        """Lease those of the deliveries to `holder` that are still due and nobody's; return them."""
        clock = self._database.dialect.now

        async def write(transaction: Transaction) -> list[ClaimedDelivery]:
            rows = await transaction.execute_fetchall(
                f"""
                UPDATE deliveries SET leased_by = :holder, leased_until = {clock} + :duration
                WHERE number IN ({self._numbers("numbers")}) AND next_at <= :now
                    AND coalesce(leased_until, 0) <= {clock} RETURNING number
                """,  # noqa: S608 - ours
                {
                    "holder": holder,
                    "duration": int(seconds * MILLISECONDS),
                    "numbers": json.dumps(list(numbers)),
                    "now": now,
                },
            )
            claimed = json.dumps([row["number"] for row in rows])
            found = await transaction.execute_fetchall(_CLAIMED.format(self._numbers("claimed")), {"claimed": claimed})
            return [_claimed_from(row) for row in found]

        return await self._database.write(write, housekeeping=True)

    async def conclude(self, claimed: ClaimedDelivery, attempt: DeliveryAttempt, *, holder: str) -> bool:
        """Write how the attempt ended, and what follows for the webhook and the delivery after this one.

        False, with nothing written, if the holder has lost the lease.
        """

        async def write(transaction: Transaction) -> bool:
            values = {**_values(attempt), "number": claimed.number, "holder": holder, "webhook": claimed.webhook_number}
            if not list(await transaction.execute_fetchall(_CONCLUDE, values)):
                return False
            await transaction.execute_fetchall(_SUCCEED if attempt.is_success else _FAIL, values)
            if attempt.disabled_reason is not None:
                await _disable(transaction, claimed.webhook_number, attempt)
            elif attempt.outcome is not None:
                await _advance(transaction, claimed, attempt.at)
            return True

        return await self._database.write(write, housekeeping=True)

    async def release(self, *, holder: str | None = None) -> None:
        """Give up the leases of one holder, or everybody's: nobody sends those deliveries any more."""

        async def write(transaction: Transaction) -> None:
            await transaction.execute_fetchall(
                """
                UPDATE deliveries SET leased_by = NULL, leased_until = NULL
                WHERE next_at IS NOT NULL AND leased_by = coalesce(:holder, leased_by)
                """,
                {"holder": holder},
            )

        await self._database.write(write, housekeeping=True)

    async def release_orphans(self, *, now: str) -> None:
        """Make due what waits for deliveries that are there no more, as after old events were deleted."""

        async def write(transaction: Transaction) -> None:
            await transaction.execute_fetchall(
                """
                UPDATE deliveries SET next_at = :now WHERE outcome IS NULL AND next_at IS NULL AND NOT EXISTS (
                    SELECT 1 FROM deliveries AS before WHERE before.webhook_number = deliveries.webhook_number
                        AND before.stream = deliveries.stream AND before.outcome IS NULL
                        AND before.number < deliveries.number
                )
                """,
                {"now": now},
            )

        await self._database.write(write, housekeeping=True)

    def _numbers(self, name: str) -> str:
        """Return a subquery for the numbers of the JSON list that the parameter `name` holds."""
        return f"SELECT CAST(value AS BIGINT) FROM {self._database.dialect.json_rows.format(':' + name)}"  # noqa: S608 - ours


async def insert(
    transaction: Transaction,
    *,
    webhook_number: int,
    event_number: int,
    client_id: int,
    stream: str,
    next_at: str,
) -> int:
    """Queue an event for a webhook, due at `next_at` unless another of its stream is open; return the number."""
    values = {"webhook": webhook_number, "event": event_number, "client_id": client_id, "stream": stream}
    rows = await transaction.execute_fetchall(
        """
        SELECT 1 FROM deliveries
        WHERE webhook_number = :webhook AND stream = :stream AND outcome IS NULL LIMIT 1
        """,
        values,
    )
    (inserted,) = await transaction.execute_fetchall(
        """
        INSERT INTO deliveries (webhook_number, event_number, client_id, stream, attempts, next_at)
        VALUES (:webhook, :event, :client_id, :stream, 0, :next_at) RETURNING number
        """,
        {**values, "next_at": None if list(rows) else next_at},
    )
    return int(inserted["number"])


async def _advance(transaction: Transaction, ended: ClaimedDelivery, now: str) -> None:
    """Make the delivery due that waited for the ended one."""
    await transaction.execute_fetchall(
        """
        UPDATE deliveries SET next_at = :now WHERE number = (
            SELECT min(number) FROM deliveries
            WHERE webhook_number = :webhook AND stream = :stream AND outcome IS NULL
        ) AND next_at IS NULL
        """,
        {"now": now, "webhook": ended.webhook_number, "stream": ended.stream},
    )


async def _disable(transaction: Transaction, webhook_number: int, attempt: DeliveryAttempt) -> None:
    """Tell the webhook of nothing more, and end what is open, also what is being sent just now."""
    disabled = await activity.change(
        transaction,
        """
        UPDATE webhooks SET disabled_at = :at, disabled_reason = :reason
        WHERE number = :webhook AND disabled_at IS NULL RETURNING 1
        """,
        {"at": attempt.at, "reason": attempt.disabled_reason, "webhook": webhook_number},
        attempt.entry,
    )
    if disabled:
        await transaction.execute_fetchall(
            """
            UPDATE deliveries SET outcome = 'failed', error = :error, next_at = NULL, leased_by = NULL,
                leased_until = NULL
            WHERE webhook_number = :webhook AND outcome IS NULL
            """,
            {"webhook": webhook_number, "error": WEBHOOK_DISABLED},
        )


def _values(attempt: DeliveryAttempt) -> dict[str, object]:
    """Return what the tables hold of an attempt. PostgreSQL takes no NUL in a text."""
    values = {name: value for name, value in msgspec.structs.asdict(attempt).items() if name != "entry"}
    return {**values, "excerpt": attempt.excerpt.replace("\0", "\ufffd")}


def _claimed_from(row: Row) -> ClaimedDelivery:
    values = dict(row)
    previous = values["previous_secret"]
    values["secret"] = Secret(values["secret"])
    values["previous_secret"] = None if previous is None else Secret(previous)
    return ClaimedDelivery(**values)


_CLAIMED = """
    SELECT deliveries.number AS number, webhook_number, webhooks.id AS webhook_id, deliveries.client_id AS client_id,
        stream, events.connection_id AS connection_id, url, secret, previous_secret, previous_until, failing_since,
        event_number, events.id AS event_id, events.type AS event_type, events.at AS event_at, data, attempts
    FROM deliveries JOIN webhooks ON webhooks.number = webhook_number JOIN events ON events.number = event_number
    WHERE deliveries.number IN ({}) ORDER BY deliveries.number
    """
_CONCLUDE = """
    UPDATE deliveries SET attempts = attempts + 1, attempted_at = :at, status = CAST(:status AS BIGINT),
        excerpt = :excerpt, error = :error, outcome = :outcome, next_at = :next_at, leased_by = NULL,
        leased_until = NULL
    WHERE number = :number AND leased_by = :holder AND outcome IS NULL RETURNING 1
    """
_SUCCEED = "UPDATE webhooks SET last_success_at = :at, failing_since = NULL WHERE number = :webhook"
_FAIL = "UPDATE webhooks SET failing_since = coalesce(failing_since, :at) WHERE number = :webhook"
