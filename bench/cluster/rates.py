"""Answers a second, and what each answer took: processor time of whom, statements, scripts, calls to Airbyte."""

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

from bench.cluster.backends import cpu_seconds
from bench.cluster.sides import Arena, Side
from bench.load import CONNECTIONS, measure
from bench.report import percentile
from bench.serving import STATUS
from bench.wire import request_for, seconds_of_each

MICROSECONDS = 1e6
IDLE_SECONDS = 10.0
LONE_CALLS = 200
MOST_ATTEMPTS = 3
SHED = 0.01
"""Of the answers may be a refusal: the cores are full."""
SETTLE_SECONDS = 7.0
"""Time for gateways to find Valkey again, and for permits that were not released to end."""


@dataclass(frozen=True)
class Call:
    """What callers ask for again and again."""

    name: str
    path: str = ""
    paths: Path | None = None

    def lone_paths(self) -> list[str]:
        """Return what a caller asks who is alone and waits for each answer."""
        return [self.path] * LONE_CALLS if self.paths is None else self.paths.read_text().splitlines()[:LONE_CALLS]


@dataclass(frozen=True)
class Figures:
    """Of one load on one side. From `gateway_us` on for each answer; `us` are microseconds of processor time."""

    rate: float
    p50_ms: float
    p99_ms: float
    lone_p50_ms: float
    lone_p99_ms: float
    gateway_us: float
    valkey_us: float
    postgres_us: float
    statements: float
    scripts: float
    upstream_calls: float


@dataclass(frozen=True)
class Counters:
    """At one moment."""

    gateway: float
    valkey: float
    postgres: float
    statements: int
    scripts: int
    upstream_calls: int


def calls_of(arena: Arena) -> list[Call]:
    return [
        Call("GET /status", STATUS),
        Call("GET …/jobs, all of one connection", arena.jobs_path()),
        Call("GET …/jobs, each of another", paths=arena.jobs_paths()),
    ]


def measure_sides(
    arena: Arena, background: Mapping[str, float], rounds: int, seconds: int
) -> dict[tuple[str, str], Figures]:
    """Return medians by call and side. Each round measures all sides one right after the other.

    Raises RuntimeError when a side could not be measured in any round.
    """
    measured: dict[tuple[str, str], list[Figures]] = {}
    for number in range(rounds + 1):
        for call in calls_of(arena):
            for side in arena.sides:
                figures = _load_together(arena, side, call, seconds, background.get(side.name, 0.0))
                # The first round warms up.
                if number and figures:
                    measured.setdefault((call.name, side.name), []).append(figures)
    if len(measured) < len(calls_of(arena)) * len(arena.sides):
        raise RuntimeError("the machine is too busy to measure")
    return {place: median_of(each) for place, each in measured.items()}


def background_statements(arena: Arena, side: Side) -> float:
    """Return statements a second when nobody calls: heartbeats, and a look whether others have changed anything."""
    before = _read(arena, side).statements
    time.sleep(IDLE_SECONDS)
    return (_read(arena, side).statements - before) / IDLE_SECONDS


def median_of(figures: Sequence[Figures]) -> Figures:
    return Figures(*(statistics.median(getattr(each, field.name) for each in figures) for field in fields(Figures)))


def _load_together(arena: Arena, side: Side, call: Call, seconds: int, background: float) -> Figures | None:
    """Again, if a gateway meanwhile counted by itself or shed load: a machine that others use stood still.

    None when that does not end.
    """
    for _ in range(MOST_ATTEMPTS):
        sizes = side.log_sizes()
        try:
            figures = _load(arena, side, call, seconds, background)
            if not side.counted_locally(sizes):
                return figures
        except RuntimeError as error:
            print(str(error).partition("\n")[0], file=sys.stderr)
        time.sleep(SETTLE_SECONDS)
    return None


def _load(arena: Arena, side: Side, call: Call, seconds: int, background: float) -> Figures:
    targets = side.targets(call.path, arena.world.key, call.paths)
    connections = CONNECTIONS // len(targets)
    before, began = _read(arena, side), time.monotonic()
    with ThreadPoolExecutor(len(targets)) as pool:
        loads = list(
            pool.map(lambda target: measure(target, seconds=seconds, connections=connections, tolerated=SHED), targets)
        )
    after, took = _read(arena, side), time.monotonic() - began
    lone = seconds_of_each(side.ports[0], [request_for(path, arena.world.key) for path in call.lone_paths()])
    answers = sum(load.requests for load in loads)
    statements = after.statements - before.statements - background * took
    return Figures(
        rate=sum(load.rate for load in loads),
        p50_ms=1000 * statistics.median(load.p50 for load in loads),
        p99_ms=1000 * max(load.p99 for load in loads),
        lone_p50_ms=1000 * percentile(lone, 0.5),
        lone_p99_ms=1000 * percentile(lone, 0.99),
        gateway_us=MICROSECONDS * (after.gateway - before.gateway) / answers,
        valkey_us=MICROSECONDS * (after.valkey - before.valkey) / answers,
        postgres_us=MICROSECONDS * (after.postgres - before.postgres) / answers,
        statements=max(statements, 0.0) / answers,
        scripts=(after.scripts - before.scripts) / answers,
        upstream_calls=(after.upstream_calls - before.upstream_calls) / answers,
    )


def _read(arena: Arena, side: Side) -> Counters:
    shared = arena.backends
    return Counters(
        gateway=cpu_seconds(side.pids),
        valkey=shared.valkey_cpu() if side.url else 0.0,
        postgres=shared.postgres_cpu() if side.url else 0.0,
        statements=shared.statements(side.url) if side.url else 0,
        scripts=shared.scripts() if side.url else 0,
        upstream_calls=arena.upstream.requests(),
    )
