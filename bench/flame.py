"""A flame graph of where a call's time goes: `python -m bench.flame [PATH] [--output FILE]`.

py-spy looks at the gateway from outside, a thousand times a second, while wrk loads one path; so nothing is dearer
than it is. Only what holds Python's lock counts: threads that wait do not. It looks twice: once for the picture and
once for the table of the most expensive functions.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.arena import open_arena
from bench.load import Target, measure
from bench.processes import Cores
from bench.profiling import PATHS
from bench.references import FOLDER, PYTHON
from bench.report import print_table
from bench.run import missing

SECONDS = 8
RATE = 1_000
TOLERATED = 0.01
"""py-spy delays the gateway, which then may refuse a few requests."""
SPY = PYTHON.with_name("py-spy")
_TITLE = re.compile(r'(<text id="title"[^>]*>)[^<]*<')


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.flame", description=__doc__)
    parser.add_argument("path", nargs="?", choices=PATHS, default="jobs")
    parser.add_argument("--output", type=Path, default=FOLDER / "flame.svg")
    parser.add_argument("--lines", type=int, default=25, help="functions shown")
    options = parser.parse_args()
    if text := missing() or ("" if SPY.exists() else "py-spy is not installed: use make bench-profile"):
        print(text, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="flame-") as name, open_arena(Cores()) as arena:
        target, pid = PATHS[options.path](arena), arena.gateway.process.pid
        measure(target, tolerated=TOLERATED)
        _record(target, pid, "flamegraph", options.output)
        options.output.write_text(_TITLE.sub(rf"\g<1>{options.path}<", options.output.read_text()))
        stacks = Path(name) / "stacks"
        rate = _record(target, pid, "raw", stacks)
        print(f"{rate:.0f} requests a second while py-spy looked")
        show(stacks.read_text(), options.lines)
    print(f"written to {options.output}")
    return 0


def _record(target: Target, pid: int, form: str, output: Path) -> float:
    """Write what py-spy saw to `output`; return requests a second."""
    spying = [str(SPY), "record", "--pid", str(pid), "--output", str(output), "--format", form]
    options = ["--rate", str(RATE), "--duration", str(SECONDS), "--function", "--gil"]
    with ThreadPoolExecutor() as pool:
        load = pool.submit(measure, target, seconds=SECONDS + 2, tolerated=TOLERATED)
        subprocess.run([*spying, *options], check=True, capture_output=True)
        return load.result().rate


def show(stacks: str, lines: int) -> None:
    """Print shares of samples: of packages and functions at work themselves, and of functions with their calls."""
    packages: Counter[str] = Counter()
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        functions = frames.split(";")
        own[functions[-1]] += int(count)
        packages[functions[-1].rpartition("(")[2].partition("/")[0].partition(".py")[0]] += int(count)
        for function in set(functions):
            within[function] += int(count)
    total = own.total()
    for heading, counter in (("package", packages), ("itself", own), ("with what it calls", within)):
        print()
        rows = [(f"{100 * count / total:.1f} %", function) for function, count in counter.most_common(lines)]
        print_table(("share", heading), rows)


if __name__ == "__main__":
    sys.exit(main())
