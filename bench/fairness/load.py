"""Requests over real sockets, offered at a rate that does not wait for answers, and what became of them."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from bench.report import percentile
from bench.wire import Wire, connect

Ask = Callable[[bytes], Coroutine[Any, Any, object]]
LONGEST_WAIT_SECONDS = 100.0
"""Longer than the gateway's own deadlines: whoever waits longer is never answered."""


@dataclass
class Tally:
    """Of one kind of caller: the statuses, and the seconds of those that were answered well."""

    offered: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    left: int = 0

    @property
    def answered(self) -> int:
        return self.statuses[HTTPStatus.OK]

    @property
    def refused(self) -> int:
        return self.statuses.total() - self.answered + self.left

    def quantile(self, share: float) -> float:
        return percentile(self.seconds, share)


class Sockets:
    """Connections of one kind of caller, kept open and used again."""

    def __init__(self, port: int, tally: Tally) -> None:
        self.tally = tally
        self._port = port
        self._free: deque[Wire] = deque()

    async def ask(self, request: bytes) -> int:
        """Ask, count what comes back, and return its status; 0 when the connection broke."""
        self.tally.offered += 1
        began = time.monotonic()
        try:
            wire = self._free.pop() if self._free else await connect(self._port)
            # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the answer.
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                status = await wire.ask(request)
        except (OSError, TimeoutError):
            self.tally.left += 1
            return 0
        self._free.append(wire)
        self.tally.statuses[status] += 1
        if status == HTTPStatus.OK:
            self.tally.seconds.append(time.monotonic() - began)
        return status

    async def ask_and_leave(self, request: bytes) -> None:
        """Send the request and close at once, without its answer."""
        self.tally.offered += 1
        with suppress(OSError):
            wire = await connect(self._port)
            wire.transport.write(request)
            wire.transport.close()

    def close(self) -> None:
        for wire in self._free:
            wire.transport.close()


async def offer(ask: Ask, requests: Iterator[bytes], *, rate: float, seconds: float) -> None:
    """Begin `rate` requests a second for so long; those under way at the end are given up."""
    tasks: set[asyncio.Task[object]] = set()
    began, count = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        while count < passed * rate:
            task: asyncio.Task[object] = asyncio.create_task(ask(next(requests)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            count += 1
        await asyncio.sleep(min(0.01, 1 / rate))
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def keep_asking(ask: Ask, request: bytes, *, callers: int, seconds: float) -> None:
    """Keep so many callers who ask again as soon as they are answered."""
    end = time.monotonic() + seconds

    async def call() -> None:
        while time.monotonic() < end:
            await ask(request)

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(call() for _ in range(callers)))
