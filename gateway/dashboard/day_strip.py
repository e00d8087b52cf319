"""The strip of a connection's last thirty days: a cell for each day, and the same in words. Pure."""

from collections.abc import Mapping
from datetime import date, timedelta

import msgspec

from gateway.dashboard.humanize import count
from gateway.models import SyncDay
from gateway.syncs.history import DAYS

CELL_STEP = 10
"""Distance from one cell to the next in templates/charts.html."""
OUTCOMES = {
    "succeeded": "all succeeded",
    "partly": "some failed",
    "failed": "all failed",
    "other": "cancelled or not finished",
    "none": "no sync",
}
"""The outcomes of a day and their words, in the order of the legend."""


class Cell(msgspec.Struct, frozen=True):
    """A day: its position from the left, its outcome and the words of its tooltip."""

    x: int
    outcome: str
    words: str


class DayStrip(msgspec.Struct, frozen=True):
    """`totals` is a short text beside the strip; `words` describe all of it."""

    cells: list[Cell]
    totals: str
    words: str


def day_strip(days: Mapping[str, SyncDay], today: date) -> DayStrip:
    """Return the strip of the days up to `today`, oldest first; `days` has those with syncs."""
    dates = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    known = [days.get(date.isoformat()) for date in dates]
    cells = [
        Cell(position * CELL_STEP, outcome(day), f"{date.day} {date:%b}: {_counts(day)}")
        for position, (date, day) in enumerate(zip(dates, known, strict=True))
    ]
    totals = _totals([day for day in known if day])
    return DayStrip(cells, totals, f"Last {DAYS} days: {totals}. {_by_outcome(cells)}")


def outcome(day: SyncDay | None) -> str:
    """Return one of OUTCOMES; syncs that were cancelled or not finished count only if there are no others."""
    if day is None:
        return "none"
    if day.failed:
        return "partly" if day.succeeded else "failed"
    if day.succeeded:
        return "succeeded"
    return "other" if day.other else "none"


def _totals(days: list[SyncDay]) -> str:
    syncs = sum(day.succeeded + day.failed + day.other for day in days)
    failed = sum(day.failed for day in days)
    if not syncs:
        return "no syncs"
    return f"{count(syncs)} {'sync' if syncs == 1 else 'syncs'}, {count(failed) if failed else 'none'} failed"


def _by_outcome(cells: list[Cell]) -> str:
    """Return `All succeeded on 27 days, some failed on 1 day, no sync on 2 days.`"""
    numbers = {name: sum(cell.outcome == name for cell in cells) for name in OUTCOMES}
    parts = [f"{OUTCOMES[name]} on {number} {_days(number)}" for name, number in numbers.items() if number]
    return ", ".join(parts).capitalize() + "."


def _days(number: int) -> str:
    return "day" if number == 1 else "days"


def _counts(day: SyncDay | None) -> str:
    if day is None:
        return OUTCOMES["none"]
    numbers = ((day.succeeded, "succeeded"), (day.failed, "failed"), (day.other, "cancelled or not finished"))
    return ", ".join(f"{count(number)} {words}" for number, words in numbers if number)
