"""What unauthenticated clients can do to a caller with a good key: `python -m bench.unauthenticated`. Three tables:

- `guesses`: 100,000 distinct well-formed keys that nobody has, 2,000 a second, from the good key's own address;
- `slow`: 1,000 silent connections, 1,000 that drip a head, 500 that drip a body, 200 that read no answer;
- `crowd`: 1,000 callers without a key, each asking again as soon as it is answered, for a page, the API or `/healthz`.

Exit status 1 when a promise is broken.
"""

import argparse
import asyncio
import os
import socket
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import uvloop

from bench.crowd import CROWD, crowd
from bench.processes import Cores, free_port, running
from bench.report import Reading, milliseconds, percentile, print_table, read_process, verdict
from bench.wire import Wire, connect, request_for
from bench.world import World, build_world
from gateway.auth import keys

STATUS = "/api/v1/status"
LIST = "/api/v1/connections"
GUESSES_PER_SECOND = 2_000.0
PROBES_PER_SECOND = 50.0
BASELINE_SECONDS = 5.0
TICK_SECONDS = 0.002
SILENT, HEADS, BODIES, DEAF = 1_000, 1_000, 500, 200
LONGEST_SLOW = 10.0
LONGEST_DEAF = 30.0
SLACK_SECONDS = 16.0
FILL_SECONDS = 12.0
ASKED_AT_ONCE = 12
"""To fill the kernel's buffers first, which take some megabytes."""
ESTABLISHED = 1
"""One of Linux's states of a socket connection."""
DEAF_EACH_SECOND = 12.0
"""What they ask for is work like any other's; this is no overload. They come first and are there still when all are."""
DRIP_SECONDS = 1.0
LONGEST_READ_SHARE = 0.01
MORE_MB_FOR_GUESSES = 10.0
MORE_MB_FOR_SLOW = 50.0
"""More than half of it is what 200 callers asked for and do not read, a list of 500 connections each."""
LEAST_P99 = 0.01
"""Twice the undisturbed p99 is allowed, and this much in any case: an idle machine's is below a millisecond."""
HEAD = b"GET /api/v1/status HTTP/1.1\r\nHost: gateway\r\n"
BODY = b"POST /api/v1/connections/x/sync HTTP/1.1\r\nHost: gateway\r\nContent-Length: 60000\r\n\r\n"


@dataclass(frozen=True)
class RunningGateway:
    """A gateway that listens on `port`, its process, its log."""

    port: int
    pid: int
    world: World
    log: Path
    reads: Path

    def reading(self) -> Reading:
        return read_process(self.pid, time.monotonic())


@contextmanager
def running_gateway(cores: Cores) -> Iterator[RunningGateway]:
    with tempfile.TemporaryDirectory(prefix="unauthenticated-") as name:
        folder, port = Path(name), free_port()
        os.sched_setaffinity(0, cores.load)
        world = build_world(folder, port=port, upstream_port=free_port())
        log, reads = folder / "gateway.log", folder / "reads"
        command = [sys.executable, "-m", "bench.counted", str(reads), "--settings", str(world.settings)]
        with running(command, port, log, core=cores.server) as process:
            yield RunningGateway(port, process.pid, world, log, reads)


