"""What everything was measured on, a line each."""

import os
import platform
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.load import nginx, wrk
from bench.references import FOLDER
from tests.postgres import programs
from tests.valkey import valkey_program

PACKAGES = ("starlette", "uvicorn", "uvloop", "httptools", "psycopg", "redis")


def facts() -> Iterator[str]:
    root = str(FOLDER.parent)
    is_changed = bool(_said("git", "-C", root, "status", "--porcelain", "--", "gateway"))
    commit = _said("git", "-C", root, "rev-parse", "--short", "HEAD") or "none"
    yield f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}{', with changes since' if is_changed else ''}"
    yield f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
    yield f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in PACKAGES)}"
    valkey = _said(valkey_program(), "--version").partition(" sha")[0]
    yield f"{_said(str(programs() / 'postgres'), '--version')}; {valkey}"
    yield f"{_said(nginx(), '-v')}, {_said(wrk(), '-v').partition('[')[0].strip()}"


def _said(*command: str) -> str:
    """Return the first line a program prints, wherever it prints it; wrk and nginx tell their versions as errors."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return next(iter((done.stdout or done.stderr).splitlines()), "")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
