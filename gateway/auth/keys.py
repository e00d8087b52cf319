"""API keys: `smrt_`, 30 random base62 characters, 6 base62 characters of CRC32 over all before. Pure.

The checksum spares a look-up for typos and lets scanners tell a key from a word; it is never trusted.
"""

import hashlib
import re
import zlib
from collections.abc import Callable
from datetime import datetime

from gateway.models import Principal

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX = "smrt_"
SECRET_LENGTH = 30
"""30 base62 characters hold 178 bits, beyond any guessing."""
CHECKSUM_LENGTH = 6
START_LENGTH = len(PREFIX) + 4
PATTERN = rf"{PREFIX}[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}"
TEXT_PATTERN = rf"\b{PATTERN}\b"
"""A key within a text, but not the beginning or the end of a longer word. Every expression engine reads it alike."""
ID_LENGTH = 16
COOKIE_LENGTH = 43

_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
"""Two base62 digits at a time: the checksum is computed for every request."""
_KEY = re.compile(PATTERN)


def mint(choice: Callable[[str], str]) -> str:
    """A new key. `choice` picks one character at random; production passes `secrets.choice`."""
    body = PREFIX + "".join(choice(ALPHABET) for _ in range(SECRET_LENGTH))
    return body + checksum(body)


def mint_id(prefix: str, choice: Callable[[str], str]) -> str:
    """A public identifier such as `conn_…` or `key_…`: not secret, not guessable either."""
    return f"{prefix}_" + "".join(choice(ALPHABET) for _ in range(ID_LENGTH))


def derived_id(prefix: str, *parts: str) -> str:
    """As `mint_id`, but always the same for the same `parts`. Not guessable if one of them is not."""
    number = int.from_bytes(hashlib.sha256(repr(parts).encode()).digest())
    return f"{prefix}_" + "".join(
        ALPHABET[number // len(ALPHABET) ** place % len(ALPHABET)] for place in range(ID_LENGTH)
    )


def mint_secret(choice: Callable[[str], str]) -> str:
    """What a link or a session's cookie consists of: 256 random bits."""
    return "".join(choice(ALPHABET) for _ in range(COOKIE_LENGTH))


def checksum(body: str) -> str:
    """CRC32 of `body` in base62, padded to six characters."""
    rest, low = divmod(zlib.crc32(body.encode("ascii")), len(_PAIRS))
    high, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def is_well_formed(key: str) -> bool:
    """Whether `key` has the shape and the checksum of a key; says nothing about its being known."""
    return _KEY.fullmatch(key) is not None and checksum(key[:-CHECKSUM_LENGTH]) == key[-CHECKSUM_LENGTH:]


def digest(key: str) -> bytes:
    """The 32 bytes that are stored. A key has 178 random bits, so one SHA-256 suffices: no slow hash."""
    return hashlib.sha256(key.encode()).digest()


def display_start(key: str) -> str:
    return key[:START_LENGTH] + "…"


def is_expired(principal: Principal, now: datetime) -> bool:
    return principal.expires_at is not None and principal.expires_at <= now
