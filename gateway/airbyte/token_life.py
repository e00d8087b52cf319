"""How long a token may be used, by what its answer and the token itself claim."""

import base64
import binascii
from typing import Any

import msgspec

from gateway.airbyte.schema import TokenRecord
from gateway.airbyte.timings import TokenTimings


def token_life(record: TokenRecord, timings: TokenTimings) -> float:
    """Return the seconds the token may be used: the smaller of `expires_in` and the JWT's own `exp - iat`.

    `expires_in` comes from today's configuration, the JWT from the application's creation; either may be wrong,
    missing or of the wrong type. Neither needs our wall clock to be right.
    """
    stated = [life for life in (_number(record.expires_in), _jwt_life(record.access_token)) if life is not None]
    return min(max(min(stated, default=timings.unstated), timings.shortest), timings.longest)


def _jwt_life(token: str) -> float | None:
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature (RFC 7519)
        return None
    try:
        claims: Any = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(claims, dict):
        return None
    issued, expires = _number(claims.get("iat")), _number(claims.get("exp"))
    return None if issued is None or expires is None else expires - issued


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
