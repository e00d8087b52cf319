"""Callers that wait for Airbyte, counted by client."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import ApiError, CallerLeft, OutcomeUnknown, UpstreamBusy
from gateway.limiter.fair_queue import FairQueue
from gateway.models import Client
from gateway.syncs.timings import WaitingTimings
from gateway.syncs.waiting import WaitingCallers

A, B = (Client(number, slug, slug, "free", "") for number, slug in enumerate(("a", "b"), 1))


class Scene:
    """Callers that all wait for one answer."""

    def __init__(self, *, most: int) -> None:
        self.waiting = WaitingCallers(FairQueue(most=most), WaitingTimings())
        self.answer = asyncio.Event()
        self.leaving = asyncio.Event()
        self.callers: list[asyncio.Task[str]] = []

    async def _answer(self) -> str:
        await self.answer.wait()
        return "answer"

    async def _left(self) -> None:
        await self.leaving.wait()

    def begin(self, client: Client, goes_on: Callable[[], ApiError] | None = None) -> None:
        wait = self.waiting.wait(client, self._answer(), left=self._left, goes_on=goes_on)
        self.callers.append(asyncio.create_task(wait))

    async def come(self, client: Client, *, times: int = 1, goes_on: Callable[[], ApiError] | None = None) -> None:
        for _ in range(times):
            self.begin(client, goes_on)
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)

    @property
    def refused(self) -> list[int]:
        return [
            number
            for number, caller in enumerate(self.callers)
            if caller.done() and isinstance(caller.exception(), UpstreamBusy)
        ]


async def test_when_too_many_wait_the_newest_callers_of_the_client_with_the_most_are_refused_at_once() -> None:
    scene = Scene(most=10)
    await scene.come(A, times=12)
    assert scene.refused == [10, 11]

    await scene.come(B, times=3)
    assert scene.refused == [7, 8, 9, 10, 11]

    scene.answer.set()
    answers = await asyncio.gather(*scene.callers, return_exceptions=True)
    assert answers.count("answer") == 10
    assert len(scene.waiting) == 0


async def test_a_caller_who_gives_way_is_told_so_if_what_it_began_goes_on() -> None:
    scene = Scene(most=2)
    await scene.come(A, goes_on=OutcomeUnknown, times=2)
    await scene.come(B)

    assert isinstance(scene.callers[1].exception(), OutcomeUnknown)
    await scene.come(A, goes_on=OutcomeUnknown)
    assert isinstance(scene.callers[3].exception(), UpstreamBusy)  # nothing was begun
    scene.answer.set()
    await asyncio.gather(scene.callers[0], scene.callers[2])


async def test_a_cancelled_caller_waits_no_more_and_neither_does_what_it_waited_by() -> None:
    scene = Scene(most=10)
    await scene.come(A, times=2)
    tasks = len(asyncio.all_tasks())

    scene.callers[0].cancel()
    await scene.come(B)

    assert len(scene.waiting) == 2
    assert len(asyncio.all_tasks()) == tasks
    scene.answer.set()
    with pytest.raises(asyncio.CancelledError):
        await scene.callers[0]


async def test_a_caller_who_leaves_waits_no_more() -> None:
    scene = Scene(most=10)
    tasks = len(asyncio.all_tasks())
    await scene.come(A, times=3)

    scene.leaving.set()
    outcomes = await asyncio.gather(*scene.callers, return_exceptions=True)
    await asyncio.sleep(0)

    assert [type(outcome) for outcome in outcomes] == [CallerLeft] * 3
    assert len(scene.waiting) == 0
    assert len(asyncio.all_tasks()) == tasks


async def test_a_caller_who_gives_way_and_is_cancelled_as_well_is_cancelled() -> None:
    scene = Scene(most=2)
    await scene.come(A, times=2)

    scene.begin(B)
    await asyncio.sleep(0)
    scene.callers[1].cancel()
    scene.answer.set()
    outcomes = await asyncio.gather(*scene.callers, return_exceptions=True)

    assert [outcomes[0], type(outcomes[1]), outcomes[2]] == ["answer", asyncio.CancelledError, "answer"]


async def test_a_caller_who_is_answered_at_once_is_not_watched() -> None:
    waiting = WaitingCallers(FairQueue(), WaitingTimings(watch=0.0))
    watched: list[str] = []

    async def answer() -> str:
        return "answer"

    async def left() -> None:
        watched.append("watched")

    assert await waiting.wait(A, answer(), left=left) == "answer"
    for _ in range(10):
        await asyncio.sleep(0)

    assert watched == []
