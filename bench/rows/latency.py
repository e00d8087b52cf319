"""What the gateway adds to a call to the upstream, for a caller who is alone."""

import statistics

from bench.arena import Arena
from bench.load import interleaved
from bench.scores import Line, at_most

SECONDS = 2
"""Some thousand answers, so that the slowest hundredth is more than a few."""


def latency(arena: Arena, rounds: int) -> list[Line]:
    measured = interleaved([arena.jobs(), arena.upstream_jobs()], rounds, seconds=SECONDS, connections=1)
    return [
        _added("p50", [(through.p50, direct.p50) for through, direct in measured], 1.0),
        _added("p99", [(through.p99, direct.p99) for through, direct in measured], 3.0),
    ]


def _added(share: str, seconds: list[tuple[float, float]], most: float) -> Line:
    through, direct = (1000 * statistics.median(pair[side] for pair in seconds) for side in (0, 1))
    return Line(
        "latency",
        f"added to an upstream call, {share}",
        [1000 * (ours - theirs) for ours, theirs in seconds],
        "ms",
        at_most(most),
        f"{through:.2f} ms, {direct:.2f} ms",
    )
