"""Load: wrk for a second against one server, and what it counted."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32
PATIENCE_SECONDS = 20
"""wrk ends when its time is over; how much later it may."""
PATHS_SCRIPT = Path(__file__).with_name("paths.lua")
_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")
_REQUESTS = re.compile(r"([0-9]+) requests in ")
_PERCENTILE = re.compile(r"^\s+(50|99)%\s+([0-9.]+)(us|ms|s)$", re.MULTILINE)
_REFUSED = re.compile(r"Non-2xx or 3xx responses: ([0-9]+)")
_SOCKET_ERRORS = re.compile(r"Socket errors: .*")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Target:
    """What to ask for, and whether refusals are what is asked for. `paths` is a file of paths, one a line."""

    name: str
    url: str
    key: str = ""
    refused: bool = False
    paths: Path | None = None


@dataclass(frozen=True)
class Load:
    """What wrk saw of a target. Percentiles are seconds."""

    rate: float
    requests: int
    p50: float
    p99: float


def missing_packages() -> list[str]:
    """Return Debian packages without which nothing can be measured."""
    return [package for program, package in (("nginx", "nginx-light"), ("wrk", "wrk")) if _find(program) is None]


def nginx() -> str:
    return _find("nginx") or "nginx"


def wrk() -> str:
    return _find("wrk") or "wrk"


def _find(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def measure(target: Target, *, seconds: int = 1, connections: int = CONNECTIONS, tolerated: float = 0.0) -> Load:
    """Run one load. Raises RuntimeError when the answers were not of the kind expected, SubprocessError when wrk fails.

    `tolerated` is the share of answers that need not be of that kind.
    """
    command = [wrk(), "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--latency"]
    if target.key:
        command += ["--header", f"Authorization: Bearer {target.key}"]
    if target.paths is None:
        command.append(target.url)
    else:
        command += ["--script", str(PATHS_SCRIPT), target.url, "--", str(target.paths)]
    report = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=seconds + PATIENCE_SECONDS
    ).stdout
    rate, requests, refusals = _RATE.search(report), _REQUESTS.search(report), _REFUSED.search(report)
    percentiles = {share: float(value) * _UNITS[unit] for share, value, unit in _PERCENTILE.findall(report)}
    refused = int(refusals[1]) if refusals else 0
    expected = int(requests[1]) if requests and target.refused else 0
    if rate is None or requests is None or percentiles.keys() != {"50", "99"} or _SOCKET_ERRORS.search(report):
        raise RuntimeError(f"{target.name}: no figures:\n{report}")
    if abs(refused - expected) > tolerated * int(requests[1]):
        raise RuntimeError(f"{target.name}: not the answers expected:\n{report}")
    return Load(float(rate[1]), int(requests[1]), percentiles["50"], percentiles["99"])


@dataclass(frozen=True)
class Answers:
    """How many there were, and how many of them were not refusals."""

    all: int
    good: int


def count_answers(target: Target, *, seconds: int, connections: int) -> Answers:
    """Count what callers get who ask again as soon as they are answered. Raises RuntimeError without figures."""
    command = [wrk(), "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command += ["--timeout", f"{PATIENCE_SECONDS}s", "--header", f"Authorization: Bearer {target.key}", target.url]
    report = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=seconds + PATIENCE_SECONDS
    ).stdout
    requests, refusals = _REQUESTS.search(report), _REFUSED.search(report)
    if requests is None or _SOCKET_ERRORS.search(report):
        raise RuntimeError(f"{target.name}: no figures:\n{report}")
    return Answers(int(requests[1]), int(requests[1]) - (int(refusals[1]) if refusals else 0))


def interleaved(
    targets: Sequence[Target], rounds: int, *, seconds: int = 1, connections: int = CONNECTIONS
) -> list[list[Load]]:
    """Return for each round the loads of all targets, one right after the other. A round before them is not counted."""
    return [
        [measure(target, seconds=seconds, connections=connections) for target in targets] for _ in range(rounds + 1)
    ][1:]