class Probe:
    """A caller with a good key, that asks again and again at its own pace."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._request = request_for(STATUS, key)
        self.seconds: list[float] = []
        self.failed: Counter[str] = Counter()

    async def run(self) -> None:
        wire = await connect(self._port)
        while True:
            began = time.monotonic()
            status = await wire.ask(self._request)
            self.seconds.append(time.monotonic() - began)
            if status != 200:
                self.failed[str(status)] += 1
            await asyncio.sleep(1 / PROBES_PER_SECOND)

    def take(self) -> list[float]:
        taken, self.seconds = self.seconds, []
        return taken


async def guess(port: int, number: int) -> tuple[Counter[int], float]:
    """Guess keys; return statuses, and the seconds it took."""
    statuses: Counter[int] = Counter()
    free: deque[Wire] = deque()
    choice = Random(1).choice  # noqa: S311 - nobody has these keys
    began = time.monotonic()

    async def one() -> None:
        wire = free.pop() if free else await connect(port)
        statuses[await wire.ask(request_for(STATUS, keys.mint(choice)))] += 1
        free.append(wire)

    tasks: set[asyncio.Task[None]] = set()
    for sent in count():
        while sent > (time.monotonic() - began) * GUESSES_PER_SECOND:  # noqa: ASYNC110 - the clock sets no event
            await asyncio.sleep(TICK_SECONDS)
        if sent == number:
            break
        task = asyncio.create_task(one())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return statuses, time.monotonic() - began


async def guesses(gateway: RunningGateway, number: int) -> list[str]:
    """Return the promises broken, but for the number of reads, which is told at the end."""
    probe = Probe(gateway.port, gateway.world.key)
    asking = asyncio.create_task(probe.run())
    await asyncio.sleep(BASELINE_SECONDS)
    calm, before, log_before = probe.take(), gateway.reading(), gateway.log.stat().st_size
    statuses, seconds = await guess(gateway.port, number)
    pressed, after, log_after = probe.take(), gateway.reading(), gateway.log.stat().st_size
    asking.cancel()
    more_mb = after.rss_mb - before.rss_mb
    print("guesses:")
    print_table(
        (
            "guesses",
            "a second",
            "401",
            "other",
            "good key p50 ms",
            "p99 ms",
            "p99 without",
            "RSS MB more",
            "log bytes each",
        ),
        [
            (
                *(number, f"{number / seconds:.0f}", statuses[401], statuses.total() - statuses[401]),
                *(milliseconds(pressed, 0.5), milliseconds(pressed, 0.99), milliseconds(calm, 0.99)),
                *(f"{more_mb:.1f}", f"{(log_after - log_before) / (number + len(pressed)):.0f}"),
            )
        ],
    )
    checks = {
        f"statuses {dict(statuses)}": set(statuses) == {401},
        f"the good key was told {dict(probe.failed)}": not probe.failed,
        f"{more_mb:.1f} MB more": more_mb <= MORE_MB_FOR_GUESSES,
        **p99_check(calm, pressed),
    }
    return [text for text, is_kept in checks.items() if not is_kept]


def p99_check(calm: list[float], pressed: list[float]) -> dict[str, bool]:
    usual, now = percentile(calm, 0.99), percentile(pressed, 0.99)
    return {f"p99 of a good key {now * 1000:.1f} ms, {usual * 1000:.1f} without": now <= max(2 * usual, LEAST_P99)}


@dataclass
class Slow(asyncio.Protocol):
    """A connection that sends `first`, then `drop` now and then; notes when it was closed."""

    first: bytes
    drop: bytes
    reads: bool
    began: float = field(default_factory=time.monotonic)
    lasted: float | None = None
    connection: socket.socket = field(init=False)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        transport.write(self.first)
        self._loop.call_later(DRIP_SECONDS, self._drip)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - the protocol's signature
        if not self.reads:
            # Not when it is made: uvloop begins to read after that.
            self._transport.pause_reading()

    def _drip(self) -> None:
        if self.lasted is not None:
            return
        if not self.reads and self.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != ESTABLISHED:
            # Who does not read is not told.
            self._transport.abort()
            return
        if self.reads or time.monotonic() - self.began < FILL_SECONDS:
            self._transport.write(self.drop)
        self._loop.call_later(DRIP_SECONDS, self._drip)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.lasted = time.monotonic() - self.began


async def open_slow(port: int, slow: Slow) -> Slow:
    loop = asyncio.get_running_loop()
    slow.connection = connection = socket.socket()
    connection.setblocking(False)
    if not slow.reads:
        # Before it connects: what the kernel takes in for whoever does not read is then little.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await loop.sock_connect(connection, ("127.0.0.1", port))
    await loop.create_connection(lambda: slow, sock=connection)
    return slow


async def slow(gateway: RunningGateway, scale: float) -> list[str]:
    """Return the promises broken."""
    probe = Probe(gateway.port, gateway.world.key)
    asking = asyncio.create_task(probe.run())
    await asyncio.sleep(BASELINE_SECONDS)
    calm, before = probe.take(), gateway.reading()
    ask = request_for(LIST, gateway.world.key_of_many)
    kinds = {
        "do not read": (DEAF, ask * ASKED_AT_ONCE, ask * ASKED_AT_ONCE, False),
        "silent": (SILENT, b"", b"", True),
        "drip a head": (HEADS, HEAD, b"X-Drip: y\r\n", True),
        "drip a body": (BODIES, BODY, b"x", True),
    }
    connections: dict[str, list[Slow]] = {}
    for name, (number, first, drop, reads) in kinds.items():
        connections[name] = []
        for _ in range(max(1, round(number * scale))):
            connections[name].append(await open_slow(gateway.port, Slow(first, drop, reads)))
            await asyncio.sleep(0 if reads else 1 / DEAF_EACH_SECOND)
    most_mb, end = 0.0, time.monotonic() + LONGEST_DEAF + SLACK_SECONDS
    while time.monotonic() < end:
        most_mb = max(most_mb, gateway.reading().rss_mb)
        await asyncio.sleep(0.25)
    pressed, after = probe.take(), gateway.reading()
    asking.cancel()
    table, broken = [], []
    for name, some in connections.items():
        lasted = [one.lasted for one in some if one.lasted is not None]
        longest = LONGEST_SLOW if kinds[name][3] else LONGEST_DEAF
        table.append((name, len(some), len(lasted), f"{percentile(lasted, 0.5):.1f}", f"{max(lasted, default=0):.1f}"))
        if len(lasted) < len(some) or max(lasted, default=0) > longest + SLACK_SECONDS:
            broken.append(f"{name}: {len(lasted)} of {len(some)} closed, the last after {max(lasted, default=0):.1f} s")
    print("\nslow:")
    print_table(("connections that", "number", "closed", "after s", "at most s"), table)
    print_table(
        ("good key p50 ms", "p99 ms", "p99 without", "RSS MB before", "most", "after", "descriptors left"),
        [
            (
                *(milliseconds(pressed, 0.5), milliseconds(pressed, 0.99), milliseconds(calm, 0.99)),
                *(
                    f"{before.rss_mb:.1f}",
                    f"{most_mb:.1f}",
                    f"{after.rss_mb:.1f}",
                    after.descriptors - before.descriptors,
                ),
            )
        ],
    )
    checks = {
        f"the good key was told {dict(probe.failed)}": not probe.failed,
        f"{most_mb - before.rss_mb:.1f} MB more": most_mb - before.rss_mb <= MORE_MB_FOR_SLOW,
        **p99_check(calm, pressed),
    }
    return broken + [text for text, is_kept in checks.items() if not is_kept]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.unauthenticated", description=__doc__)
    parser.add_argument("--guesses", type=int, default=100_000)
    parser.add_argument("--crowd", type=int, default=CROWD)
    parser.add_argument("--only-crowd", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of slow connections")
    options = parser.parse_args()
    cores, broken = Cores(), []
    with running_gateway(cores) as gateway:
        broken += uvloop.run(crowd(gateway.port, gateway.world.key, options.crowd))
        if options.only_crowd:
            return verdict(broken)
        broken += uvloop.run(guesses(gateway, options.guesses))
        reads = gateway.reads
        broken += uvloop.run(slow(gateway, options.scale))
        os.kill(gateway.pid, 2)
        while not reads.exists():
            time.sleep(0.05)
        number = int(reads.read_text())
    print(f"\nthe database was asked for a key {number} times")
    if number > max(LONGEST_READ_SHARE * options.guesses, 100):
        broken.append(f"{number} reads of the database")
    return verdict(broken)


if __name__ == "__main__":
    sys.exit(main())
