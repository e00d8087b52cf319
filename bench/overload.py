"""More requests than the gateway can answer: `python -m bench.overload`. Three tables:

- `work`: each request costs 2 ms of the gateway's core;
- `airbyte`: each waits for an Airbyte that answers three reads at a time, as the gateway asks it for no more;
- `callers`: the work of the first, by callers who ask again as soon as they are refused.

For the first two, what the gateway can do is measured; then 1, 2, 4 and 10 times as much is offered at a rate that does
not wait for answers, and half as much at the end. An answer is good if it comes within a caller's patience. Exit
status 1 when a promise is broken.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from itertools import cycle

import uvloop

from bench.load import Target, count_answers, missing_packages
from bench.overload_arenas import Arena, airbyte_arena, costly_arena, list_arena
from bench.processes import Cores
from bench.report import milliseconds, percentile, print_table, read_process, verdict
from bench.wire import Wire, connect, request_for

LOADS = (1.0, 2.0, 4.0, 10.0)
RECOVERY_LOAD = 0.5
CLOSED_CONNECTIONS = 32
PEAKS = 3
"""Of so many measurements the best is what the gateway can do: a busy machine only makes it less."""
MOST_CONNECTIONS = 2_000
TICK_SECONDS = 0.002
HEALTH_SECONDS = 0.1
LEAST_GOODPUT = 0.9
LEAST_GOODPUT_OF_CALLERS = 0.7
CALLERS = (32, 256, 1000)
LONGEST_SHED_P99 = 0.1
MOST_RSS_MB = 512.0


@dataclass(frozen=True)
class Workload:
    """What is asked for, how long its callers wait, and how long the good answers may take."""

    name: str
    arena: Callable[[Cores], AbstractContextManager[Arena]]
    patience_seconds: float = 1.0
    longest_good_p99: float = 0.3
    """The gateway lets a request wait 0.1 s; the rest is the connection's and the generator's."""


WORKLOADS = (
    Workload("work", partial(costly_arena, milliseconds_each=2.0)),
    Workload("airbyte", airbyte_arena, patience_seconds=2.0, longest_good_p99=1.5),
    Workload("list", list_arena, longest_good_p99=0.6),
)
"""The last, a list of a thousand connections in a third of a millisecond, by name only: ten times as much of it as can
be answered is more than the generator sends in time."""


@dataclass
class Tally:
    """Seconds from when a request was due, by status."""

    patience_seconds: float
    ends_at: float
    good_in_time: int = 0
    """What is answered after the end was done after it, too."""
    seconds: dict[int, list[float]] = field(default_factory=dict)
    offered: int = 0
    unsent: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    health: list[float] = field(default_factory=list)

    def add(self, status: int, seconds: float) -> None:
        self.seconds.setdefault(status, []).append(seconds)
        if status == HTTPStatus.OK and seconds <= self.patience_seconds and time.monotonic() <= self.ends_at:
            self.good_in_time += 1

    @property
    def good(self) -> list[float]:
        return [seconds for seconds in self.seconds.get(200, ()) if seconds <= self.patience_seconds]


class Generator:
    """Sends a request whenever one is due, over a connection that is free, or a new one."""

    def __init__(self, arena: Arena, patience_seconds: float) -> None:
        self._port = arena.port
        self._requests: Iterator[bytes] = cycle(arena.requests)
        self._patience_seconds = patience_seconds
        self._free: deque[Wire] = deque()
        self._open = 0

    async def offer(self, tally: Tally, rate: float, seconds: float) -> None:
        tasks: set[asyncio.Task[None]] = set()
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            while tally.offered < passed * rate:
                due = began + tally.offered / rate
                tally.offered += 1
                if not self._free and self._open >= MOST_CONNECTIONS:
                    tally.unsent += 1
                    continue
                task = asyncio.create_task(self._one(tally, due))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(TICK_SECONDS)
        if tasks:
            await asyncio.wait(set(tasks), timeout=self._patience_seconds * 5)
        tally.broken["no answer"] += len(tasks)
        for task in list(tasks):
            task.cancel()

    async def closed_loop(self, seconds: float) -> Tally:
        """Ask as many at once as there are connections, each waiting for its answer: what the gateway can do."""
        end = time.monotonic() + seconds
        tally = Tally(self._patience_seconds, end)

        async def work() -> None:
            while time.monotonic() < end:
                await self._one(tally, time.monotonic())

        await asyncio.gather(*(work() for _ in range(CLOSED_CONNECTIONS)))
        return tally

    async def _one(self, tally: Tally, due: float) -> None:
        try:
            wire = self._free.pop() if self._free else await self._connect()
            status = await wire.ask(next(self._requests))
        except OSError as error:
            self._open -= 1
            tally.broken[type(error).__name__] += 1
            return
        tally.add(status, time.monotonic() - due)
        self._free.append(wire)

    async def _connect(self) -> Wire:
        self._open += 1
        return await connect(self._port)


async def watch_health(port: int, tally: Tally) -> None:
    """Return whether somebody who asks how the gateway is hears of it."""
    while True:
        began = time.monotonic()
        try:
            wire = await connect(port)
            is_healthy = await wire.ask(request_for("/healthz")) == HTTPStatus.OK
            wire.transport.close()
        except OSError:
            is_healthy = False
        if is_healthy:
            tally.health.append(time.monotonic() - began)
        else:
            tally.broken["health"] += 1
        await asyncio.sleep(HEALTH_SECONDS)


async def measure(generator: Generator, tally: Tally, port: int, rate: float, seconds: float) -> None:
    watcher = asyncio.create_task(watch_health(port, tally))
    await generator.offer(tally, rate, seconds)
    watcher.cancel()


async def overload(workload: Workload, arena: Arena, seconds: float) -> list[str]:
    """Return the promises broken."""
    generator = Generator(arena, workload.patience_seconds)
    await generator.closed_loop(1)
    peaks = [await generator.closed_loop(seconds / 2) for _ in range(PEAKS)]
    peak = max(peaks, key=lambda each: each.good_in_time)
    capacity = peak.good_in_time / (seconds / 2)
    waited = milliseconds(peak.good, 0.99)
    print(f"\n{workload.name}: {capacity:.0f}/s for {CLOSED_CONNECTIONS} callers at a time, p99 {waited} ms")
    table, broken = [], []
    for load in (*LOADS, RECOVERY_LOAD):
        tally = Tally(workload.patience_seconds, time.monotonic() + seconds)
        await measure(generator, tally, arena.port, capacity * load, seconds)
        table.append(row(load, tally, seconds, capacity, rss_mb := read_process(arena.pid, 0).rss_mb))
        found = broken_promises(workload, load, tally, seconds, capacity)
        found += [f"{rss_mb:.0f} MB"] if rss_mb > MOST_RSS_MB else []
        broken += [f"{workload.name} {load:g}x: {text}" for text in found]
    first = ("load", "offered/s", "good/s", "of what can be", "shed/s", "other", "unsent")
    print_table((*first, "p50 ms", "p99 ms", "shed p99", "health p99", "RSS MB"), table)
    return broken


def callers_who_return(arena: Arena, seconds: float) -> list[str]:
    """Return the promises broken."""
    table, broken, most = [], [], 0.0
    for callers in CALLERS:
        target = Target("the gateway", f"http://127.0.0.1:{arena.port}{arena.path}", arena.key)
        answers = count_answers(target, seconds=int(seconds), connections=callers)
        good = answers.good / seconds
        most = max(most, good)
        table.append((callers, f"{answers.all / seconds:.0f}", f"{good:.0f}", f"{good / most:.0%}"))
        if good < LEAST_GOODPUT_OF_CALLERS * most:
            broken.append(f"{callers} callers: {good:.0f}/s good")
    print("\ncallers who ask again as soon as they are refused:")
    print_table(("callers", "answers/s", "good/s", "of what can be"), table)
    return broken


def row(load: float, tally: Tally, seconds: float, capacity: float, rss_mb: float) -> tuple[object, ...]:
    good, shed = tally.good, tally.seconds.get(503, [])
    late = len(tally.seconds.get(200, ())) - len(good)
    unexpected = sum(len(some) for status, some in tally.seconds.items() if status not in {200, 503})
    other = late + unexpected + tally.broken.total()
    return (
        *(f"{load:g}x", f"{tally.offered / seconds:.0f}", f"{tally.good_in_time / seconds:.0f}"),
        *(f"{tally.good_in_time / seconds / (capacity * min(load, 1.0)):.0%}", f"{len(shed) / seconds:.0f}"),
        *(other, tally.unsent, milliseconds(good, 0.5), milliseconds(good, 0.99)),
        *(milliseconds(shed, 0.99), milliseconds(tally.health, 0.99), f"{rss_mb:.0f}"),
    )


def broken_promises(workload: Workload, load: float, tally: Tally, seconds: float, capacity: float) -> list[str]:
    goodput, shed = tally.good_in_time / seconds, percentile(tally.seconds.get(503, []), 0.99)
    due = min(load, 1.0) * capacity * LEAST_GOODPUT
    slowest = percentile(tally.good, 0.99)
    checks = {
        f"{goodput:.0f}/s good, {due:.0f}/s due": goodput >= due,
        f"statuses {sorted(tally.seconds)}": set(tally.seconds) <= {200, 503},
        f"connections: {dict(+tally.broken)}": not tally.broken.total(),
        f"p99 of good answers {slowest:.3f} s": slowest <= workload.longest_good_p99,
        f"p99 of shed ones {shed:.3f} s": shed <= LONGEST_SHED_P99,
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
        with costly_arena(cores, milliseconds_each=2.0) as arena:
            broken += callers_who_return(arena, options.seconds)
    return verdict(broken)


if __name__ == "__main__":
    sys.exit(main())
