"""Where the gateway's time goes: `python -m bench.profiling status|jobs|polling|connections|401|429 [--lines N]`.

Runs the gateway under cProfile while wrk loads one path. cProfile makes calls dearer than they are: read it for
the order of things, and the rows of `python -m bench` for how long they take.
"""

import argparse
import pstats
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.arena import Arena, open_arena
from bench.load import Target, measure
from bench.processes import Cores
from bench.run import missing
from bench.serving import CONNECTIONS, STATUS

SECONDS = 5
PATHS: dict[str, Callable[[Arena], Target]] = {
    "status": lambda arena: arena.gateway.target(STATUS, arena.world.key),
    "jobs": lambda arena: arena.jobs(),
    "polling": lambda arena: arena.jobs_of_one(),
    "connections": lambda arena: arena.gateway.target(CONNECTIONS, arena.world.key_of_few),
    "401": lambda arena: arena.gateway.target(STATUS, arena.world.unknown_key, refused=True),
    "429": lambda arena: arena.gateway.target(STATUS, arena.world.exhausted_key, refused=True),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.profiling", description=__doc__)
    parser.add_argument("path", choices=PATHS)
    parser.add_argument("--lines", type=int, default=45, help="functions shown")
    parser.add_argument("--sort", choices=("tottime", "cumtime"), default="tottime")
    options = parser.parse_args()
    if text := missing():
        print(text, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="profile-") as name:
        figures = Path(name) / "figures"
        command = [sys.executable, "-m", "cProfile", "-o", str(figures), "-m", "gateway"]
        with open_arena(Cores(), gateway=command) as arena:
            load = measure(PATHS[options.path](arena), seconds=SECONDS)
        print(f"{load.rate:.0f} requests a second under the profiler, {SECONDS} seconds of them")
        pstats.Stats(str(figures)).strip_dirs().sort_stats(options.sort).print_stats(options.lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
