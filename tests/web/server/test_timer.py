"""One call at most, and only the last one asked for."""

import asyncio
from functools import partial

from gateway.web.server.timer import Timer


async def calls_made(*, stops: bool) -> list[str]:
    """Two calls are asked for, of which the second may be called off; what was called when both were due."""
    loop = asyncio.get_running_loop()
    timer, calls, both_due = Timer(loop), list[str](), asyncio.Event()
    timer.start(0, partial(calls.append, "first"))
    timer.start(0, partial(calls.append, "second"))
    assert timer.is_set
    if stops:
        timer.stop()
        assert not timer.is_set
    loop.call_later(0.01, both_due.set)
    await both_due.wait()
    return calls


async def test_a_call_takes_the_place_of_the_one_before() -> None:
    assert await calls_made(stops=False) == ["second"]


async def test_a_call_that_is_called_off_is_not_made() -> None:
    assert await calls_made(stops=True) == []


async def test_nothing_to_call_off_is_no_mistake() -> None:
    timer = Timer(asyncio.get_running_loop())

    timer.stop()

    assert not timer.is_set
