"""Load: wrk for a second against one server, and what it counted."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32
PATHS_SCRIPT = Path(__file__).with_name("paths.lua")
_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")
_REQUESTS = re.compile(r"([0-9]+) requests in ")
_REFUSED = re.compile(r"Non-2xx or 3xx responses: ([0-9]+)")
_SOCKET_ERRORS = re.compile(r"Socket errors: .*")


@dataclass(frozen=True)
class Target:
    """What to ask for, and whether refusals are what is asked for. `paths` is a file of paths, one a line."""

    name: str
    url: str
    key: str = ""
    refused: bool = False
    paths: Path | None = None


def missing_packages() -> list[str]:
    """Debian packages without which nothing can be measured."""
    return [package for program, package in (("nginx", "nginx-light"), ("wrk", "wrk")) if _find(program) is None]


def nginx() -> str:
    return _find("nginx") or "nginx"


def _find(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def measure(target: Target, *, seconds: int = 1) -> float:
    """Requests a second. Raises RuntimeError when the answers were not of the kind expected."""
    command = [_find("wrk") or "wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s"]
    if target.key:
        command += ["--header", f"Authorization: Bearer {target.key}"]
    if target.paths is None:
        command.append(target.url)
    else:
        command += ["--script", str(PATHS_SCRIPT), target.url, "--", str(target.paths)]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, requests, refusals = _RATE.search(report), _REQUESTS.search(report), _REFUSED.search(report)
    refused = int(refusals[1]) if refusals else 0
    expected = int(requests[1]) if requests and target.refused else 0
    if rate is None or refused != expected or _SOCKET_ERRORS.search(report):
        raise RuntimeError(f"{target.name}: not the answers expected:\n{report}")
    return float(rate[1])
