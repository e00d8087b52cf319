"""Lay out rows as a table that fits the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

GAP = 2
LEAST_WIDTH = 12
"""Free text is not shortened below this."""
FREE_TEXT = frozenset({"name", "label", "subject", "actor", "last_used_agent", "value", "from"})
"""Columns that may be shortened: they are read, not copied into another command."""


def lay_out(rows: Sequence[Mapping[str, Any]], width: int | None) -> tuple[list[str], list[str]]:
    """Return the lines, the first with the names of the columns, and the columns that were left out.

    Lines are at most `width` characters long where that is given: free text is shortened, and where that is not enough
    the widest columns are left out, but never the first.
    """
    columns = list(rows[0])
    cells = {column: [column, *(_cell(row[column]) for row in rows)] for column in columns}
    widths = {column: max(map(len, cells[column])) for column in columns}
    if width is not None:
        widths = _narrowed(widths, width)
    lines = [
        (" " * GAP).join(_fitted(cells[column][number], widths[column]) for column in widths).rstrip()
        for number in range(len(rows) + 1)
    ]
    return lines, [column for column in columns if column not in widths]


def _narrowed(widths: Mapping[str, int], width: int) -> dict[str, int]:
    """Return the widths of the columns that stay, in their order."""
    least = {column: _least(column, wanted) for column, wanted in widths.items()}
    while _total(least) > width and len(least) > 1:
        # The last of several that are as wide.
        del least[max(reversed(list(least)[1:]), key=lambda column: least[column])]
    kept = {column: widths[column] for column in least}
    while (excess := _total(kept) - width) > 0 and kept != least:
        widest = max((column for column in kept if kept[column] > least[column]), key=lambda column: kept[column])
        kept[widest] = max(least[widest], kept[widest] - excess)
    return kept


def _least(column: str, wanted: int) -> int:
    return min(wanted, max(LEAST_WIDTH, len(column))) if column in FREE_TEXT else wanted


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _fitted(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


def _cell(value: Any) -> str:
    if value is None or value == []:
        return "-"
    return ", ".join(value) if isinstance(value, list) else str(value)
