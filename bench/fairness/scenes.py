"""What A does, scene by scene: each is everything inside his limits, and ten times as much above them."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count, cycle

from bench.fairness.airbyte import QUICK_SECONDS
from bench.fairness.load import Sockets, keep_asking, offer
from bench.fairness.world import KEYS_OF_A, OTHERS, A, B, Tenant, trigger_of
from bench.wire import request_for
from gateway.services import build_services
from gateway.settings import load_settings
from gateway.times import SystemClock

BURST = 100
RATE = BURST / 60
"""What a key may ask a second, as shipped."""
ABOVE = 10
REFUSED_TIMES = 5.0
"""How much longer others may wait while thousands of requests a second are refused."""
SLOW_TRIGGER_SECONDS = 60.0
SLOW_READ_SECONDS = 20.0
BUSY_SECONDS = 2.0
IDENTICAL_READERS = 128
ANONYMOUS = 400

SecondsFor = Callable[[str, str], float]
Attack = Callable[[dict[str, Tenant], Sockets, float], Awaitable[None]]


@dataclass(frozen=True)
class Scene:
    """One way of A's (or of somebody without a key), and what B may be made to feel of it.

    B's 99th percentile may be `times` that of a quiet gateway, and `more_seconds` longer.
    """

    name: str
    attack: Attack
    seconds_for: Callable[[dict[str, Tenant]], SecondsFor]
    victims: tuple[str, ...] = (B,)
    reads_per_second: float = 5.0
    triggers_per_second: float = 1.0
    times: float = 2.0
    more_seconds: float = 0.05
    most_answered: Callable[[float], float] = lambda _seconds: math.inf
    """How many of A's may be answered in so many seconds, where that is what he attacks."""


async def repeat_a_trigger(tenants: dict[str, Tenant], sockets: Sockets, seconds: float) -> None:
    """Trigger one connection, which Airbyte takes a minute to start."""
    connection = next(iter(tenants[A].connections))
    await offer(sockets.ask, cycle([trigger_of(connection, tenants[A].keys[0])]), rate=ABOVE * RATE, seconds=seconds)


async def read_the_same(tenants: dict[str, Tenant], sockets: Sockets, seconds: float) -> None:
    """Have everybody wait for one slow call; then all ask again, above the rate by far."""
    request = next(tenants[A].jobs())
    await keep_asking(sockets.ask, request, callers=IDENTICAL_READERS, seconds=seconds)


async def read_and_leave(tenants: dict[str, Tenant], sockets: Sockets, seconds: float) -> None:
    """Ask for slow reads, each another one's, and leave each alone at once."""
    requests = tenants[A].jobs(limits=cycle(range(1, 51)))
    await offer(sockets.ask_and_leave, requests, rate=ABOVE * RATE, seconds=seconds)


async def poll_with_all_keys(tenants: dict[str, Tenant], sockets: Sockets, seconds: float) -> None:
    """Poll with each of twenty keys once a second, and each time with another limit, so that no two share a call."""
    paths = tenants[A].connections
    numbers = count()

    def requests() -> Iterator[bytes]:
        for number, ours in zip(numbers, cycle(paths), strict=False):
            key = tenants[A].keys[number % KEYS_OF_A]
            yield request_for(f"/api/v1/connections/{ours}/jobs?limit={number % 50 + 1}", key)

    await offer(sockets.ask, requests(), rate=KEYS_OF_A, seconds=seconds)


async def rotate_a_key(tenants: dict[str, Tenant], sockets: Sockets, seconds: float) -> None:
    """Replace a key at once, again and again, and use each successor until it is refused."""
    services = build_services(load_settings(tenants[A].settings, {}), SystemClock())
    key_id, end = tenants[A].key_ids[0], time.monotonic() + seconds
    async with services.opened():
        while time.monotonic() < end:
            key = await services.keys.rotate(key_id, overlap="0s")
            key_id, status = key.record.id, HTTPStatus.OK
            while status == HTTPStatus.OK and time.monotonic() < end:
                status = HTTPStatus(await sockets.ask(request_for("/api/v1/status", key.text)))


async def load_pages(_tenants: dict[str, Tenant], sockets: Sockets, seconds: float) -> None:
    """Load without a key: the API reference, a page behind the sign-in, and the API itself."""
    shares = {"/docs/api": ANONYMOUS // 2, "/dashboard": ANONYMOUS // 4, "/api/v1/status": ANONYMOUS // 4}
    await asyncio.gather(
        *(
            keep_asking(sockets.ask, request_for(path), callers=callers, seconds=seconds)
            for path, callers in shares.items()
        )
    )


def always_quick(_tenants: dict[str, Tenant]) -> SecondsFor:
    return lambda _method, _asked: QUICK_SECONDS


def slow_for_a(seconds: float, method: str) -> Callable[[dict[str, Tenant]], SecondsFor]:
    """Have Airbyte take its time for calls of this method about A's connections."""

    def seconds_for(tenants: dict[str, Tenant]) -> SecondsFor:
        ours = frozenset(tenants[A].connections.values())
        return lambda asked_method, asked: (
            seconds if asked_method == method and any(theirs in asked for theirs in ours) else QUICK_SECONDS
        )

    return seconds_for


def slow_for_all(seconds: float) -> Callable[[dict[str, Tenant]], SecondsFor]:
    return lambda _tenants: lambda _method, _asked: seconds


SCENES = (
    Scene("a trigger again and again", repeat_a_trigger, slow_for_a(SLOW_TRIGGER_SECONDS, "POST")),
    Scene("128 identical slow reads", read_the_same, slow_for_a(SLOW_READ_SECONDS, "GET"), times=REFUSED_TIMES),
    Scene("slow reads, left at once", read_and_leave, slow_for_a(SLOW_READ_SECONDS, "GET")),
    Scene(
        "20 keys poll a slow Airbyte",
        poll_with_all_keys,
        slow_for_all(BUSY_SECONDS),
        victims=OTHERS,
        reads_per_second=0.2,
        triggers_per_second=0,
        more_seconds=BUSY_SECONDS,
    ),
    Scene(
        "a key rotated again and again",
        rotate_a_key,
        always_quick,
        most_answered=lambda seconds: 1.1 * (BURST + RATE * seconds),
    ),
    Scene("400 without a key load pages", load_pages, always_quick, times=REFUSED_TIMES),
)
