"""A table as a file: how it is written, and what becomes of one that cannot be read to its end."""

import csv
import io
from itertools import product

import pytest

from gateway.dashboard.csv_answer import csv_lines


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("plain", "plain"),
        (None, ""),
        (0, "0"),
        (-5, "-5"),
        ("a,b", '"a,b"'),
        ('a "b"', '"a ""b"""'),
        ("a\r\nb", '"a\r\nb"'),
        ("ünï", "ünï"),
    ],
)
def test_a_cell_is_written_as_rfc_4180_says(cell: str | int | None, written: str) -> None:
    assert csv_lines([("x", cell, "y")]).decode() == f"x,{written},y\r\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_a_text_that_a_spreadsheet_would_compute_is_marked_as_text(start: str) -> None:
    written = csv_lines([(f"{start}cmd|' /C calc'!A1", f"a{start}1")]).decode()

    assert next(csv.reader(io.StringIO(written, newline=""))) == [f"'{start}cmd|' /C calc'!A1", f"a{start}1"]


def test_a_text_is_marked_too_where_a_spreadsheet_with_another_separator_cuts_it() -> None:
    for separator, start in product((";", "\t", "|", ",", "\n"), ("=", "+", "-", "@", "＝", " =", '"=')):
        written = csv_lines([("x", f"a{separator}{start}1{separator}b", "y")]).decode()

        cells = [cell for line in written.splitlines() for cell in line.split(separator)]
        assert not any(cell.strip('" ').startswith(("=", "+", "-", "@", "＝")) for cell in cells), written
        assert f"a{separator}'{start}1{separator}b" in next(csv.reader(io.StringIO(written, newline=""))), written
