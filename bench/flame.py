"""A flame graph of where a call's time goes: `python -m bench.flame [PATH] [--output FILE]`.

py-spy looks at the gateway from outside, a thousand times a second, while wrk loads one path; so nothing is dearer
than it is. Only what holds Python's lock counts: threads that wait do not. It looks twice: once for the picture and
once for the table of the most expensive functions.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from threading import Thread

from bench.arena import open_arena
from bench.load import Load, Target, measure
from bench.processes import Cores
from bench.profiling import PATHS
from bench.references import FOLDER, PYTHON
from bench.report import print_table
from bench.run import missing

SECONDS = 8
RATE = 1_000
SPY = PYTHON.with_name("py-spy")


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
        measure(target)
        _record(target, pid, "flamegraph", options.output)
        stacks = Path(name) / "stacks"
        load = _record(target, pid, "raw", stacks)
        print(f"{load.rate:.0f} requests a second while py-spy looked")
        show(stacks.read_text(), options.lines)
    print(f"written to {options.output}")
    return 0


def _record(target: Target, pid: int, form: str, output: Path) -> Load:
    loads: list[Load] = []
    thread = Thread(target=lambda: loads.append(measure(target, seconds=SECONDS + 2)))
    thread.start()
    command = [str(SPY), "record", "--pid", str(pid), "--output", str(output), "--format", form]
    subprocess.run(
        [*command, "--rate", str(RATE), "--duration", str(SECONDS), "--function", "--gil"],
        check=True,
        capture_output=True,
    )
    thread.join()
    if not loads:
        raise RuntimeError("the gateway did not answer while py-spy looked")
    return loads[0]


def show(stacks: str, lines: int) -> None:
    """Shares of samples in which a function was at work itself, and in which it or what it called was."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        functions = frames.split(";")
        own[functions[-1]] += int(count)
        for function in set(functions):
            within[function] += int(count)
    total = own.total()
    for heading, counter in (("itself", own), ("with what it calls", within)):
        print()
        rows = [(f"{100 * count / total:.1f} %", function) for function, count in counter.most_common(lines)]
        print_table(("share", heading), rows)


if __name__ == "__main__":
    sys.exit(main())
