"""How long the event loop stood still."""

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

    lag = LoopLag(monotonic, interval_seconds=0.1)
    running = asyncio.create_task(lag.run(lambda: None))
    await seen.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert round(lag.take_longest_seconds(), 6) == 0.25
    assert lag.take_longest_seconds() == 0.0
