"""Make and sign a message as Standard Webhooks 1.0 says: HMAC-SHA256 over its id, the time of sending and its body."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from gateway.settings.check_notify import SECRET_PREFIX

NEW_SECRET_BYTES = 32
"""The specification asks for 24 to 64."""


def new_secret(random_bytes: Callable[[int], bytes]) -> str:
    """Return a secret as the receiver types it: `whsec_` and standard base64. `random_bytes` gives so many of them."""
    return SECRET_PREFIX + base64.b64encode(random_bytes(NEW_SECRET_BYTES)).decode()


def message_body(kind: str, at: str, data: object) -> bytes:
    """Return the JSON of a message of this kind about what happened `at` a time; `data` is whatever JSON can hold."""
    return msgspec.json.encode({"type": kind, "timestamp": at, "data": data})


def signed_headers(secrets: Sequence[str], event_id: str, timestamp: datetime, body: bytes) -> dict[str, str]:
    """Return the headers of a message that is sent at `timestamp`, with a signature by each of `secrets`.

    A receiver accepts any one of them, so both secrets of a rotation sign.
    """
    seconds = str(int(timestamp.timestamp()))
    content = b".".join((event_id.encode(), seconds.encode(), body))
    return {
        "webhook-id": event_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(_signature(secret, content) for secret in secrets),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
