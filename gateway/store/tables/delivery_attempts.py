"""How an attempt to send a delivery ended, and what follows for its webhook and for the delivery after it."""

from typing import Literal

import msgspec

from gateway.models import ActivityEntry, DeliveryOutcome, DisabledReason
from gateway.store.database import Dialect, Transaction
from gateway.store.tables import activity
from gateway.store.tables.delivery_order import make_first_due

WEBHOOK_DISABLED = "the webhook was disabled"


class DeliveryAttempt(msgspec.Struct, frozen=True):
    """How sending a delivery ended at `at`. Without an `outcome` it is sent again at `next_at`."""

    at: str
    status: int | None
    excerpt: str
    error: str
    is_success: bool
    outcome: DeliveryOutcome | None
    next_at: str | None
    quiet_before: str = ""
    """A webhook to which nothing was sent since then fails for the first time."""
    failing_before: str = ""
    """A webhook that fails since then, or longer, is disabled."""
    disabled_reason: DisabledReason | None = None
    """The webhook is told of nothing more, and `entry` says so; of one that fails, unless it took an event since."""
    entry: ActivityEntry | None = None


Conclusion = Literal["stored", "disabled", "lost"]
"""What became of an attempt: stored, stored and the webhook disabled, or nothing, for another has the lease."""


async def conclude(
    transaction: Transaction,
    dialect: Dialect,
    attempt: DeliveryAttempt,
    *,
    holder: str,
    number: int,
    webhook_number: int,
    stream: str,
    url: str,
) -> Conclusion:
    """Write how the attempt of a delivery, which `holder` has leased and sent to `url`, ended, and what follows."""
    values = {**_values(attempt), "number": number, "holder": holder, "webhook": webhook_number}
    was_quiet = not attempt.is_success and await _was_quiet(transaction, webhook_number, attempt)
    if not list(await transaction.execute_fetchall(_CONCLUDE, values)):
        return "lost"
    change = _SUCCEED if attempt.is_success else _FAIL_FIRST if was_quiet else _FAIL
    await transaction.execute_fetchall(change, values)
    if attempt.disabled_reason is not None and await _disable(transaction, webhook_number, attempt, url):
        return "disabled"
    if attempt.outcome is not None:
        await make_first_due(transaction, dialect, webhook_number=webhook_number, streams=[stream], now=attempt.at)
    return "stored"


async def _was_quiet(transaction: Transaction, webhook_number: int, attempt: DeliveryAttempt) -> bool:
    """Return whether nothing was sent to the webhook for long before this attempt."""
    rows = await transaction.execute_fetchall(
        """
        SELECT 1 FROM deliveries WHERE webhook_number = :webhook AND attempted_at >= :quiet_before
        ORDER BY number DESC LIMIT 1
        """,
        {"webhook": webhook_number, "quiet_before": attempt.quiet_before},
    )
    return not list(rows)


async def _disable(transaction: Transaction, webhook_number: int, attempt: DeliveryAttempt, url: str) -> bool:
    """Tell the webhook of nothing more, and end what is open, also what is being sent just now.

    False, with nothing done, for one that failed long when the attempt began and has taken an event since, and for one
    that leads elsewhere by now.
    """
    disabled = await activity.change(
        transaction,
        """
        UPDATE webhooks SET disabled_at = :at, disabled_reason = :reason
        WHERE number = :webhook AND disabled_at IS NULL AND url = :url
            AND (:reason = 'gone' OR failing_since <= :failing_before) RETURNING 1
        """,
        {
            "at": attempt.at,
            "reason": attempt.disabled_reason,
            "webhook": webhook_number,
            "url": url,
            "failing_before": attempt.failing_before,
        },
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
    return bool(disabled)


def _values(attempt: DeliveryAttempt) -> dict[str, object]:
    """Return what the tables hold of an attempt. PostgreSQL takes no NUL in a text."""
    values = {name: value for name, value in msgspec.structs.asdict(attempt).items() if name != "entry"}
    return {**values, "excerpt": attempt.excerpt.replace("\0", "\ufffd")}


_CONCLUDE = """
    UPDATE deliveries SET attempts = attempts + 1, attempted_at = :at, status = CAST(:status AS BIGINT),
        excerpt = :excerpt, error = :error, outcome = :outcome, next_at = :next_at, leased_by = NULL,
        leased_until = NULL
    WHERE number = :number AND leased_by = :holder AND outcome IS NULL RETURNING 1
    """
_SUCCEED = "UPDATE webhooks SET last_success_at = :at, failing_since = NULL WHERE number = :webhook"
_FAIL_FIRST = "UPDATE webhooks SET failing_since = :at WHERE number = :webhook"
_FAIL = "UPDATE webhooks SET failing_since = coalesce(failing_since, :at) WHERE number = :webhook"
