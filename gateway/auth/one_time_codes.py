"""Codes of a second factor: those that an app makes for each half minute (RFC 6238), and recovery codes. Pure."""

import re
from collections.abc import Callable
from datetime import datetime

BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
TOTP_SECRET_LENGTH = 32
"""160 random bits, as RFC 4226 §4 recommends."""
STEPS_BESIDE = 1
"""How many time steps a clock may be off, either way (RFC 6238 §5.2)."""
RECOVERY_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without what looks alike."""
RECOVERY_CODES, RECOVERY_GROUPS, GROUP_LENGTH = 10, 4, 4
"""How many codes there are, and how each is made: 79 random bits, so that one SHA-256 suffices to keep it."""
SIX_DIGITS = re.compile(r"[0-9]{6}")
SEPARATORS = re.compile(r"[\s-]+")


def mint_totp_secret(choice: Callable[[str], str]) -> str:
    """Return a new secret, in base32 as apps take it. `choice` picks a random character."""
    return "".join(choice(BASE32) for _ in range(TOTP_SECRET_LENGTH))


def totp_address(secret: str, *, email: str, issuer: str) -> str:
    """Return the `otpauth://` address that tells an app the secret, and under which names to show it."""
    from pyotp import TOTP  # noqa: PLC0415 - most processes never need it

    return TOTP(secret).provisioning_uri(name=email, issuer_name=issuer)


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """Return the time step whose code this is, if that is now or STEPS_BESIDE it; None for a wrong code."""
    from pyotp import TOTP  # noqa: PLC0415 - as above
    from pyotp.exceptions import OTPVerificationError  # noqa: PLC0415 - as above

    try:
        return TOTP(secret).verify_and_get_timecode(code, for_time=now, valid_window=STEPS_BESIDE)
    except OTPVerificationError:
        return None


def is_time_code(code: str) -> bool:
    """Tell whether a code has the form of an app's; else it is a recovery code."""
    return SIX_DIGITS.fullmatch(code) is not None


def plain_code(typed: str) -> str:
    """Return a code as it was given out, however it was typed: without spaces and hyphens, in small letters."""
    return SEPARATORS.sub("", typed).lower()


def mint_recovery_codes(choice: Callable[[str], str]) -> list[str]:
    """Return new recovery codes, as they are shown: `abcd-efgh-jkmn-pqrs`."""
    return ["-".join(_group(choice) for _ in range(RECOVERY_GROUPS)) for _ in range(RECOVERY_CODES)]


def _group(choice: Callable[[str], str]) -> str:
    return "".join(choice(RECOVERY_ALPHABET) for _ in range(GROUP_LENGTH))
