"""Requests at a rate that does not wait for answers, and what came of them; and as many as a server can answer."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import cycle

from bench.overload_arenas import Arena
from bench.report import cpu_seconds
from bench.wire import Wire, connect, request_for

CLOSED_CONNECTIONS = 32
PEAKS = 3
"""Of so many measurements the best is what the gateway can do: a busy machine only makes it less."""
MOST_CONNECTIONS = 2_000
TICK_SECONDS = 0.002
HEALTH_SECONDS = 0.1


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
    core_seconds: float = 0.0
    """Of the gateway, for all of this."""

    def add(self, status: int, seconds: float) -> None:
        self.seconds.setdefault(status, []).append(seconds)
        if status == HTTPStatus.OK and seconds <= self.patience_seconds and time.monotonic() <= self.ends_at:
            self.good_in_time += 1

    @property
    def good(self) -> list[float]:
        return [seconds for seconds in self.seconds.get(200, ()) if seconds <= self.patience_seconds]


@dataclass(frozen=True)
class Capacity:
    """What the gateway can do: good answers a second, and how much of its core each takes."""

    per_second: float
    core_seconds_each: float

    def refusal_seconds(self, core_seconds: float, answers: int, refusals: int) -> float:
        """Return how much of the core each refusal took, of what was taken for all of these."""
        return max(0.0, core_seconds - answers * self.core_seconds_each) / max(1, refusals)

    def left_by(self, refusals_per_second: float, refusal_seconds: float) -> float:
        """Return how many good answers a second can be given beside so many refusals."""
        return self.per_second * max(0.0, 1.0 - refusals_per_second * refusal_seconds)


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


async def measure(generator: Generator, tally: Tally, arena: Arena, rate: float, seconds: float) -> None:
    watcher = asyncio.create_task(watch_health(arena.port, tally))
    before = cpu_seconds(arena.pid)
    await generator.offer(tally, rate, seconds)
    tally.core_seconds = cpu_seconds(arena.pid) - before
    watcher.cancel()


async def measure_capacity(generator: Generator, arena: Arena, seconds: float) -> tuple[Capacity, Tally]:
    """Return what the gateway can do, and the best of the measurements."""
    best, capacity = Tally(0, 0), Capacity(0, 0)
    for _ in range(PEAKS):
        before = cpu_seconds(arena.pid)
        peak = await generator.closed_loop(seconds)
        if peak.good_in_time > best.good_in_time:
            each = (cpu_seconds(arena.pid) - before) / len(peak.good)
            best, capacity = peak, Capacity(peak.good_in_time / seconds, each)
    return capacity, best
