"""More requests than the gateway can answer, at a rate that does not wait for it: `python -m bench.overload`.

What it can do is measured first; then 1, 2, 4 and 10 times as much is offered, and half as much again at the end.
An answer is good if it comes within a caller's patience. Exit status 1 when a promise is broken.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import uvloop

from bench.load import missing_packages, nginx
from bench.processes import Cores, free_port, running
from bench.report import milliseconds, percentile, print_table, read_process, verdict
from bench.upstream import write_upstream
from bench.wire import Wire, connect, request_for
from bench.world import build_world

LOADS = (1.0, 2.0, 4.0, 10.0)
RECOVERY_LOAD = 0.5
PATIENCE_SECONDS = 1.0
CLOSED_CONNECTIONS = 32
MOST_CONNECTIONS = 2_000
TICK_SECONDS = 0.002
HEALTH_SECONDS = 0.1
LEAST_GOODPUT = 0.9
LONGEST_SHED_P99 = 0.1
LONGEST_GOOD_P99 = 0.3
"""The gateway lets a request wait 0.1 s for its turn; the rest is the connection's and the generator's."""
MOST_RSS_MB = 512.0


@dataclass
class Tally:
    """Seconds from when a request was due, by status."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    offered: int = 0
    unsent: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    health: list[float] = field(default_factory=list)

    def add(self, status: int, seconds: float) -> None:
        self.seconds.setdefault(status, []).append(seconds)

    @property
    def good(self) -> list[float]:
        return [seconds for seconds in self.seconds.get(200, ()) if seconds <= PATIENCE_SECONDS]


class Generator:
    """Sends a request whenever one is due, over a connection that is free, or a new one."""

    def __init__(self, port: int, key: str, path: str) -> None:
        self._port = port
        self._request = request_for(path, key)
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
            await asyncio.wait(set(tasks), timeout=PATIENCE_SECONDS * 5)
        tally.broken["no answer"] += len(tasks)
        for task in list(tasks):
            task.cancel()

    async def closed_loop(self, seconds: float) -> Tally:
        """As many at once as there are connections, each waiting for its answer: what the gateway can do."""
        tally, end = Tally(), time.monotonic() + seconds

        async def work() -> None:
            while time.monotonic() < end:
                await self._one(tally, time.monotonic())

        await asyncio.gather(*(work() for _ in range(CLOSED_CONNECTIONS)))
        return tally

    async def _one(self, tally: Tally, due: float) -> None:
        try:
            wire = self._free.pop() if self._free else await self._connect()
            status = await wire.ask(self._request)
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
    """Whether somebody who asks how the gateway is hears of it."""
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


async def measure(generator: Generator, port: int, rate: float, seconds: float) -> Tally:
    tally = Tally()
    watcher = asyncio.create_task(watch_health(port, tally))
    await generator.offer(tally, rate, seconds)
    watcher.cancel()
    return tally


async def overload(port: int, key: str, path: str, pid: int, seconds: float) -> int:
    generator = Generator(port, key, path)
    await generator.closed_loop(1)
    peak = await generator.closed_loop(seconds)
    capacity = len(peak.good) / seconds
    print(f"capacity with {CLOSED_CONNECTIONS} connections: {capacity:.0f}/s, p99 {milliseconds(peak.good, 0.99)} ms")
    table, broken = [], []
    for load in (*LOADS, RECOVERY_LOAD):
        tally = await measure(generator, port, capacity * load, seconds)
        table.append(row(load, tally, seconds, rss_mb := read_process(pid, 0).rss_mb))
        broken += [f"{load:g}x: {text}" for text in broken_promises(load, tally, seconds, capacity, rss_mb)]
    headings = (
        "load",
        "offered/s",
        "good/s",
        "shed/s",
        "other",
        "unsent",
        "p50 ms",
        "p99 ms",
        "shed p99",
        "health p99",
    )
    print_table((*headings, "RSS MB"), table)
    return verdict(broken)


