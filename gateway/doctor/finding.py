"""What the doctor finds, one thing at a time."""

from typing import Literal

import msgspec

Level = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """One thing checked. `fail` must be corrected; `warn` works, but somebody should look at it.

    `advice` says what to do; it is empty where there is nothing to do.
    """

    check: str
    level: Level
    text: str
    advice: str = ""


def passed(check: str, text: str, advice: str = "") -> Finding:
    """Return the finding that all is well."""
    return Finding(check, "ok", text, advice)


def warning(check: str, text: str, advice: str) -> Finding:
    """Return the finding of what may do harm, and what to do about it."""
    return Finding(check, "warn", text, advice)


def failure(check: str, text: str, advice: str) -> Finding:
    """Return the finding of what does not work, and what to do about it."""
    return Finding(check, "fail", text, advice)
