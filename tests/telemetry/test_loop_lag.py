"""The heartbeat of the event loop."""

import asyncio
from contextlib import suppress

from gateway.telemetry.loop_lag import LoopLag


async def test_a_stand_still_is_told_once() -> None:
    times = iter([0.0, 0.35, 1.0, 1.1, 2.0])
    seen = asyncio.Event()

    def monotonic() -> float:
        moment = next(times)
        if moment >= 2.0:
            seen.set()
        return moment

    watch = LoopLag(monotonic)
    running = asyncio.create_task(watch.run())
    await seen.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert round(watch.take_longest_seconds(), 6) == 0.25
    assert watch.take_longest_seconds() == 0.0