def row(load: float, tally: Tally, seconds: float, rss_mb: float) -> tuple[object, ...]:
    good, shed = tally.good, tally.seconds.get(503, [])
    late = len(tally.seconds.get(200, ())) - len(good)
    unexpected = sum(len(some) for status, some in tally.seconds.items() if status not in {200, 503})
    other = late + unexpected + tally.broken.total()
    return (
        *(f"{load:g}x", f"{tally.offered / seconds:.0f}", f"{len(good) / seconds:.0f}", f"{len(shed) / seconds:.0f}"),
        *(other, tally.unsent, milliseconds(good, 0.5), milliseconds(good, 0.99)),
        *(milliseconds(shed, 0.99), milliseconds(tally.health, 0.99), f"{rss_mb:.0f}"),
    )


def broken_promises(load: float, tally: Tally, seconds: float, capacity: float, rss_mb: float) -> list[str]:
    goodput, shed = len(tally.good) / seconds, percentile(tally.seconds.get(503, []), 0.99)
    due = min(load, 1.0) * capacity * LEAST_GOODPUT
    checks = {
        f"{goodput:.0f}/s good, {due:.0f}/s due": goodput >= due,
        f"statuses {sorted(tally.seconds)}": set(tally.seconds) <= {200, 503},
        f"connections: {dict(+tally.broken)}": not tally.broken.total(),
        f"p99 of good answers {percentile(tally.good, 0.99):.3f} s": percentile(tally.good, 0.99) <= LONGEST_GOOD_P99,
        f"p99 of shed ones {shed:.3f} s": shed <= LONGEST_SHED_P99,
        "shed although there was room": load >= 1 or not shed,
        "health did not answer": bool(tally.health),
        f"{rss_mb:.0f} MB": rss_mb <= MOST_RSS_MB,
    }
    return [text for text, is_kept in checks.items() if not is_kept]


@contextmanager
def costly_arena(cores: Cores, milliseconds_each: float) -> Iterator[tuple[int, str, int]]:
    """A stand-in of known cost behind the gateway's server: its port, any key, its process."""
    with tempfile.TemporaryDirectory(prefix="overload-") as name:
        port = free_port()
        os.sched_setaffinity(0, cores.load)
        command = [
            *(sys.executable, "-m", "bench.costly"),
            *("--port", str(port), "--milliseconds", str(milliseconds_each)),
        ]
        with running(command, port, Path(name) / "costly.log", core=cores.server) as process:
            yield port, "any", process.pid


@contextmanager
def arena(cores: Cores) -> Iterator[tuple[int, str, int]]:
    """A gateway whose client has a thousand connections: its port, a key, its process."""
    with tempfile.TemporaryDirectory(prefix="overload-") as name, ExitStack() as stack:
        folder, port, upstream_port = Path(name), free_port(), free_port()
        world = build_world(folder, port=port, upstream_port=upstream_port)
        os.sched_setaffinity(0, cores.load)
        upstream = write_upstream(folder, upstream_port, world.airbyte_ids)
        stack.enter_context(running([nginx(), "-p", name, "-c", str(upstream)], upstream_port, folder / "nginx.log"))
        command = [sys.executable, "-m", "gateway", "serve", "--settings", str(world.settings)]
        process = stack.enter_context(running(command, port, folder / "gateway.log", core=cores.server))
        yield port, world.key, process.pid


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each load")
    parser.add_argument("--path", default="/api/v1/connections", help="by default a list of a thousand connections")
    parser.add_argument("--milliseconds", type=float, help="load a stand-in that costs so much for each request")
    options = parser.parse_args()
    if missing := missing_packages():
        print(f"missing: apt-get install {' '.join(missing)}", file=sys.stderr)
        return 2
    cores = Cores()
    with (
        arena(cores) if options.milliseconds is None else costly_arena(cores, options.milliseconds) as (port, key, pid)
    ):
        return uvloop.run(overload(port, key, options.path, pid, options.seconds))


if __name__ == "__main__":
    sys.exit(main())
