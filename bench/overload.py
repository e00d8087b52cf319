"""More requests than the gateway can answer: `python -m bench.overload`. Three tables:

- `work`: each request costs 2 ms of the gateway's core;
- `airbyte`: each waits for an Airbyte that answers three reads at a time, as the gateway asks it for no more;
- `callers`: the work of the first, by callers who ask again as soon as they are refused.

For the first two, what the gateway can do is measured; then 1, 2, 4 and 10 times as much is offered at a rate that does
not wait for answers, and half as much at the end. An answer is good if it comes within a caller's patience. Exit
status 1 when a promise is broken.

What a refusal takes of the core depends on the machine, most of all on its network stack: 12 to 20 µs on one, 80 on
another. So it is measured and has its own bound, and what is due in good answers is what the refusals leave.
"""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import uvloop

from bench.load import Target, count_answers, missing_packages
from bench.open_loop import CLOSED_CONNECTIONS, Capacity, Generator, Tally, measure, measure_capacity
from bench.overload_arenas import Arena, airbyte_arena, costly_arena, list_arena
from bench.processes import Cores
from bench.report import cpu_seconds, milliseconds, percentile, print_table, read_process, verdict
from gateway.airbyte.timings import Deadlines
from gateway.web.timings import BackPressureTimings

LOADS = (1.0, 2.0, 4.0, 10.0)
RECOVERY_LOAD = 0.5
LEAST_GOODPUT = 0.9
LEAST_GOODPUT_OF_CALLERS = 0.7
CALLERS = (32, 256, 1000)
MOST_RSS_MB = 512.0
WORK_MILLISECONDS = 2.0
LONGEST_REFUSAL = 0.0002
"""Seconds of the core: a tenth of that work."""
PERMIT_SECONDS = Deadlines().permit
HOLD_SECONDS = BackPressureTimings().known.longest_hold


@dataclass(frozen=True)
class Workload:
    """What is asked for, how long its callers wait, and how long answers may take."""

    name: str
    arena: Callable[[Cores], AbstractContextManager[Arena]]
    patience_seconds: float = 1.0
    longest_good_p99: float = 0.5
    """Half of the patience. The gateway lets a request wait 0.1 s from when it reads it; before that the request lies
    in its socket while the others of the round are refused, which takes as long as the machine needs for a refusal."""
    longest_shed_p99: float = HOLD_SECONDS + 0.1
    """Who comes back at once is held back, when there are many of them."""
    fills_the_core: bool = True
    """Whether answers and refusals share the core that is full; else it is Airbyte that is."""


WORKLOADS = (
    Workload("work", partial(costly_arena, milliseconds_each=WORK_MILLISECONDS)),
    Workload(
        "airbyte",
        airbyte_arena,
        patience_seconds=PERMIT_SECONDS + 2,
        longest_good_p99=PERMIT_SECONDS + 0.5,
        longest_shed_p99=1.0,
        fills_the_core=False,
    ),
    Workload("list", list_arena, longest_good_p99=0.6),
)
"""The second waits for a permit, and then for Airbyte. Most of its refusals come at once, but who waits gives way when
another client joins the full queue with fewer calls.

The last, a list of a thousand connections in a third of a millisecond, by name only: ten times as much of it as can
be answered is more than the generator sends in time."""


async def overload(workload: Workload, arena: Arena, seconds: float) -> list[str]:
    """Return the promises broken."""
    generator = Generator(arena, workload.patience_seconds)
    await generator.closed_loop(1)
    capacity, peak = await measure_capacity(generator, arena, seconds / 2)
    waited = milliseconds(peak.good, 0.99)
    print(f"\n{workload.name}: {capacity.per_second:.0f}/s for {CLOSED_CONNECTIONS} callers at a time, p99 {waited} ms")
    table, broken = [], []
    for load in (*LOADS, RECOVERY_LOAD):
        tally = Tally(workload.patience_seconds, time.monotonic() + seconds)
        await measure(generator, tally, arena, capacity.per_second * load, seconds)
        table.append(row(load, tally, seconds, capacity, rss_mb := read_process(arena.pid, 0).rss_mb))
        found = broken_promises(workload, load, tally, seconds, capacity)
        found += [f"{rss_mb:.0f} MB"] if rss_mb > MOST_RSS_MB else []
        broken += [f"{workload.name} {load:g}x: {text}" for text in found]
    first = ("load", "offered/s", "good/s", "of what can be", "shed/s", "other", "unsent")
    print_table((*first, "p50 ms", "p99 ms", "shed p99", "µs a refusal", "health p99", "RSS MB"), table)
    return broken


