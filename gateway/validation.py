"""Check what operators type: names, slugs, addresses, ids, rates, durations. `what` names the value in the error."""

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from gateway.errors import InvalidInput
from gateway.models import RatePolicy
from gateway.times import format_time, parse_duration, parse_time

LONGEST_TEXT = 200
LONGEST_EMAIL = 254
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""The canonical form. Airbyte itself takes `1-1-1-1-1` for a UUID, so the check is ours."""
MOST_KEYS = re.compile(r"[1-9][0-9]{0,5}")
RATE = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,6})")


def text(what: str, value: str) -> str:
    """Return the value if it is 1 to 200 printable characters without space at either end. Raises InvalidInput."""
    if not 1 <= len(value) <= LONGEST_TEXT or not value.isprintable() or value != value.strip():
        raise InvalidInput(f"{what} must be 1 to {LONGEST_TEXT} printable characters, without space at either end")
    return value


def slug(what: str, value: str) -> str:
    """Return the value if it is lower-case letters, digits and inner hyphens. Raises InvalidInput."""
    if SLUG.fullmatch(value) is None:
        raise InvalidInput(f"{what} must be 1 to 63 lower-case letters, digits or inner hyphens, for example acme-inc")
    return value


def email(what: str, value: str) -> str:
    """Return the value if it has something before one @ and something behind it. Raises InvalidInput.

    More does not hold everywhere (RFC 5321 §4.5.3.1).
    """
    if len(value) > LONGEST_EMAIL or EMAIL.fullmatch(value) is None or not value.isprintable():
        raise InvalidInput(f"{what} must look like ann@example.com")
    return value


def web_address(what: str, value: str) -> str:
    """Return the value if it is an address of the web, without a user. Raises InvalidInput, which quotes nothing."""
    try:
        parts = urlsplit(value)
        is_good = parts.scheme in {"https", "http"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        is_good = False
    if not is_good or not value.isascii() or not value.isprintable():
        raise InvalidInput(f"{what} must look like https://example.com/hooks")
    return value


def is_uuid(text: str) -> bool:
    """Tell whether the text is a UUID in the canonical form, in lower case."""
    return UUID.fullmatch(text) is not None


def uuid(what: str, value: str) -> str:
    """Return a canonical UUID in lower case. Raises InvalidInput."""
    if not is_uuid(value.lower()):
        raise InvalidInput(f"{what} must be a UUID such as 9924bcd0-99be-453d-ba47-c2c9766f7da5")
    return value.lower()


def rate(value: str) -> RatePolicy:
    """Return the policy of `100/60`, requests per seconds. Raises InvalidInput."""
    match = RATE.fullmatch(value)
    if match is None:
        raise InvalidInput("a rate is REQUESTS/SECONDS, for example 100/60")
    return RatePolicy(int(match[1]), int(match[2]))


def rate_text(policy: RatePolicy | None) -> str | None:
    """Return a policy as `rate` takes it, `100/60`; None for None."""
    return f"{policy.requests}/{policy.per_seconds}" if policy else None


def most_keys(value: str) -> int:
    """Return how many keys of a client may work at once. Raises InvalidInput."""
    if MOST_KEYS.fullmatch(value) is None:
        raise InvalidInput("the most keys must be a number from 1 to 999999")
    return int(value)


def expiry(value: str, now: datetime) -> str:
    """Return when a key ends: a duration from now (`90d`) or a moment to come. Raises InvalidInput.

    A moment is `2030-01-31` or `2030-01-31T12:00:00Z`.
    """
    try:
        moment = now + parse_duration(value)
    except ValueError:
        moment = _moment(value)
    except OverflowError:
        raise InvalidInput(f"{value} is too far away") from None
    if moment <= now:
        raise InvalidInput(f"{value} is in the past")
    return format_time(moment)


def _moment(value: str) -> datetime:
    try:
        if len(value) == len("2030-01-31"):
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        return parse_time(value)
    except ValueError:
        raise InvalidInput(
            f"{value!r} is neither a duration such as 90d nor a date such as 2030-01-31 or 2030-01-31T12:00:00Z"
        ) from None


def overlap(value: str, now: datetime) -> str:
    """Return when the old key of a rotation ends: a duration from now; `0s` is at once. Raises InvalidInput."""
    if value == "0s":
        return format_time(now)
    try:
        return format_time(now + parse_duration(value))
    except (ValueError, OverflowError):
        raise InvalidInput(f"{value!r} is no duration such as 24h, 7d or 0s") from None
