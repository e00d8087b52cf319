"""API keys: `smrt_`, 30 random base62 characters, 6 base62 characters of CRC32 over all before. Pure.

The checksum saves a look-up for typos and lets scanners tell a key from a word; it is never trusted.
"""

import hashlib
import re
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.models import ApiKey, Principal
from gateway.times import format_time

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX = "smrt_"
SECRET_LENGTH = 30
"""30 base62 characters hold 178 bits, beyond any guessing."""
CHECKSUM_LENGTH = 6
START_LENGTH = len(PREFIX) + 4
PATTERN = rf"{PREFIX}[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}"
TEXT_PATTERN = rf"(?<![0-9A-Za-z]){PATTERN}(?![0-9A-Za-z])"
"""A key within a text, but not the beginning or the end of a longer word. Not `\\b`: for it `_` belongs to the word."""
QUIET = timedelta(days=14)
"""A key that was called no more for so long can be retired: nothing that runs daily or weekly uses it."""
ID_LENGTH = 16
COOKIE_LENGTH = 43

_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
"""Two base62 digits at a time: the checksum is computed for every request."""
_FORM = re.compile(PATTERN)


def mint(choice: Callable[[str], str]) -> str:
    """Return a new key. `choice` picks one character at random; production passes `secrets.choice`."""
    body = PREFIX + "".join(choice(ALPHABET) for _ in range(SECRET_LENGTH))
    return body + checksum(body)


def mint_id(prefix: str, choice: Callable[[str], str]) -> str:
    """Return a public identifier such as `conn_…` or `key_…`: not secret, not guessable either."""
    return f"{prefix}_" + "".join(choice(ALPHABET) for _ in range(ID_LENGTH))


def derived_id(prefix: str, *parts: str) -> str:
    """Return an identifier like `mint_id`'s, the same for the same `parts`. Guessable only if all of them are."""
    number = int.from_bytes(hashlib.sha256(repr(parts).encode()).digest())
    return f"{prefix}_" + "".join(
        ALPHABET[number // len(ALPHABET) ** digit % len(ALPHABET)] for digit in range(ID_LENGTH)
    )


def mint_secret(choice: Callable[[str], str]) -> str:
    """Return the secret of a link or of a session's cookie: 256 random bits."""
    return "".join(choice(ALPHABET) for _ in range(COOKIE_LENGTH))


def checksum(body: str) -> str:
    """Return the CRC32 of `body` in base62, padded to six characters."""
    rest, low = divmod(zlib.crc32(body.encode("ascii")), len(_PAIRS))
    high, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def is_well_formed(key: str) -> bool:
    """Tell whether `key` has the shape and the checksum of a key; it may still be unknown."""
    return _FORM.fullmatch(key) is not None and checksum(key[:-CHECKSUM_LENGTH]) == key[-CHECKSUM_LENGTH:]


def digest(key: str) -> bytes:
    """Return the 32 bytes that are stored. A key has 178 random bits, so one SHA-256 suffices: no slow hash."""
    return hashlib.sha256(key.encode()).digest()


def display_start(key: str) -> str:
    """Return what is shown of a key: `smrt_ab12…`."""
    return key[:START_LENGTH] + "…"


def without_keys(text: str) -> str:
    """Return the text with only the start of each key that is in it."""
    return re.sub(PATTERN, lambda found: display_start(found[0]), text)


def works(key: ApiKey, now: datetime) -> bool:
    """Return whether the key is neither revoked nor expired."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > format_time(now))


def is_safe_to_retire(key: ApiKey, now: datetime) -> bool:
    """Return whether the key works, but was neither made nor called in the last fourteen days."""
    return works(key, now) and max(key.created_at, key.last_used_at or "") <= format_time(now - QUIET)


def is_expired(principal: Principal, now: datetime) -> bool:
    """Tell whether the principal's key has ended."""
    return principal.expires_at is not None and principal.expires_at <= now
