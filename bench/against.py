"""This checkout beside an earlier revision, in one run: `python -m bench.against REVISION [ROW …]`.

Both are served at once, each with a database of its own in front of the same Airbyte, and are loaded in turns. With the
same revision on both sides the figures show how far the machine's own noise goes.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from bench.arena import GATEWAY
from bench.earlier import Revision, check_out
from bench.load import Load, Target, interleaved, measure, nginx
from bench.processes import Cores, free_port, pinned, running
from bench.report import cpu_seconds, percentile
from bench.run import missing, round_count, use_byte_code
from bench.scores import Line, as_text
from bench.serving import CONNECTIONS, STATUS, Gateway, serving
from bench.upstream import write_upstream
from bench.wire import request_for, seconds_of_each
from bench.world import World, build_world

ROUNDS = 9
CALLS = 1_000
TRIGGER_CALLERS, TRIGGERS_EACH = 32, 10
TRIGGER_WRITES = Path(__file__).with_name("trigger_writes.py")


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    gateway: Gateway
    world: World
    jobs: Path
    """A file of paths, each of another connection."""
    python: Path
    """Its interpreter, with its environment."""

    def jobs_paths(self) -> list[str]:
        return [f"/api/v1/connections/{ours}/jobs" for ours in self.world.connection_ids]

    def target(self, path: str, key: str, *, refused: bool = False) -> Target:
        return self.gateway.target(path, key, refused=refused)

    def jobs_target(self) -> Target:
        target = self.gateway.target("", self.world.key)
        return Target(target.name, target.url, target.key, paths=self.jobs)


@dataclass(frozen=True)
class Arena:
    """This checkout, the earlier revision, and the Airbyte behind both."""

    this: Side
    earlier: Side
    upstream_port: int


@dataclass(frozen=True)
class Cost:
    """What one round of load showed: answers a second, and microseconds of the gateway's core for each of them."""

    rate: float
    core_us: float


def _rates(what: str, target: Callable[[Side], Target]) -> Callable[[Arena, int], list[Line]]:
    def measure_row(arena: Arena, rounds: int) -> list[Line]:
        sides = (arena.this, arena.earlier)
        measured = [[_cost(side, target(side)) for side in sides] for _ in range(rounds + 1)][1:]
        return [
            _ratio(what, [(ours.rate, theirs.rate) for ours, theirs in measured], "/s"),
            _ratio(f"{what}, time of the core", [(ours.core_us, theirs.core_us) for ours, theirs in measured], " us"),
        ]

    return measure_row


def _cost(side: Side, target: Target) -> Cost:
    """Yield the core's time for each row: a machine that others use too disturbs it least."""
    before = cpu_seconds(side.gateway.process.pid)
    load = measure(target)
    return Cost(load.rate, 1e6 * (cpu_seconds(side.gateway.process.pid) - before) / load.requests)


def _lists(arena: Arena, rounds: int) -> list[Line]:
    """For a caller who is alone, so the figure is how long one answer takes."""
    targets = [side.target(CONNECTIONS, side.world.key_of_many) for side in (arena.this, arena.earlier)]
    measured: list[list[Load]] = interleaved(targets, rounds, connections=1)
    return [_ratio("GET /connections of 500, p50", [(1e3 * a.p50, 1e3 * b.p50) for a, b in measured], " ms")]


def _latency(arena: Arena, rounds: int) -> list[Line]:
    """Yield what each adds to Airbyte's own answer, for a caller who is alone."""
    added: dict[float, list[tuple[float, float]]] = {0.5: [], 0.99: []}
    bare = [
        request_for(f"/api/public/v1/jobs?connectionId={theirs}&limit=21") for theirs in arena.this.world.airbyte_ids
    ]
    for number in range(rounds + 1):
        direct = seconds_of_each(arena.upstream_port, islice(cycle(bare), CALLS))
        through = [
            seconds_of_each(side.gateway.port, islice(cycle(_requests(side)), CALLS))
            for side in (arena.this, arena.earlier)
        ]
        for share, pairs in added.items() if number else ():
            ours, theirs = (1e3 * (percentile(each, share) - percentile(direct, share)) for each in through)
            pairs.append((ours, theirs))
    return [
        _ratio(f"added to a call to Airbyte, one caller, p{round(100 * share)}", pairs, " ms")
        for share, pairs in added.items()
    ]


