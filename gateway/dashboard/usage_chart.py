"""The chart of a client's calls: a stacked bar for each hour or day, and the same in words. Pure.

Lengths are units of the drawing, which the page stretches; the labels around it are text.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from gateway.dashboard.charts import round_count, short_count
from gateway.dashboard.humanize import count
from gateway.models import HourUsage
from gateway.times import parse_time

STEP = 10
BAR = 8
HEIGHT = 100
ROOM = 4
"""Space above the highest bar, for parts that are drawn higher than their value."""
LEAST = 2.0
"""The least height of a part, so that it can be seen."""

DRAWING = {"step": STEP, "bar": BAR, "height": HEIGHT, "room": ROOM}
"""For the template."""

Kind = Literal["answered", "limited", "errors"]


class Period(msgspec.Struct, frozen=True):
    """A number of hours or days, the last of which is the present one."""

    name: str
    words: str
    step: timedelta
    number: int

    def begin(self, now: datetime) -> datetime:
        """Return when the first of them began."""
        return self._current(now) - (self.number - 1) * self.step

    def slots(self, now: datetime) -> list[datetime]:
        """Return when each of them began."""
        return [self.begin(now) + index * self.step for index in range(self.number)]

    def _current(self, now: datetime) -> datetime:
        hour = now.replace(minute=0, second=0, microsecond=0)
        return hour if self.step < timedelta(days=1) else hour.replace(hour=0)

    def label(self, begin: datetime) -> str:
        """Return `03:00` for an hour, `23 Nov` for a day."""
        return f"{begin:%H:%M}" if self.step < timedelta(days=1) else f"{begin.day} {begin:%b}"


def period_of_days(words: str, number: int) -> Period:
    """Return so many days; a single one by the hour."""
    if number == 1:
        return Period("day", words, timedelta(hours=1), 24)
    return Period("days", words, timedelta(days=1), number)


LAST_DAY = Period("24h", "Last 24 hours", timedelta(hours=1), 24)
LAST_MONTH = Period("30d", "Last 30 days", timedelta(days=1), 30)


class Bar(msgspec.Struct, frozen=True):
    """The calls of one hour or day."""

    begin: str
    calls: int = 0
    limited: int = 0
    errors: int = 0

    @property
    def words(self) -> str:
        """The tooltip: `03:00: 12 calls, 2 limited, 1 error`."""
        parts = [f"{count(self.calls)} {'call' if self.calls == 1 else 'calls'}"]
        if self.limited:
            parts.append(f"{count(self.limited)} limited")
        if self.errors:
            parts.append(f"{count(self.errors)} {'error' if self.errors == 1 else 'errors'}")
        return f"{self.begin}: {', '.join(parts)}"


class Part(msgspec.Struct, frozen=True):
    """A piece of a bar, its upper left corner at `x`, `y`."""

    kind: Kind
    x: int
    y: float
    height: float


class UsageChart(msgspec.Struct, frozen=True):
    """`bars` oldest first; `parts` are those of all of them; `top` and `middle` label the axis."""

    bars: list[Bar]
    parts: list[Part]
    width: int
    top: str
    middle: str
    dates: list[str]
    words: str

    @property
    def calls(self) -> int:
        """All calls of the chart's days."""
        return sum(bar.calls for bar in self.bars)

    @property
    def limited(self) -> int:
        """Of those, the ones that were answered 429."""
        return sum(bar.limited for bar in self.bars)

    @property
    def errors(self) -> int:
        """Of those, the ones that were answered with an error."""
        return sum(bar.errors for bar in self.bars)


def usage_chart(period: Period, hours: Sequence[HourUsage], now: datetime) -> UsageChart:
    """Return the chart of the hours that lie in the period."""
    bars = _bars(period, hours, now)
    top = round_count(max(bar.calls for bar in bars))
    return UsageChart(
        bars=bars,
        parts=[part for index, bar in enumerate(bars) for part in _parts(bar, index * STEP, top)],
        width=period.number * STEP - (STEP - BAR),
        top=short_count(top),
        middle=short_count(top // 2),
        dates=[bars[0].begin, bars[len(bars) // 2].begin, bars[-1].begin],
        words=_summary(period, bars),
    )


def _bars(period: Period, hours: Sequence[HourUsage], now: datetime) -> list[Bar]:
    slots = period.slots(now)
    found: list[list[HourUsage]] = [[] for _ in slots]
    for hour in hours:
        index = (parse_time(hour.hour) - slots[0]) // period.step
        if 0 <= index < len(slots):
            found[index].append(hour)
    return [
        Bar(
            begin=period.label(begin),
            calls=sum(hour.calls for hour in inside),
            limited=sum(hour.limited for hour in inside),
            errors=sum(hour.errors for hour in inside),
        )
        for begin, inside in zip(slots, found, strict=True)
    ]


def _parts(bar: Bar, x: int, top: int) -> list[Part]:
    """Return the parts of a bar, from the bottom up. Errors and limited calls differ in position and colour."""
    numbers: tuple[tuple[Kind, int], ...] = (
        ("errors", bar.errors),
        ("answered", bar.calls - bar.limited - bar.errors),
        ("limited", bar.limited),
    )
    parts = []
    y = float(HEIGHT)
    for kind, number in numbers:
        if number > 0:
            height = max(LEAST, round(number / top * (HEIGHT - ROOM), 1))
            y = round(y - height, 1)
            parts.append(Part(kind, x, y, height))
    return parts


def _summary(period: Period, bars: Sequence[Bar]) -> str:
    """Return `Calls by hour over the last 24 hours, most at 03:00 with 12.`"""
    unit = "hour" if period.step < timedelta(days=1) else "day"
    most = max(bars, key=lambda bar: bar.calls)
    highest = f", most in the {unit} of {most.begin} with {count(most.calls)}" if most.calls else ": none"
    return f"Calls by {unit}, {period.words[:1].lower()}{period.words[1:]}{highest}."
