"""Lay out rows as a table that fits the terminal."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

GAP = 2
NOTHING = "-"
UNPRINTABLE = "\ufffd"
WHOLE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")
SPARED_FIRST = ("request_id", "last_used_agent", "last_used_address", "address", "created_at", "airbyte_id")
"""Columns that are left out before others, in this order."""
LEAST_WIDTH = 12
"""Free text is not shortened below this."""
FREE_TEXT = frozenset({"name", "label", "subject", "actor", "last_used_agent", "value", "from", "answer"})
"""Columns that may be shortened: they are read, not copied into another command."""


def lay_out(rows: Sequence[Mapping[str, Any]], width: int | None) -> tuple[list[str], list[str]]:
    """Return the lines, the first with the names of the columns, and the columns that were left out.

    Lines are at most `width` characters long where that is given. Times are told by the minute and free text is
    shortened; where that is not enough, columns that hold nothing or can best be spared are left out, never the first.
    """
    cells = {column: [column, *(_cell(row[column]) for row in rows)] for column in rows[0]}
    widths = _widths(cells)
    if width is not None and _total(widths) > width:
        cells = {column: [_to_the_minute(text) for text in texts] for column, texts in cells.items()}
        widths = _narrowed(cells, width)
    lines = [
        (" " * GAP).join(_fitted(cells[column][number], widths[column]) for column in widths).rstrip()
        for number in range(len(rows) + 1)
    ]
    return lines, [column for column in cells if column not in widths]


def _widths(cells: Mapping[str, Sequence[str]]) -> dict[str, int]:
    return {column: max(map(len, texts)) for column, texts in cells.items()}


def _narrowed(cells: Mapping[str, Sequence[str]], width: int) -> dict[str, int]:
    """Return the widths of the columns that stay, in their order."""
    wanted = _widths(cells)
    least = {column: _least(column, wanted[column]) for column in cells}
    _, *others = cells
    empty = [column for column in others if set(cells[column][1:]) == {NOTHING}]
    spared = [column for column in SPARED_FIRST if column in others]
    for column in dict.fromkeys([*empty, *spared, *reversed(others)]):
        if _total(least) <= width:
            break
        del least[column]
    kept = {column: wanted[column] for column in least}
    while (excess := _total(kept) - width) > 0 and kept != least:
        widest = max((column for column in kept if kept[column] > least[column]), key=lambda column: kept[column])
        kept[widest] = max(least[widest], kept[widest] - excess)
    return kept


def _least(column: str, wanted: int) -> int:
    return min(wanted, max(LEAST_WIDTH, len(column))) if column in FREE_TEXT else wanted


def _to_the_minute(text: str) -> str:
    return f"{text[:10]} {text[11:16]}Z" if WHOLE_TIME.fullmatch(text) else text


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _fitted(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


def _cell(value: Any) -> str:
    """Return the text of a cell. What others wrote into it moves no cursor and ends no line."""
    if value is None or value == []:
        return NOTHING
    text = ", ".join(value) if isinstance(value, list) else str(value)
    return text if text.isprintable() else "".join(each if each.isprintable() else UNPRINTABLE for each in text)
