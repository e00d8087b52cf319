"""Measuring rows one after the other, and saying how it went."""

import argparse
import os
import sys
import time
from collections.abc import Collection, Sequence
from subprocess import SubprocessError

from bench.arena import open_arena
from bench.load import missing_packages
from bench.processes import Cores
from bench.rows import ROWS
from bench.scores import Line

ROUNDS = 5


def missing() -> str:
    """Return what to install first; empty if nothing is missing."""
    packages = missing_packages()
    return f"missing: apt-get install {' '.join(packages)}" if packages else ""


def round_count(text: str) -> int:
    """Return a number of rounds as it was typed. Raises ArgumentTypeError unless there is one at least."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {text}")
    return int(text)


def use_byte_code() -> None:
    """Have servers keep their byte code, as an installation does: without it every start compiles the package anew."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def measure_rows(rows: Sequence[str], rounds: int, offered: Collection[str]) -> tuple[list[Line], list[str]]:
    """Return the lines of the table, and the rows that could not be measured."""
    cores = Cores()
    if not cores.are_apart:
        print("only one core: the load shares it with the servers, so the ratios flatter the slower one")
    lines: list[Line] = []
    failed: list[str] = []
    with open_arena(cores, offered=offered) as arena:
        for row in rows:
            began = time.monotonic()
            try:
                lines += ROWS[row](arena, rounds)
            except (OSError, RuntimeError, SubprocessError) as error:
                failed.append(row)
                print(f"{row}: {error}", file=sys.stderr)
            print(f"{row}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return lines, failed


def exit_status(lines: Sequence[Line], failed: Sequence[str]) -> int:
    missed = sorted({line.row for line in lines if line.fails})
    if missed:
        print(f"targets missed: {', '.join(missed)}")
    if failed:
        print(f"could not be measured: {', '.join(failed)}")
    return 1 if missed or failed else 0
