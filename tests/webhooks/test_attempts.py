"""What an attempt comes to, by its answer and by those before it."""

from datetime import timedelta

import msgspec
import pytest

from gateway.settings.secret import Secret
from gateway.store import ClaimedDelivery, DeliveryAttempt
from gateway.times import format_time
from gateway.webhooks.attempts import attempt_of
from gateway.webhooks.receipt import Receipt
from gateway.webhooks.timings import DeliveryTimings
from tests.support import START

FIRST = ClaimedDelivery(
    number=1,
    webhook_number=1,
    webhook_id="whk_1",
    client_id=1,
    stream="",
    connection_id=None,
    url="https://hooks.example/secret",
    secret=Secret("whsec_"),
    previous_secrets=(),
    failing_since=None,
    event_number=1,
    event_id="evt_1",
    event_type="key.created",
    event_at="",
    data="{}",
    attempts=0,
)
FIVE_DAYS = format_time(START - timedelta(days=5))
SERVER_ERROR = Receipt(500, "no")


def attempt(receipt: Receipt, *, part: float = 0.0, **values: object) -> DeliveryAttempt:
    delivery = msgspec.structs.replace(FIRST, **values)
    return attempt_of(delivery, receipt, now=START, timings=DeliveryTimings(), part=lambda: part)


def test_the_schedule_is_the_published_one() -> None:
    pauses = []
    for number in range(9):
        failed = attempt(SERVER_ERROR, attempts=number)
        assert failed.outcome is None
        pauses.append(failed.next_at)

    seconds = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    assert pauses == [format_time(START + timedelta(seconds=each)) for each in seconds]
    assert attempt(SERVER_ERROR, attempts=9).outcome == "failed"
    assert attempt(SERVER_ERROR, part=0.5, attempts=1).next_at == format_time(START + timedelta(seconds=315))


@pytest.mark.parametrize(("status", "outcome"), [(200, "delivered"), (299, "delivered"), (307, None), (404, None)])
def test_only_a_2xx_is_a_success(status: int, outcome: str | None) -> None:
    assert attempt(Receipt(status, "ok")).outcome == outcome


def test_a_webhook_that_is_gone_is_disabled_at_once() -> None:
    gone = attempt(Receipt(410))

    assert (gone.outcome, gone.disabled_reason, gone.next_at) == ("failed", "gone", None)
    assert gone.entry is not None
    assert (gone.entry.action, gone.entry.subject) == ("webhook.disable", "hooks.example (whk_1)")


def test_five_days_without_a_success_disable_a_webhook() -> None:
    assert attempt(SERVER_ERROR, failing_since=format_time(START - timedelta(days=4))).disabled_reason is None
    assert attempt(Receipt(None, error="none"), failing_since=FIVE_DAYS).disabled_reason == "failing"
    assert attempt(Receipt(204), failing_since=FIVE_DAYS).disabled_reason is None
