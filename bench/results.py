"""The last table of all rows, kept with what it was measured on."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.load import nginx, wrk
from bench.references import FOLDER, NODE_MODULES, PYTHON
from bench.scores import Line, as_markdown

RESULTS = FOLDER / "results.md"
OURS = ("starlette", "uvicorn", "uvloop", "httptools", "httpx2", "msgspec")
THEIRS = ("fastapi", "slowapi", "httpx")
OF_NODE = ("fastify", "@fastify/rate-limit", "undici")


def write_results(lines: Sequence[Line], rounds: int) -> None:
    head = f"# The last `make bench`\n\nMedians of {rounds} interleaved rounds; see README.md.\n"
    facts = "\n".join(f"* {fact}" for fact in _facts())
    RESULTS.write_text(f"{head}\n{facts}\n\n{as_markdown(lines)}\n")


def _facts() -> Iterator[str]:
    root = FOLDER.parent
    commit = _said("git", "-C", str(root), "rev-parse", "--short", "HEAD") or "none"
    is_changed = bool(_said("git", "-C", str(root), "status", "--porcelain", "--", "gateway"))
    yield f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}{', with changes since' if is_changed else ''}"
    yield f"{_processor()}, {os.cpu_count()} cores, {_memory()}, {platform.system()} {platform.release()}"
    yield f"Python {platform.python_version()}, {_python_versions(sys.executable, OURS)}"
    yield f"References: {_python_versions(str(PYTHON), THEIRS)}"
    yield f"Node.js {_said('node', '--version')}, {_node_versions()}"
    yield f"{_said(nginx(), '-v')}, {_said(wrk(), '-v').partition('[')[0].strip()}"


def _said(*command: str) -> str:
    """Return the first line a program prints, wherever it prints it; wrk and nginx tell their versions as errors."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return next(iter((done.stdout or done.stderr).splitlines()), "")


def _python_versions(python: str, names: Sequence[str]) -> str:
    code = "import sys, importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    return _said(python, "-c", code, *names)


def _node_versions() -> str:
    packages = {name: json.loads((NODE_MODULES / name / "package.json").read_text()) for name in OF_NODE}
    return ", ".join(f"{name} {package['version']}" for name, package in packages.items())


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB"
