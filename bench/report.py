"""What the long runs print: tables, percentiles, and what Linux says of a process."""

import os
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KIBIBYTE = 1024
NOT_SAID = "n/a"


@dataclass(frozen=True)
class Reading:
    """A process at one moment."""

    at: float
    rss_mb: float
    descriptors: int
    threads: int


def read_process(pid: int, at: float) -> Reading:
    """Read what Linux tells of a process. Raises FileNotFoundError when it has ended."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Reading(
        at=at,
        rss_mb=int(fields["VmRSS"].split()[0]) / KIBIBYTE,
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208 - numbers, no paths
        threads=int(fields["Threads"]),
    )


def cpu_seconds(pid: int) -> float:
    """Return what a process has used of all cores so far. Raises FileNotFoundError when it has ended."""
    _, _, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def read_gauge(address: str, name: str) -> float | None:
    """Return a figure of /metrics; None if there is none such."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:  # noqa: S310 - our own address
        lines = answer.read().decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), None)


def slope_per_hour(readings: Sequence[Reading]) -> float:
    """Return the megabytes that the process gains in an hour: a straight line through the readings."""
    count = len(readings)
    if count < 2:
        return 0.0
    mean_at = sum(reading.at for reading in readings) / count
    mean_rss = sum(reading.rss_mb for reading in readings) / count
    spread = sum((reading.at - mean_at) ** 2 for reading in readings)
    return 3600 * sum((reading.at - mean_at) * (reading.rss_mb - mean_rss) for reading in readings) / spread


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all do not exceed; 0 without values."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def milliseconds(values: Sequence[float], share: float) -> str:
    return f"{percentile(values, share) * 1000:.1f}"


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns as wide as what stands in them, figures to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in (headings, *cells)) for column in range(len(headings))]
    for row in (headings, *cells):
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)), flush=True)


def verdict(broken: Sequence[str]) -> int:
    """Return the exit status, and say which promises were broken."""
    for promise in broken:
        print(f"BROKEN: {promise}")
    print("all promises kept" if not broken else f"{len(broken)} promises broken", flush=True)
    return 1 if broken else 0
