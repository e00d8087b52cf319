"""Charts of a connection's syncs over time: the places of points, lines and labels, and the same in words. Pure.

Lengths are units of the drawing, 400 by 170, in templates/charts.html; browsers scale it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from statistics import median_low
from typing import Literal

import msgspec

from gateway.dashboard.humanize import DAY, HOUR, MINUTE, count, span
from gateway.models import Job
from gateway.times import parse_time, seconds_of

LEFT, RIGHT, TOP, BOTTOM = 48, 392, 12, 146
"""The edges of the area in which points lie."""
SPAN_OF_DATES_SECONDS = 2 * DAY
"""Charts of a longer time have dates on the axis, shorter ones dates with times of day."""
ROUND_SECONDS = (
    *(10, 20, 30, MINUTE),
    *(2 * MINUTE, 4 * MINUTE, 6 * MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE, 40 * MINUTE, HOUR),
    *(2 * HOUR, 4 * HOUR, 6 * HOUR, 8 * HOUR, 12 * HOUR, DAY),
)
"""Maxima of the axis, chosen so that their halves are round as well."""
ROUND_LEADS = (2, 4, 6, 8, 10)
LARGE_UNITS = ((1_000_000_000, "bn"), (1_000_000, "M"), (1_000, "k"))

Kind = Literal["succeeded", "failed", "other"]


class Point(msgspec.Struct, frozen=True):
    """A job in the chart: its position, its kind and the words of its tooltip."""

    x: float
    y: float
    kind: Kind
    words: str


class Label(msgspec.Struct, frozen=True):
    """A text beside an axis, `at` so many units from the left or the top."""

    at: float
    text: str
    anchor: Literal["start", "middle", "end"] = "end"


class Chart(msgspec.Struct, frozen=True):
    """Points oldest first; `words` say what can be seen."""

    points: list[Point]
    values: list[Label]
    dates: list[Label]
    words: str


class _Measured(msgspec.Struct, frozen=True):
    """A job that has both a time and a value."""

    at: datetime
    value: int
    kind: Kind


def duration_chart(jobs: Sequence[Job]) -> Chart | None:
    """Return the chart of how long each job took; None if no duration is known."""
    measured = _measured(jobs, lambda job: seconds_of(job.duration))
    if not measured:
        return None
    low, middle, high = _spread(measured)
    took = f"took {span(high)}" if low == high else f"took {span(low)} to {span(high)}, typically {span(middle)}"
    return _chart(measured, round_seconds(high), short_span, span, took)


def rows_chart(jobs: Sequence[Job]) -> Chart | None:
    """Return the chart of how many rows each job moved; None if no count is known."""
    measured = _measured(jobs, lambda job: job.rows_synced)
    if not measured:
        return None
    low, middle, high = _spread(measured)
    moved = f"moved {_rows(high)}"
    if low != high:
        moved = f"moved {count(low)} to {_rows(high)}, typically {count(middle)}"
    return _chart(measured, round_count(high), short_count, _rows, moved)


def round_seconds(most: int) -> int:
    """Return the maximum of an axis of durations that reaches `most`."""
    return next((top for top in ROUND_SECONDS if top >= most), -(-most // (2 * DAY)) * 2 * DAY)


def round_count(most: int) -> int:
    """Return the maximum of an axis of counts that reaches `most`."""
    power = 1
    while most > ROUND_LEADS[-1] * power:
        power *= 10
    return next(lead * power for lead in ROUND_LEADS if lead * power >= most)


def short_span(seconds: int) -> str:
    """Return `0`, `30 s`, `5 min`, `2 h` or `3 d`, for round durations."""
    for length, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s" if seconds else "0"


def short_count(number: int) -> str:
    """Return `0`, `500`, `5k` or `20M`, for round numbers."""
    for size, unit in LARGE_UNITS:
        if number >= size:
            return f"{number // size}{unit}"
    return str(number)


def _measured(jobs: Sequence[Job], value_of: Callable[[Job], int | None]) -> list[_Measured]:
    """Return the jobs that have a value, oldest first. A value below zero counts as none."""
    found = [
        _Measured(parse_time(job.start_time), value, _kind(job))
        for job in jobs
        if job.start_time and (value := value_of(job)) is not None and value >= 0
    ]
    return sorted(found, key=lambda each: each.at)


def _kind(job: Job) -> Kind:
    return "succeeded" if job.status == "succeeded" else "failed" if job.status == "failed" else "other"


def _spread(measured: list[_Measured]) -> tuple[int, int, int]:
    values = [each.value for each in measured]
    return min(values), median_low(values), max(values)


def _chart(
    measured: list[_Measured], top: int, short: Callable[[int], str], words: Callable[[int], str], verdict: str
) -> Chart:
    first, last = measured[0].at, measured[-1].at
    field_height = BOTTOM - TOP

    def x(at: datetime) -> float:
        share = (at - first) / (last - first) if last > first else 0.5
        return round(LEFT + share * (RIGHT - LEFT), 1)

    def y(value: int) -> float:
        return round(BOTTOM - value / top * field_height, 1)

    return Chart(
        points=[
            Point(x(each.at), y(each.value), each.kind, f"{_date_and_time(each.at)}: {words(each.value)}{_ended(each)}")
            for each in measured
        ],
        values=[Label(y(value), short(value)) for value in (top, top // 2, 0)],
        dates=_dates(first, last),
        words=_summary(measured, verdict),
    )


def _dates(first: datetime, last: datetime) -> list[Label]:
    if first == last:
        return [Label((LEFT + RIGHT) / 2, _date_and_time(first), "middle")]
    is_long = (last - first).total_seconds() > SPAN_OF_DATES_SECONDS
    words = _date if is_long else _date_and_time
    labels = [Label(LEFT, words(first), "start"), Label(RIGHT, words(last), "end")]
    if is_long:
        labels.insert(1, Label((LEFT + RIGHT) / 2, words(first + (last - first) / 2), "middle"))
    return labels


def _summary(measured: list[_Measured], verdict: str) -> str:
    """Return `The last 100 finished syncs took 40 s to 25 min 3 s, typically 12 min 1 s; 3 failed.`"""
    number, failed = len(measured), sum(each.kind == "failed" for each in measured)
    subject = "The last finished sync" if number == 1 else f"The last {number} finished syncs"
    ending = ("it failed" if number == 1 else f"{failed} failed") if failed else "none failed" if number > 1 else ""
    return f"{subject} {verdict}{f'; {ending}' if ending else ''}."


def _ended(each: _Measured) -> str:
    return {"succeeded": "", "failed": ", failed", "other": ", cancelled"}[each.kind]


def _rows(number: int) -> str:
    return f"{count(number)} {'row' if number == 1 else 'rows'}"


def _date(at: datetime) -> str:
    return f"{at.day} {at:%b}"


def _date_and_time(at: datetime) -> str:
    return f"{at.day} {at:%b}, {at:%H:%M}"