def callers_who_return(arena: Arena, seconds: float) -> list[str]:
    """Return the promises broken."""
    table, broken, capacity = [], [], Capacity(0, 0)
    for callers in CALLERS:
        before = cpu_seconds(arena.pid)
        target = Target("the gateway", f"http://127.0.0.1:{arena.port}{arena.path}", arena.key)
        answers = count_answers(target, seconds=int(seconds), connections=callers)
        core_seconds = cpu_seconds(arena.pid) - before
        good, refused = answers.good / seconds, (answers.all - answers.good) / seconds
        if good > capacity.per_second:
            capacity = Capacity(good, core_seconds / answers.good)
        each = capacity.refusal_seconds(core_seconds, answers.good, answers.all - answers.good)
        share = f"{good / capacity.per_second:.0%}"
        table.append((callers, f"{answers.all / seconds:.0f}", f"{good:.0f}", share, f"{each * 1e6:.0f}"))
        if good < LEAST_GOODPUT_OF_CALLERS * capacity.left_by(refused, each):
            broken.append(f"{callers} callers: {good:.0f}/s good")
    print("\ncallers who ask again as soon as they are refused:")
    print_table(("callers", "answers/s", "good/s", "of what can be", "µs a refusal"), table)
    return broken


def row(load: float, tally: Tally, seconds: float, capacity: Capacity, rss_mb: float) -> tuple[object, ...]:
    good, shed = tally.good, tally.seconds.get(503, [])
    late = len(tally.seconds.get(200, ())) - len(good)
    unexpected = sum(len(some) for status, some in tally.seconds.items() if status not in {200, 503})
    other = late + unexpected + tally.broken.total()
    each = capacity.refusal_seconds(tally.core_seconds, len(tally.seconds.get(200, ())), len(shed))
    return (
        *(f"{load:g}x", f"{tally.offered / seconds:.0f}", f"{tally.good_in_time / seconds:.0f}"),
        *(f"{tally.good_in_time / seconds / (capacity.per_second * min(load, 1.0)):.0%}", f"{len(shed) / seconds:.0f}"),
        *(other, tally.unsent, milliseconds(good, 0.5), milliseconds(good, 0.99)),
        *(milliseconds(shed, 0.99), f"{each * 1e6:.0f}" if load > 1 else "", milliseconds(tally.health, 0.99)),
        f"{rss_mb:.0f}",
    )


def broken_promises(workload: Workload, load: float, tally: Tally, seconds: float, capacity: Capacity) -> list[str]:
    refusals = tally.seconds.get(503, [])
    goodput, shed = tally.good_in_time / seconds, percentile(refusals, 0.99)
    each = 0.0
    if workload.fills_the_core and load > 1:  # of a few refusals nobody can tell what they cost
        each = capacity.refusal_seconds(tally.core_seconds, len(tally.seconds.get(200, ())), len(refusals))
    due = min(load, 1.0) * capacity.left_by(len(refusals) / seconds, each) * LEAST_GOODPUT
    slowest = percentile(tally.good, 0.99)
    checks = {
        f"{goodput:.0f}/s good, {due:.0f}/s due": goodput >= due,
        f"statuses {sorted(tally.seconds)}": set(tally.seconds) <= {200, 503},
        f"connections: {dict(+tally.broken)}": not tally.broken.total(),
        f"p99 of good answers {slowest:.3f} s": slowest <= workload.longest_good_p99,
        f"p99 of shed ones {shed:.3f} s": shed <= workload.longest_shed_p99,
        f"a refusal takes {each * 1e6:.0f} µs": each <= LONGEST_REFUSAL,
        "shed although there was room": load >= 1 or not shed,
        "health did not answer": bool(tally.health),
    }
    return [text for text, is_kept in checks.items() if not is_kept]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each load")
    names = [*(workload.name for workload in WORKLOADS), "callers"]
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(names)}; all but list")
    options = parser.parse_args()
    if missing := missing_packages():
        print(f"missing: apt-get install {' '.join(missing)}", file=sys.stderr)
        return 2
    wanted = set(options.workloads) or {"work", "airbyte", "callers"}
    if unknown := wanted - set(names):
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    cores, broken = Cores(), []
    for workload in WORKLOADS:
        if workload.name in wanted:
            with workload.arena(cores) as arena:
                broken += uvloop.run(overload(workload, arena, options.seconds))
    if "callers" in wanted:
        with costly_arena(cores, milliseconds_each=WORK_MILLISECONDS) as arena:
            broken += callers_who_return(arena, options.seconds)
    return verdict(broken)


if __name__ == "__main__":
    sys.exit(main())
