"""Tell when a Quartz expression next comes true: the language of Airbyte's schedules, said in that of a plain cron.

No time is better than a wrong one: what the library does not know, or knows otherwise than Quartz, has none.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
"""Quartz counts them from 1, a plain cron from 0."""
WEEKDAY_TERM = re.compile(r"([1-7]|[A-Z]{3})(?:-([1-7]|[A-Z]{3}))?(L|#[1-5])?")
ODD_STEP = re.compile(r"([0-9]+)-\1/|[A-Z][^,]*/")
"""Quartz stays in a range of one value, a plain cron goes on from it; a name may stand for the same value."""
CLOCK_CHANGE = timedelta(hours=3)
"""Nearer to a change of the clocks than this, a wall time may come twice or not at all."""
ONE_MINUTE = timedelta(minutes=1)
MOST_CHANGES = 3
"""Of the clocks, that a search passes: an expression may come true on such days alone."""
KEPT_TIMES = 20_000
"""Of as many connections: a search takes a tenth of a millisecond, and of rare times some milliseconds."""
KEPT_ZONES = 100


@lru_cache(KEPT_TIMES)
def next_time(cron: str, after: datetime, *, past_changes: bool = False) -> datetime | None:
    """Return the first moment after `after` at which the expression comes true; None if that cannot be told.

    `cron` is as Airbyte writes it, `0 0 12 * * ? UTC`. With `past_changes` moments near a change of the clocks are
    passed over, for the first that is certain. Reads the time zone from a file when it first meets it.
    """
    *fields, zone_name = cron.split()
    try:
        zone = _zone(zone_name)
        plain = _plain([field.upper() for field in fields])
        # Of wall times, as Quartz does: the library's way through a change of the clocks is its own.
        moment = _first(plain, after.astimezone(zone))
        for _ in range(MOST_CHANGES if past_changes else 0):
            if not _is_near_change(moment):
                break
            moment = _first(plain, _end_of_change(moment))
        return None if _is_near_change(moment) else moment.astimezone(UTC)
    except (CronSimError, ValueError, OverflowError, StopIteration):
        return None


def _first(plain: str, after: datetime) -> datetime:
    """Return the first wall time after `after`, in its zone. Raises CronSimError, OverflowError, StopIteration."""
    return next(CronSim(plain, after.replace(tzinfo=None))).replace(tzinfo=after.tzinfo)


def _is_near_change(moment: datetime) -> bool:
    return (moment - CLOCK_CHANGE).utcoffset() != (moment + CLOCK_CHANGE).utcoffset()


def _end_of_change(moment: datetime) -> datetime:
    """Return the last minute that is near the change that `moment` is near."""
    while _is_near_change(moment + ONE_MINUTE):
        moment += ONE_MINUTE
    return moment


@lru_cache(KEPT_ZONES)
def _zone(name: str) -> tzinfo:
    """Return the time zone. Raises ValueError if there is none of this name."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, OSError):
        raise ValueError("no such time zone") from None


def _plain(fields: list[str]) -> str:
    """Return the six fields of a plain cron. Raises ValueError for what it cannot say."""
    second, minute, hour, day, month, weekday, *year = fields
    if year not in ([], ["*"]):
        raise ValueError("a year")
    if any(map(ODD_STEP.search, fields)):
        raise ValueError("a step through a range of one")
    if (day == "?") == (weekday == "?"):
        raise ValueError("Quartz takes a day of the month or a weekday, never both")
    return " ".join([second, minute, hour, day.replace("?", "*"), month, _weekdays(weekday)])


def _weekdays(field: str) -> str:
    if field in {"?", "*"}:
        return "*"
    return ",".join(map(_weekday_term, field.split(",")))


def _weekday_term(term: str) -> str:
    """Return `2-6` as `1-5` and `6L` as `5L`. Raises ValueError."""
    match = WEEKDAY_TERM.fullmatch(term)
    if match is None:
        raise ValueError("not a weekday")
    first, last, which = match.groups()
    return _number(first) + (f"-{_number(last)}" if last else "") + (which or "")


def _number(weekday: str) -> str:
    """Return a day's name or Quartz's number as a plain cron's. Raises ValueError."""
    return str(WEEKDAYS.index(weekday) if weekday in WEEKDAYS else int(weekday) - 1)
