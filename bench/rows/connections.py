"""Lists of connections: what many of them cost, and that they are no reason to ask the upstream."""

import statistics
import time

from bench.arena import Arena
from bench.load import measure
from bench.scores import Line, at_most
from bench.serving import CONNECTIONS
from bench.world import FEW, MANY

REFRESH_SECONDS = 10.0
"""Twice as long as the shipped settings let pass between two refreshes."""
SETTLE_SECONDS = 0.5
"""For the one connection that each refresh asks for by itself, in turn: no reader is its cause."""


def connections(arena: Arena, rounds: int) -> list[Line]:
    """Measure connections. Each round begins right after a refresh, and is over before the next one is due."""
    many, few = (arena.gateway.target(CONNECTIONS, key) for key in (arena.world.key_of_many, arena.world.key_of_few))
    for target in (many, few):
        measure(target, connections=1)
    pairs, calls = [], []
    for _ in range(rounds):
        _await_refresh(arena)
        before = arena.upstream.requests()
        pairs.append((measure(many, connections=1).p50, measure(few, connections=1).p50))
        calls.append(arena.upstream.requests() - before)
    ours, theirs = (1000 * statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    ratios = [slow / quick for slow, quick in pairs]
    return [
        Line(
            "connections",
            f"GET /connections, p50, {MANY} / {FEW} connections",
            ratios,
            "x",
            at_most(2),
            f"{ours:.2f} ms, {theirs:.2f} ms",
        ),
        Line("connections", "upstream calls while figures are fresh", calls, "", at_most(0)),
    ]


def _await_refresh(arena: Arena) -> None:
    """Ask until the gateway asks the upstream, and until it has: for all, and then for one connection by itself."""
    before, deadline = arena.upstream.requests(), time.monotonic() + REFRESH_SECONDS
    while arena.upstream.requests() == before:
        if time.monotonic() > deadline:
            raise RuntimeError("the gateway does not refresh its figures")
        time.sleep(0.05)
        arena.gateway.ask(arena.world.key_of_few)
    time.sleep(SETTLE_SECONDS)
