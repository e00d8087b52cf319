"""Times, sizes and counts as people read them. Pure."""

import math
from collections.abc import Callable
from datetime import datetime

from gateway.times import parse_time, seconds_of

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
THOUSAND = 1000
NONE = "—"
MINUTE, HOUR, DAY = 60, 3600, 86400
LENGTHS = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"))


def moment(text: str | None) -> str:
    """Return `23 Nov 2026, 03:00 UTC`, or a dash for None."""
    if text is None:
        return NONE
    time = parse_time(text)
    return f"{time.day} {time:%b %Y, %H:%M} UTC"


def day(text: str) -> str:
    """Return `2026-11-23` as `23 Nov 2026`."""
    date = datetime.fromisoformat(text)
    return f"{date.day} {date:%b %Y}"


def month(text: str) -> str:
    """Return `2026-11` as `November 2026`."""
    return f"{datetime.fromisoformat(f'{text}-01'):%B %Y}"


def ago(text: str | None, now: datetime) -> str:
    """Return `5 minutes ago`, `in 3 days`, or `never` for None.

    What has begun of a future unit counts whole: a key made for 30 days ends in 30 days, also a second later.
    """
    if text is None:
        return "never"
    seconds = round((now - parse_time(text)).total_seconds())
    if abs(seconds) < MINUTE:
        return "just now"
    if seconds > 0:
        return f"{_in_units(seconds, math.floor)} ago"
    return f"in {_in_units(math.ceil(-seconds / MINUTE) * MINUTE, math.ceil)}"


def count(number: int | None) -> str:
    """Return `12,345`, or a dash for None."""
    return NONE if number is None else f"{number:,}"


def size(number: int | None) -> str:
    """Return `1.2 GB`, in powers of a thousand as Airbyte counts, or a dash for None."""
    if number is None:
        return NONE
    amount, unit = float(number), 0
    while round(amount, 1) >= THOUSAND and unit < len(UNITS) - 1:
        amount, unit = amount / THOUSAND, unit + 1
    return f"{amount:.1f} {UNITS[unit]}" if unit else f"{number} B"


def duration(text: str | None) -> str:
    """Return `PT1H2M3S` as `1 h 2 min`, or a dash for None."""
    seconds = seconds_of(text)
    return NONE if seconds is None else span(seconds)


def span(seconds: int) -> str:
    """Return `40 s`, `12 min 5 s` or `1 h 2 min`."""
    hours, rest = divmod(seconds, HOUR)
    minutes, seconds = divmod(rest, MINUTE)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def interval(seconds: int) -> str:
    """Return `15 minutes` or `24 hours`, in the largest unit of which it is a whole number; days from two on."""
    length, name = next(
        (pair for pair in LENGTHS if seconds % pair[0] == 0 and seconds > (DAY if pair[0] == DAY else 0)), (1, "second")
    )
    number = seconds // length
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _in_units(seconds: int, rounded: Callable[[float], int]) -> str:
    """Return `5 minutes`, for a minute or more."""
    length, name = next(pair for pair in LENGTHS if seconds >= pair[0])
    number = rounded(seconds / length)
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
