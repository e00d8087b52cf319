"""Every statement about the table `deliveries`: events on their way to webhooks, a queue that all gateways share.

Deliveries of one webhook and stream, which is a connection's, go one after the other: only the first open one is ever
due, and what ends it makes the next one due. A gateway that sends one holds a lease of it, by the database's time.
"""

import json
from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from gateway.settings.secret import Secret
from gateway.store.database import Database, Row, Transaction
from gateway.store.tables import delivery_attempts
from gateway.store.tables.delivery_attempts import Conclusion, DeliveryAttempt
from gateway.store.tables.delivery_order import make_first_due
from gateway.store.tables.webhooks import previous_secrets
from gateway.store.timings import MILLISECONDS
from gateway.times import format_time

MOST_CANDIDATES = 1000
"""Due deliveries that are looked at for one choice."""
LONGEST_PAUSE = timedelta(days=2)
"""No schedule leaves more between two attempts."""


class DueDelivery(msgspec.Struct, frozen=True):
    """A delivery that is due and that nobody sends now."""

    number: int
    webhook_number: int
    client_id: int
    is_failing: bool = False
    """Whether the webhook's last attempt failed."""


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
    previous_secrets: tuple[tuple[Secret, str], ...]
    """Those that sign too, each until its end."""
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


class Deliveries:
    """The queue. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(
        self,
        *,
        now: str,
        of_webhook: int,
        passed_over: Collection[int],
        clients_passed_over: Collection[int],
        passes_over_failing: bool = False,
    ) -> list[DueDelivery]:
        """Return deliveries that are due: the first of each webhook, then the next of each, at most `of_webhook`.

        Those of webhooks whose last attempt failed come after the others of the same place. None of the webhooks and
        clients that are passed over, nor of a disabled client's.
        """
        rows = await self._database.fetch_all(
            f"""
            SELECT number, webhook_number, client_id, is_failing FROM (
                SELECT deliveries.number AS number, webhook_number, deliveries.client_id AS client_id, next_at,
                    CASE WHEN failing_since IS NULL THEN 0 ELSE 1 END AS is_failing,
                    row_number() OVER (PARTITION BY webhook_number ORDER BY next_at, deliveries.number) AS place
                FROM deliveries JOIN webhooks ON webhooks.number = webhook_number
                WHERE next_at <= :now AND coalesce(leased_until, 0) <= {self._database.dialect.now}
                    AND webhook_number NOT IN ({self._database.dialect.numbers("webhooks")})
                    AND deliveries.client_id NOT IN ({self._database.dialect.numbers("clients")})
                    AND (failing_since IS NULL OR :failing_too = 1)
                    AND deliveries.client_id IN (SELECT id FROM clients WHERE disabled_at IS NULL)
            ) AS waiting WHERE place <= :of_webhook
            ORDER BY place, is_failing, next_at, number LIMIT {MOST_CANDIDATES}
            """,  # noqa: S608 - ours
            {
                "now": now,
                "of_webhook": of_webhook,
                "webhooks": json.dumps(list(passed_over)),
                "clients": json.dumps(list(clients_passed_over)),
                "failing_too": int(not passes_over_failing),
            },
        )
        return [DueDelivery(**{**dict(row), "is_failing": bool(row["is_failing"])}) for row in rows]

    async def claim(self, numbers: Collection[int], *, holder: str, seconds: float, now: str) -> list[ClaimedDelivery]:
        """Lease those of the deliveries to `holder` that are still due and nobody's; return them."""
        clock = self._database.dialect.now

        async def write(transaction: Transaction) -> list[ClaimedDelivery]:
            rows = await transaction.execute_fetchall(
                f"""
                UPDATE deliveries SET leased_by = :holder, leased_until = {clock} + :duration
                WHERE number IN ({self._database.dialect.numbers("numbers")}) AND next_at <= :now
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
            found = await transaction.execute_fetchall(
                _CLAIMED.format(self._database.dialect.numbers("claimed")), {"claimed": claimed}
            )
            return [_claimed_from(row) for row in found]

        return await self._database.write(write, housekeeping=True)

    async def conclude(self, claimed: ClaimedDelivery, attempt: DeliveryAttempt, *, holder: str) -> Conclusion:
        """Write how the attempt ended, and what follows for the webhook and the delivery after this one."""
        return await self._database.write(
            lambda transaction: delivery_attempts.conclude(
                transaction,
                self._database.dialect,
                attempt,
                holder=holder,
                number=claimed.number,
                webhook_number=claimed.webhook_number,
                stream=claimed.stream,
                url=claimed.url,
            ),
            housekeeping=True,
        )

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

    async def release_orphans(self, *, now: datetime) -> None:
        """Make due what waits in vain: for deliveries that are there no more, as after old events were deleted.

        Also what waits for longer than any schedule does: a clock was ahead when it was sent last.
        """
        at = format_time(now)

        async def write(transaction: Transaction) -> None:
            await transaction.execute_fetchall(
                "UPDATE deliveries SET next_at = :now WHERE next_at > :latest",
                {"now": at, "latest": format_time(now + LONGEST_PAUSE)},
            )
            rows = await transaction.execute_fetchall(
                """
                SELECT webhook_number, stream FROM deliveries WHERE outcome IS NULL
                GROUP BY webhook_number, stream HAVING max(next_at) IS NULL
                """
            )
            orphans: dict[int, list[str]] = {}
            for row in rows:
                orphans.setdefault(row["webhook_number"], []).append(row["stream"])
            for number, streams in orphans.items():
                await make_first_due(
                    transaction, self._database.dialect, webhook_number=number, streams=streams, now=at
                )

        await self._database.write(write, housekeeping=True)


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


def _claimed_from(row: Row) -> ClaimedDelivery:
    values = dict(row)
    previous = previous_secrets(values.pop("previous_secrets"))
    values["secret"] = Secret(values["secret"])
    values["previous_secrets"] = tuple((Secret(each.secret), each.until) for each in previous)
    return ClaimedDelivery(**values)


_CLAIMED = """
    SELECT deliveries.number AS number, webhook_number, webhooks.id AS webhook_id, deliveries.client_id AS client_id,
        stream, events.connection_id AS connection_id, url, secret, previous_secrets, failing_since,
        event_number, events.id AS event_id, events.type AS event_type, events.at AS event_at, data, attempts
    FROM deliveries JOIN webhooks ON webhooks.number = webhook_number JOIN events ON events.number = event_number
    WHERE deliveries.number IN ({}) ORDER BY deliveries.number
    """
