"""Print listings and records, as JSON or as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import click
import orjson

Row = Mapping[str, Any]


def print_json(content: Any) -> None:
    """Print the content as indented JSON."""
    click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())


def print_rows(rows: Sequence[Row], *, as_json: bool, empty: str, on_stderr: bool = False) -> None:
    """Print all `rows` as a JSON array, or as a table of their columns; without rows, print `empty` on stderr."""
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(empty, err=True)
        return
    columns = list(rows[0])
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in [columns, *cells]:
        click.echo(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), err=on_stderr
        )


def print_record(record: Row, *, as_json: bool, sentence: str) -> None:
    """Print one record as JSON, or a sentence about it."""
    if as_json:
        print_json(record)
    else:
        click.echo(sentence)


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)
