"""The row `crowd` of `bench.unauthenticated`: callers without a key who ask again and again beside one with a key."""

import asyncio
import re
import subprocess
import time

from bench.load import wrk
from bench.report import milliseconds, percentile, print_table
from bench.wire import Wire, connect, request_for

CROWD = 1_000
CROWD_PATHS = ("/docs/api", "/api/v1/status", "/dashboard", "/healthz")
CROWD_SECONDS = 6.0
SETTLING_SECONDS = 1.0
"""A thousand socket connections are opened in it."""
MOST_TIMES_QUIET = 5.0
LONGEST_HEALTH = 0.1
ASKS_PER_SECOND = 50.0
Timed = list[tuple[float, int]]


async def crowd(port: int, key: str, number: int) -> list[str]:
    """Return the promises broken. A crowd of `number` asks for each path in turn, each caller as soon as answered."""
    table, broken = [], []
    quiet, _, _ = await _beside(port, key, "", 0)
    quiet_p99 = percentile(_seconds(quiet), 0.99)
    for path in CROWD_PATHS:
        good, health, answers = await _beside(port, key, path, number)
        p99, health_p99 = percentile(_seconds(good), 0.99), percentile(_seconds(health), 0.99)
        refused = sum(status != 200 for _, status in [*good, *health])
        table.append(
            (
                *(path, f"{answers:.0f}", milliseconds(_seconds(quiet), 0.5)),
                *(milliseconds(_seconds(quiet), 0.99), milliseconds(_seconds(good), 0.5)),
                *(milliseconds(_seconds(good), 0.99), f"{p99 / quiet_p99:.1f}"),
                *(milliseconds(_seconds(health), 0.99), refused),
            )
        )
        checks = {
            f"{path}: p99 of a good key {p99 * 1000:.1f} ms": p99 <= MOST_TIMES_QUIET * quiet_p99,
            f"{path}: p99 of /healthz {health_p99 * 1000:.1f} ms": health_p99 <= LONGEST_HEALTH,
            f"{path}: {refused} answers to the good key and /healthz were not 200": not refused,
        }
        broken += [text for text, is_kept in checks.items() if not is_kept]
    print(f"\ncrowd: {number} callers without a key, each asking again as soon as it is answered")
    print_table(
        (
            "path",
            "a second",
            "quiet p50 ms",
            "p99 ms",
            "good key p50 ms",
            "p99 ms",
            "times",
            "/healthz p99 ms",
            "refused",
        ),
        table,
    )
    return broken


async def _beside(port: int, key: str, path: str, number: int) -> tuple[Timed, Timed, float]:
    """Return what a good key and /healthz were told beside a crowd, and how many answers a second the crowd had."""
    good, health = await connect(port), await connect(port)
    seconds = 2 * SETTLING_SECONDS + CROWD_SECONDS
    # In a process of its own: its callers must not wait for each other, nor the probes for them.
    command = (wrk(), "-t1", f"-c{number}", f"-d{seconds:.0f}s", "--timeout", "30s", f"http://127.0.0.1:{port}{path}")
    load = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE) if number else None
    await asyncio.sleep(SETTLING_SECONDS)
    end = time.monotonic() + CROWD_SECONDS
    timed = await asyncio.gather(
        _probe(good, request_for("/api/v1/status", key), end), _probe(health, request_for("/healthz"), end)
    )
    told = (await load.communicate())[0].decode() if load else ""
    rate = re.search(r"Requests/sec: +([0-9.]+)", told)
    good.transport.close()
    health.transport.close()
    return timed[0], timed[1], float(rate[1]) if rate else 0.0


async def _probe(wire: Wire, request: bytes, end: float) -> Timed:
    timed: Timed = []
    while (began := time.monotonic()) < end:
        status = await wire.ask(request)
        timed.append((time.monotonic() - began, status))
        await asyncio.sleep(1 / ASKS_PER_SECOND)
    return timed


def _seconds(timed: Timed) -> list[float]:
    return [seconds for seconds, _ in timed]
