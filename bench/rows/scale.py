"""A thousand clients, ten thousand connections, a million keys: what is slower for it, and what it takes."""

import asyncio
from collections.abc import Iterable
from itertools import count, islice

from bench.arena import Arena
from bench.load import interleaved
from bench.population import made_up_key
from bench.processes import free_port
from bench.report import percentile, read_process
from bench.rows.footprint import timed_start
from bench.scores import Line, at_least, at_most
from bench.serving import STATUS, Gateway
from bench.wire import connect, request_for, seconds_of_each

COLD_KEYS = 1_000
"""A round."""
ACTIVE_KEYS = 100_000
CALLERS = 32


def scale(arena: Arena, rounds: int) -> list[Line]:
    port = free_port()
    settings = arena.large_world(port)
    first, unused = made_up_key(0), (made_up_key(number) for number in count(1))
    starts = [timed_start(arena, settings, port, first) for _ in range(rounds)]
    with arena.serving(settings, port) as large:
        small = arena.gateway.target(STATUS, arena.world.key_of_some)
        warm = interleaved([large.target(STATUS, first), small], rounds)
        cold = [
            seconds_of_each(port, [request_for(STATUS, key) for key in islice(unused, COLD_KEYS)])
            for _ in range(rounds)
        ]
        asyncio.run(_all_at_once(large, islice(unused, ACTIVE_KEYS)))
        rss = read_process(large.process.pid, 0).rss_mb
    ratios = [big.rate / little.rate for big, little in warm]
    return [
        Line("scale", "GET /status, warm / with the small database", ratios, "x", at_least(0.9)),
        Line("scale", "a key's first call, p99", [1000 * percentile(each, 0.99) for each in cold], "ms", at_most(5)),
        Line("scale", "serve to first answer", starts, "s", at_most(2)),
        Line("scale", f"RSS with {ACTIVE_KEYS:,} active keys", [rss], "MB", at_most(120)),
    ]


async def _all_at_once(gateway: Gateway, keys: Iterable[str]) -> None:
    waiting = iter(keys)

    async def call() -> None:
        wire = await connect(gateway.port)
        for key in waiting:
            _require_good(await wire.ask(request_for(STATUS, key)))
        wire.transport.close()

    await asyncio.gather(*(call() for _ in range(CALLERS)))


def _require_good(status: int) -> None:
    if status != 200:
        raise RuntimeError(f"the gateway answered {status} to a good key")