def _trigger_writes(arena: Arena, rounds: int) -> list[Line]:
    """32 triggers of different connections at once; each side is then measured on the same disk."""
    count = TRIGGER_CALLERS * TRIGGERS_EACH
    pairs = [(count / _seconds_of_writes(arena.this), count / _seconds_of_writes(arena.earlier)) for _ in range(rounds)]
    return [_ratio(f"writes of {TRIGGER_CALLERS} triggers at once", pairs, "/s")]


def _seconds_of_writes(side: Side) -> float:
    command = [side.python, TRIGGER_WRITES, side.world.settings, TRIGGER_CALLERS, TRIGGERS_EACH]
    return float(subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True).stdout)


def _requests(side: Side) -> list[bytes]:
    return [request_for(path, side.world.key) for path in side.jobs_paths()]


def _ratio(what: str, pairs: Sequence[tuple[float, float]], unit: str) -> Line:
    ours, theirs = (sorted(pair[side] for pair in pairs)[len(pairs) // 2] for side in (0, 1))
    return Line("against", what, [a / b for a, b in pairs], "x", None, f"{ours:,.5g}{unit}, {theirs:,.5g}{unit}")


ROWS: dict[str, Callable[[Arena, int], list[Line]]] = {
    "status": _rates("GET /status", lambda side: side.target(STATUS, side.world.key)),
    "401": _rates("401 for a bad key", lambda side: side.target(STATUS, side.world.unknown_key, refused=True)),
    "429": _rates("429", lambda side: side.target(STATUS, side.world.exhausted_key, refused=True)),
    "jobs": _rates("GET …/jobs of 1,000 connections, 32 callers", lambda side: side.jobs_target()),
    "connections": _lists,
    "latency": _latency,
    "triggers": _trigger_writes,
}


@contextmanager
def open_arena(revision: Revision) -> Iterator[Arena]:
    """Serve both. Their gateways share the server's core: only one of them is loaded at a time."""
    cores = Cores()
    upstream_port, ports = free_port(), (free_port(), free_port())
    with tempfile.TemporaryDirectory(prefix="against-") as name, pinned(cores.load):
        folder = Path(name)
        worlds = (
            build_world(folder / "this", port=ports[0], upstream_port=upstream_port),
            revision.build_world(folder / "earlier", port=ports[1], upstream_port=upstream_port),
        )
        configuration = write_upstream(folder, upstream_port, worlds[0].airbyte_ids + worlds[1].airbyte_ids)
        command = [nginx(), "-p", name, "-c", str(configuration)]
        with (
            running(command, upstream_port, folder / "nginx.log"),
            serving(GATEWAY, worlds[0].settings, ports[0], cores.server) as this,
            serving([str(revision.gateway)], worlds[1].settings, ports[1], cores.server) as earlier,
        ):
            pythons = (Path(sys.executable), revision.python)
            sides = [_side(folder, *each) for each in zip((this, earlier), worlds, pythons, strict=True)]
            yield Arena(sides[0], sides[1], upstream_port)


def _side(folder: Path, gateway: Gateway, world: World, python: Path) -> Side:
    """Every key has called once, so that the rows of refusals refuse."""
    for key in world.good_keys:
        gateway.ask(key)
    paths = folder / f"paths-{gateway.port}"
    side = Side(gateway, world, paths, python)
    paths.write_text("".join(f"{path}\n" for path in side.jobs_paths()))
    return side


def main() -> int:
    use_byte_code()
    parser = argparse.ArgumentParser(prog="python -m bench.against", description=__doc__)
    parser.add_argument("revision", help="a commit, tag or branch, from e0985e6 on")
    parser.add_argument(
        "rows", nargs="*", default=[], metavar="ROW", help=f"of {', '.join(ROWS)}; all of them by default"
    )
    parser.add_argument("--rounds", type=round_count, default=ROUNDS, help="more make steadier figures")
    options = parser.parse_args()
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"unknown row {', '.join(sorted(unknown))}; known are {', '.join(ROWS)}")
    if text := missing():
        print(text, file=sys.stderr)
        return 2
    try:
        revision = check_out(options.revision)
    except subprocess.CalledProcessError as error:
        print(f"{options.revision} cannot be set up: {error}", file=sys.stderr)
        return 2
    print(
        f"this checkout / {revision.commit}; {options.rounds} rounds; above 1 is more a second, or longer", flush=True
    )
    with open_arena(revision) as arena:
        lines = [line for row in options.rows or ROWS for line in ROWS[row](arena, options.rounds)]
    print(as_text(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
