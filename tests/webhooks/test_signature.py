"""The published library of Standard Webhooks takes what we sign."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from gateway.webhooks.signature import NEW_SECRET_BYTES, new_secret, signed_headers

BODY = '{"type":"sync.failed","data":{"label":"Zürich"}}'.encode()
OLD, NEW, OTHER = (new_secret(byte.__mul__) for byte in (b"\0", b"\xff", b"7"))


def signed(*secrets: str, at: datetime | None = None) -> dict[str, str]:
    return signed_headers(secrets, "evt_1", at or datetime.now(UTC), BODY)


def test_a_secret_has_the_form_that_receivers_type() -> None:
    assert NEW == "whsec_" + "/" * 42 + "8="
    assert NEW_SECRET_BYTES == 32


def test_the_published_library_verifies_it() -> None:
    assert Webhook(NEW).verify(BODY, signed(NEW))


def test_a_local_time_is_the_same_moment() -> None:
    local = datetime.now(UTC).astimezone(timezone(timedelta(hours=-7)))

    assert signed(NEW, at=local) == signed(NEW, at=local.astimezone(UTC))


def test_either_secret_of_a_rotation_verifies_and_no_other() -> None:
    headers = signed(NEW, OLD)

    assert Webhook(OLD).verify(BODY, headers)
    assert Webhook(NEW).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers)


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body"])
def test_id_time_and_body_are_signed(changed: str) -> None:
    headers = signed(NEW)
    body = BODY
    if changed == "body":
        body = BODY.replace(b"failed", b"worked")
    else:
        headers[changed] += "0" if changed == "webhook-id" else ""
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - (changed == "webhook-timestamp"))

    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body, headers)
