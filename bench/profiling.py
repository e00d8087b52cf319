"""Where the gateway's time goes: `python -m bench.profiling status|jobs|401|429 [--lines N]`.

Runs the gateway under cProfile while wrk loads one path. cProfile makes calls dearer than they are: read it for
the order of things, and `bench.quick` for how long they take.
"""

import argparse
import pstats
import sys
import tempfile
from pathlib import Path

from bench.arena import open_arena
from bench.load import measure, missing_packages
from bench.processes import Cores
from bench.quick import ROWS, pairs_of, warm_up

SECONDS = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.profiling", description=__doc__)
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--lines", type=int, default=45, help="functions shown")
    parser.add_argument("--sort", choices=("tottime", "cumtime"), default="tottime")
    options = parser.parse_args()
    if missing := missing_packages():
        print(f"missing: apt-get install {' '.join(missing)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="profile-") as name:
        figures = Path(name) / "figures"
        command = [sys.executable, "-m", "cProfile", "-o", str(figures), "-m", "gateway"]
        with open_arena(Cores(), gateway=command) as arena:
            target = pairs_of(arena)[options.row][0]
            warm_up(target)
            rate = measure(target, seconds=SECONDS)
        print(f"{rate:.0f} requests a second under the profiler, {SECONDS + 1} seconds of them")
        pstats.Stats(str(figures)).strip_dirs().sort_stats(options.sort).print_stats(options.lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
