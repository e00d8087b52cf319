"""Read `Prefer: wait` of a request (RFC 7240), and say in its answer that it was kept to."""

import re
from collections.abc import Iterable, Iterator, Mapping

LONGEST_WAIT = 60
"""Seconds: who prefers more is answered as if he had preferred this."""
MOST_PREFER_BYTES = 1000
"""Of all that a caller prefers, together. More is ignored: real preferences are short."""

_PREFERENCE = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_SPACES = r"[ \t]*+"
_VALUE = rf'(?:{_PREFERENCE}|"[^"\\]*+(?:\\.[^"\\]*+)*")'
_PARAMETERS = rf"(?:{_SPACES};(?:{_SPACES}{_PREFERENCE}(?:{_SPACES}={_SPACES}{_VALUE})?)?)*"
_ELEMENT = re.compile(rf"{_SPACES}(?:({_PREFERENCE})(?:{_SPACES}={_SPACES}({_VALUE}))?{_PARAMETERS})?{_SPACES}(?:,|$)")
"""No character is given back once it was read (`+` after a repetition), and a group that is given back fits nothing
else. So a text is read in time that grows as it does."""
_SECONDS = re.compile("[0-9]+")
_DIGITS = 9
"""Of a number, after its zeros: more than any wait has, and Python refuses to read thousands."""


def preferred_wait(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return for how many seconds at most the caller prefers to wait, 60 for more; None for no preference.

    What is malformed, unknown or very long is as if it had not been sent; of several waits the first holds (section 2).
    """
    lines = [value.decode("latin-1") for name, value in headers if name == b"prefer"]
    text = ", ".join(lines)
    if len(text) > MOST_PREFER_BYTES:
        return None
    value = next((value for name, value in _preferences(text) if name.lower() == "wait"), None)
    digits = value.strip('"') if value else ""
    if _SECONDS.fullmatch(digits) is None:
        return None
    return min(int(digits.lstrip("0")[:_DIGITS] or "0"), LONGEST_WAIT)


def wait_headers(seconds: int | None) -> Mapping[str, str]:
    """Return the headers of an answer to a request that preferred to wait; None: it was answered at once instead."""
    vary = {"Vary": "Prefer"}
    return vary if seconds is None else {"Preference-Applied": f"wait={seconds}", **vary}


def _preferences(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield names and values; nothing at all of a malformed text."""
    found: list[tuple[str, str | None]] = []
    at = 0
    while at < len(text):
        element = _ELEMENT.match(text, at)
        if element is None:
            return
        at = element.end()
        if element[1]:
            found.append((element[1], element[2]))
    yield from found
