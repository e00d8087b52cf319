"""What the gateway adds to a call to the upstream, for a caller who is alone."""

import statistics
from itertools import cycle, islice

from bench.arena import Arena
from bench.report import percentile
from bench.scores import Line, at_most
from bench.wire import request_for, seconds_of_each

CALLS = 2_000


def latency(arena: Arena, rounds: int) -> list[Line]:
    ours = [request_for(path, arena.world.key) for path in arena.jobs_paths()]
    theirs = [request_for(path) for path in arena.upstream_paths()]
    port, upstream_port = arena.gateway.port, arena.upstream.port
    measured = [
        (
            seconds_of_each(port, islice(cycle(ours), CALLS)),
            seconds_of_each(upstream_port, islice(cycle(theirs), CALLS)),
        )
        for _ in range(rounds + 1)
    ][1:]
    return [_added(measured, "p50", 0.5, 1.0), _added(measured, "p99", 0.99, 3.0)]


def _added(measured: list[tuple[list[float], list[float]]], name: str, share: float, most: float) -> Line:
    pairs = [(1000 * percentile(through, share), 1000 * percentile(direct, share)) for through, direct in measured]
    through, direct = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    return Line(
        "latency",
        f"added to an upstream call, {name}",
        [ours - theirs for ours, theirs in pairs],
        "ms",
        at_most(most),
        f"{through:.2f} ms, {direct:.2f} ms",
    )
