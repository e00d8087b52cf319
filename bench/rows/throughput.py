"""Rows that compare answers a second: 32 connections of wrk, a second for each side, one right after the other."""

import statistics
from collections.abc import Mapping, Sequence

from bench.arena import Arena
from bench.load import Load, Target, interleaved, measure
from bench.scores import Aim, Line, at_least, at_most, stretch
from bench.serving import STATUS

MOST_CALLS_EACH = 1 / 8


def status(arena: Arena, rounds: int) -> list[Line]:
    aims = {"bare": (at_least(0.8), stretch(1.0)), "fastapi": (at_least(2.5),)}
    theirs = {name: arena.status_of(name) for name in aims if name in arena.offered}
    ours = arena.gateway.target(STATUS, arena.world.key)
    return _compare("status", "GET /status", ours=ours, theirs=theirs, aims=aims, rounds=rounds)


def refused(arena: Arena, rounds: int) -> list[Line]:
    """Measure a key that nobody has, and one that has used up its rate."""
    unknown = arena.gateway.target(STATUS, arena.world.unknown_key, refused=True)
    exhausted = arena.gateway.target(STATUS, arena.world.exhausted_key, refused=True)
    bare = arena.status_of("bare")
    measured = interleaved([unknown, exhausted, bare], rounds)
    return [
        _ratio(
            "refused", f"401 for a bad key / {bare.name}", [(each[0], each[2]) for each in measured], at_least(0.85)
        ),
        _ratio("refused", f"429 / {bare.name}", [(each[1], each[2]) for each in measured], at_least(0.85)),
    ]


def jobs(arena: Arena, rounds: int) -> list[Line]:
    """Measure jobs, each request for another of a thousand connections."""
    aims = {
        "httpx2": (at_least(4.5),),
        "httpx": (at_least(2.5),),
        "mapped": (at_least(0.5),),
        "fastify": (stretch(1.0),),
        "nginx": (None,),
    }
    theirs = {name: arena.jobs_of(name) for name in aims if name in arena.offered}
    return _compare("jobs", "GET …/jobs", ours=arena.jobs(), theirs=theirs, aims=aims, rounds=rounds)


def polling(arena: Arena, rounds: int) -> list[Line]:
    """Have 32 callers ask for the same connection's jobs again and again."""
    ours, theirs = arena.jobs_of_one(), arena.jobs_of_one_of("httpx2")
    interleaved([ours, theirs], 0)
    measured, shares = [], []
    for _ in range(rounds):
        before = arena.upstream.requests()
        answers = measure(ours)
        shares.append((arena.upstream.requests() - before) / answers.requests)
        measured.append((answers, measure(theirs)))
    return [
        _ratio("polling", f"32 callers of one …/jobs / {theirs.name}", measured, at_least(4)),
        Line("polling", "upstream calls for each answer", shares, "", at_most(MOST_CALLS_EACH)),
    ]


def _compare(
    row: str,
    what: str,
    *,
    ours: Target,
    theirs: Mapping[str, Target],
    aims: Mapping[str, Sequence[Aim | None]],
    rounds: int,
) -> list[Line]:
    measured = interleaved([ours, *theirs.values()], rounds)
    return [
        _ratio(row, f"{what} / {target.name}", [(each[0], each[index]) for each in measured], aim)
        for index, (name, target) in enumerate(theirs.items(), 1)
        for aim in aims[name]
    ]


def _ratio(row: str, what: str, measured: Sequence[tuple[Load, Load]], aim: Aim | None) -> Line:
    ours, theirs = (statistics.median(pair[side].rate for pair in measured) for side in (0, 1))
    return Line(
        row, what, [our.rate / their.rate for our, their in measured], "x", aim, f"{ours:,.0f}/s, {theirs:,.0f}/s"
    )
