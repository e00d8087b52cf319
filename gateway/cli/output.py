"""Print listings and records, as JSON or as a table."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
import orjson

from gateway.cli.standard_streams import is_writable
from gateway.cli.table import lay_out

Row = Mapping[str, Any]


def print_json(content: Any) -> None:
    """Print the content as indented JSON, which is UTF-8 whatever the terminal's encoding (RFC 8259, section 8.1)."""
    click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2))


def print_rows(rows: Sequence[Row], *, as_json: bool, empty: str, on_stderr: bool = False) -> None:
    """Print all `rows` as a JSON array, or as a table of their columns; without rows, print `empty` on stderr.

    On a terminal the table fits its width.
    """
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(empty, err=True)
        return
    stream = sys.stderr if on_stderr else sys.stdout
    is_terminal = stream.isatty()
    (heading, *lines), left_out = lay_out(rows, shutil.get_terminal_size().columns if is_terminal else None)
    click.echo(click.style(heading, bold=True) if is_terminal else heading, err=on_stderr)
    for line in lines:
        click.echo(line, err=on_stderr)
    if left_out:
        click.echo(f"Too wide for this terminal: {', '.join(left_out)}. --json shows all.", err=True)


def print_record(record: Row, *, as_json: bool, sentence: str) -> None:
    """Print one record as JSON, or a sentence about it."""
    if as_json:
        print_json(record)
    else:
        click.echo(sentence)


def require_output() -> None:
    """Refuse, before anything is made, to print a secret to where nobody can read it."""
    if not is_writable(sys.stdout):
        raise click.ClickException("standard output is closed, where it would be shown; nothing was changed")
