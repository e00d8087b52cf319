"""Figures and what they should be: the lines of the table."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

UNITS = {"x": "{:.2f} x", "ms": "{:.2f} ms", "s": "{:.2f} s", "MB": "{:.0f} MB", "": "{:.3g}"}


@dataclass(frozen=True)
class Aim:
    """A bound. A stretch is a wish: nothing fails for it."""

    bound: float
    is_floor: bool
    is_stretch: bool = False

    def is_met_by(self, figure: float) -> bool:
        return figure >= self.bound if self.is_floor else figure <= self.bound


def at_least(bound: float) -> Aim:
    return Aim(bound, is_floor=True)


def at_most(bound: float) -> Aim:
    return Aim(bound, is_floor=False)


def stretch(bound: float) -> Aim:
    return Aim(bound, is_floor=True, is_stretch=True)


@dataclass(frozen=True)
class Line:
    """The median of what was measured, a figure a round; `seen` says what of."""

    row: str
    what: str
    figures: Sequence[float]
    unit: str
    target: Aim | None = None
    seen: str = ""

    @property
    def figure(self) -> float:
        return statistics.median(self.figures)

    @property
    def is_missed(self) -> bool:
        return self.target is not None and not self.target.is_met_by(self.figure)

    @property
    def fails(self) -> bool:
        return self.is_missed and not (self.target is not None and self.target.is_stretch)

    def cells(self) -> tuple[str, ...]:
        show = UNITS[self.unit].format
        sign = "≥" if self.target and self.target.is_floor else "≤"
        wish = " (stretch)" if self.target and self.target.is_stretch else ""
        verdict = "" if self.target is None else f"{'missed' if self.is_missed else 'met'}{wish}"
        return (
            self.row,
            self.what,
            show(self.figure),
            f"{sign} {show(self.target.bound)}" if self.target else "",
            "MISSED" if self.fails else verdict,
            f"{show(min(self.figures))} to {show(max(self.figures))}" if len(self.figures) > 1 else "",
            self.seen,
        )


HEADINGS = ("Row", "What", "Figure", "Target", "", "Lowest to highest", "Of")


def as_text(lines: Sequence[Line]) -> str:
    """Lay out for a terminal: the first two columns to the left."""
    rows = [HEADINGS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def as_markdown(lines: Sequence[Line]) -> str:
    rows = [HEADINGS, ["---"] * len(HEADINGS), *(line.cells() for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
