"""Say what an attempt to send an event comes to: delivered, again later, given up, or the webhook is disabled. Pure."""

from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.models import Actor, DisabledReason, webhook_subject
from gateway.store import ClaimedDelivery, DeliveryAttempt
from gateway.times import format_time, parse_time
from gateway.webhooks.receipt import Receipt
from gateway.webhooks.timings import DeliveryTimings

GONE = 410
GATEWAY = Actor("the gateway")
"""Who disabled a webhook, in the activity log."""


def attempt_of(
    delivery: ClaimedDelivery,
    receipt: Receipt,
    *,
    now: datetime,
    timings: DeliveryTimings,
    part: Callable[[], float],
) -> DeliveryAttempt:
    """Return what is to be stored of an attempt that ended `now`. `part` returns a random number from 0 to 1."""
    at = format_time(now)
    sent = delivery.attempts + 1
    reason = _disabling(delivery, receipt, now, timings)
    is_over = receipt.is_success or reason == "gone" or sent >= len(timings.schedule)
    pause = None if is_over else timings.schedule[sent] * (1 + timings.jitter * part())
    return DeliveryAttempt(
        at=at,
        status=receipt.status,
        excerpt=receipt.excerpt,
        error=receipt.error,
        is_success=receipt.is_success,
        outcome=("delivered" if receipt.is_success else "failed") if is_over else None,
        next_at=None if pause is None else format_time(now + timedelta(seconds=pause)),
        quiet_before=format_time(now - timings.quiet),
        failing_before=format_time(now - timings.failing),
        disabled_reason=reason,
        entry=None
        if reason is None
        else GATEWAY.did(
            "webhook.disable",
            webhook_subject(delivery.webhook_id, delivery.url),
            client_id=delivery.client_id,
            at=at,
        ),
    )


def _disabling(
    delivery: ClaimedDelivery, receipt: Receipt, now: datetime, timings: DeliveryTimings
) -> DisabledReason | None:
    if receipt.status == GONE:
        return "gone"
    has_failed_long = delivery.failing_since is not None and now - parse_time(delivery.failing_since) >= timings.failing
    return "failing" if has_failed_long and not receipt.is_success else None
