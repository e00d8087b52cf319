"""The clock, which comes from outside, and the one time format of the product, `YYYY-MM-DDTHH:MM:SS.mmmZ`.

The text sorts like the time it names, so stored times compare without parsing.
"""

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

DURATION = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
JAVA_ENDS = {"--T::Z": ".000Z", "--T:Z": ":00.000Z"}
"""What is missing in a time of Java's in UTC, by every third character of it: those that are no digits."""
DURATION_TEXT = re.compile(
    "P(?=[0-9T])(?:{0}D)?(?:T(?=[0-9])(?:{0}H)?(?:{0}M)?(?:{0}(?:[.][0-9]+)?S)?)?".format("([0-9]{1,9})")
)
SECONDS_PER_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the wall time, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the wall time, in UTC."""
        return datetime.now(UTC)

    # Asked half a dozen times for a request: a method around it would take three times as long as what it calls.
    monotonic = staticmethod(time.monotonic)


def later(moment: datetime, by: timedelta) -> datetime:
    """Return the moment that comes `by` after another, or the last one of the calendar."""
    try:
        return moment + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def format_time(moment: datetime) -> str:
    """Return the product's text for a moment."""
    return _format_utc(moment.astimezone(UTC))


def _format_utc(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_time(text: str) -> datetime:
    """Return the moment, in UTC, that ISO 8601 text with an offset names; ValueError otherwise."""
    moment = _read(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is beyond the calendar") from None


def _read(text: str) -> datetime:
    if "\0" in text:
        # Python's parser reads no further, and takes what stands before.
        raise ValueError("a time has a NUL in it")
    return datetime.fromisoformat(text)


def normalise_time(text: str) -> str:
    """Return Airbyte's `2026-04-01T03:00Z` or `…T03:00:01Z` in our format; ValueError for anything else.

    Airbyte prints Java's OffsetDateTime, which leaves out seconds that are zero.
    """
    end = JAVA_ENDS.get(text[4::3])
    if end is not None:
        # It almost always has this form. That the rest names a moment, the parser says; printing it costs more.
        _read(text)
        return text.replace("Z", end)
    return _format_utc(parse_time(text))


def parse_duration(text: str) -> timedelta:
    """Return the duration that `90d`, `24h`, `30m`, `45s` or `2w` names; ValueError otherwise."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise ValueError("a duration is a whole number and one of s, m, h, d, w, for example 90d")
    return timedelta(seconds=int(match[1]) * SECONDS_PER_UNIT[match[2]])


def seconds_of(duration_text: str | None) -> int | None:
    """Return the whole seconds of Airbyte's ISO 8601 duration; None for None or an unknown form."""
    match = DURATION_TEXT.fullmatch(duration_text or "")
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return days * 86_400 + hours * 3600 + minutes * 60 + seconds
