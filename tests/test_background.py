"""Background tasks have an owner that notices their end."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.background import Background, Progress, RestartTimings, TaskFailure
from tests.support import BOUND_SECONDS

NEVER = asyncio.Event
AT_ONCE = RestartTimings(first_pause=0.0, longest_pause=0.0)


class Failures:
    """What the owner told, and a way to wait for the next."""

    def __init__(self) -> None:
        self.told: list[TaskFailure] = []
        self._new = asyncio.Event()

    def tell(self, failure: TaskFailure) -> None:
        self.told.append(failure)
        self._new.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(BOUND_SECONDS):
            while len(self.told) < count:
                self._new.clear()
                await self._new.wait()


@pytest.fixture
def failures() -> Failures:
    return Failures()


@pytest.fixture
async def background(failures: Failures) -> AsyncIterator[Background]:
    owner = Background(failures.tell, timings=AT_ONCE)
    yield owner
    await owner.close()


async def until_done(event: asyncio.Event) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        await event.wait()


@pytest.mark.parametrize("error", [ValueError("odd"), asyncio.CancelledError(), TimeoutError()])
async def test_work_that_fails_is_told_by_name_and_starts_again(
    background: Background, failures: Failures, error: BaseException
) -> None:
    runs = 0
    is_well = asyncio.Event()

    async def work(progress: Progress) -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise error
        progress()
        is_well.set()
        await NEVER().wait()

    task = background.start("janitor", work)
    await until_done(is_well)

    assert [(failure.task, failure.error) for failure in failures.told] == [("janitor", error)] * 2
    assert (task.failures, task.is_failing) == (2, False)


async def test_each_restart_waits_longer_than_the_one_before(failures: Failures) -> None:
    background = Background(failures.tell, timings=RestartTimings(first_pause=0.001, longest_pause=0.004))

    async def work(_progress: Progress) -> None:
        raise ValueError

    background.start("janitor", work)
    await failures.until(5)
    await background.close()

    assert [failure.pause_seconds for failure in failures.told[:5]] == [0.001, 0.002, 0.004, 0.004, 0.004]


async def test_work_that_is_done_is_not_begun_again(background: Background, failures: Failures) -> None:
    runs = 0

    async def work(_progress: Progress) -> None:
        nonlocal runs
        runs += 1

    task = background.start("probe", work)
    for _ in range(10):
        await asyncio.sleep(0)

    assert (runs, task.is_failing, task.is_stopped, failures.told) == (1, False, False, [])


async def test_a_failing_task_is_failing_until_it_shows_progress(background: Background, failures: Failures) -> None:
    may_progress = asyncio.Event()
    has_progressed = asyncio.Event()

    async def work(progress: Progress) -> None:
        if not failures.told:
            raise ValueError
        await may_progress.wait()
        progress()
        has_progressed.set()
        await NEVER().wait()

    task = background.start("janitor", work)
    await failures.until(1)
    assert task.is_failing

    may_progress.set()
    await until_done(has_progressed)
    assert not task.is_failing


async def test_a_vital_task_that_ends_by_itself_is_stopped(background: Background) -> None:
    async def work(_progress: Progress) -> None:
        return

    task = background.start("heartbeat", work, is_vital=True)
    await asyncio.sleep(0.001)

    assert task.is_stopped


async def test_a_failure_that_cannot_be_told_does_not_end_the_task() -> None:
    def cannot_tell(_failure: TaskFailure) -> None:
        raise OSError("no space left on device")

    runs = 0
    is_well = asyncio.Event()

    async def work(_progress: Progress) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise ValueError
        is_well.set()
        await NEVER().wait()

    background = Background(cannot_tell, timings=AT_ONCE)
    background.start("janitor", work)
    await until_done(is_well)
    await background.close()

    assert runs == 2


async def test_failures_are_counted_on_when_the_work_is_begun_anew(background: Background, failures: Failures) -> None:
    async def work(_progress: Progress) -> None:
        if not failures.told:
            raise ValueError

    background.start("probe", work)
    await failures.until(1)
    task = background.start("probe", work)

    assert task.failures == 1


@pytest.mark.parametrize(("is_vital", "is_stopped"), [(True, True), (False, False)])
async def test_a_vital_task_that_hangs_is_stopped(failures: Failures, is_vital: bool, is_stopped: bool) -> None:
    background = Background(failures.tell, timings=RestartTimings(silent=0.0))

    async def work(_progress: Progress) -> None:
        await NEVER().wait()

    task = background.start("heartbeat", work, is_vital=is_vital)
    await asyncio.sleep(0.001)

    assert task.is_stopped == is_stopped
    await background.close()


async def test_closing_ends_all_work_also_what_waits_for_its_restart(failures: Failures) -> None:
    background = Background(failures.tell, timings=RestartTimings(first_pause=10 * BOUND_SECONDS))

    async def failing(_progress: Progress) -> None:
        raise ValueError

    async def working(_progress: Progress) -> None:
        await NEVER().wait()

    background.start("failing", failing)
    background.start("working", working)
    await failures.until(1)

    async with asyncio.timeout(BOUND_SECONDS):
        await background.close()
