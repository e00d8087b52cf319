"""The state of an API key, in the words of the pages. Pure."""

from datetime import datetime, timedelta

from gateway.auth.keys import works
from gateway.models import ApiKey
from gateway.times import format_time

SOON = timedelta(days=7)


def state_of(key: ApiKey, now: datetime) -> str:
    """Return `revoked`, `expired`, `being replaced`, `expires soon` or `active`."""
    if key.revoked_at is not None:
        return "revoked"
    if not works(key, now):
        return "expired"
    if key.successor_id is not None:
        return "being replaced"
    is_soon = key.expires_at is not None and key.expires_at <= format_time(now + SOON)
    return "expires soon" if is_soon else "active"
