"""Which workspaces Airbyte refuses is found by halving, and costs the others nothing."""

import asyncio
from collections.abc import Callable, Container

import pytest

from gateway.errors import (
    StorageUnavailable,
    UpstreamBusy,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.syncs.timings import BackoffTimings, WorkspaceTimings
from gateway.syncs.workspace_lists import Reading, WorkspaceLists
from tests.support import BOUND_SECONDS, HandClock

ALL = [f"w{number:03}" for number in range(100)]
TIMINGS = WorkspaceTimings(search=20.0, backoff=BackoffTimings(first=10.0, longest=40.0))


class ManyWorkspaces:
    """Airbyte as far as it refuses lists."""

    def __init__(
        self,
        refused: Container[str],
        error: Callable[[], UpstreamError] = lambda: UpstreamRefused(403, ""),
        *,
        takes: Callable[[], None] = lambda: None,
    ) -> None:
        """`takes` passes the time of a call that fails."""
        self.refused = refused
        self.error = error
        self.takes = takes
        self.failed_calls = 0
        self.calls: list[list[str]] = []

    async def ask(self, workspaces: list[str]) -> None:
        self.calls.append(workspaces)
        if any(workspace in self.refused for workspace in workspaces):
            self.failed_calls += 1
            self.takes()
            raise self.error()


async def asked(lists: WorkspaceLists, airbyte: ManyWorkspaces, workspaces: list[str] = ALL) -> Reading:
    """What one refresh asks for: all that is told of, and then some of what was not."""
    airbyte.calls.clear()
    reading = await lists.read(workspaces, airbyte.ask)
    retried = await lists.retry(airbyte.ask)
    return Reading(reading.read | retried.read, reading.refused, reading.failure)


async def test_one_refused_workspace_is_found_and_all_others_are_read(clock: HandClock) -> None:
    airbyte = ManyWorkspaces({"w042"})
    lists = WorkspaceLists(clock, TIMINGS, at_once=1)

    reading = await asked(lists, airbyte)

    assert reading == Reading(frozenset(ALL) - {"w042"}, frozenset({"w042"}), None)
    assert lists.is_refused("w042")
    assert len(airbyte.calls) <= 15


async def test_a_refused_workspace_is_passed_over_then_asked_alone_with_growing_pauses(clock: HandClock) -> None:
    airbyte = ManyWorkspaces({"w042"})
    lists = WorkspaceLists(clock, TIMINGS, at_once=1)
    await asked(lists, airbyte)
    retried_after = []

    for second in range(1, 120):
        clock.advance(1)
        await asked(lists, airbyte)
        assert airbyte.calls[0] == [each for each in ALL if each != "w042"]
        if airbyte.calls[1:] == [["w042"]]:
            retried_after.append(second)

    assert retried_after == [10, 30, 70, 110]


async def test_a_workspace_that_may_be_read_again_is_one_of_all(clock: HandClock) -> None:
    airbyte = ManyWorkspaces({"w042"})
    lists = WorkspaceLists(clock, TIMINGS, at_once=1)
    await asked(lists, airbyte)
    airbyte.refused = set()
    clock.advance(10)

    assert (await asked(lists, airbyte)).read == frozenset(ALL)
    assert not lists.is_refused("w042")
    await asked(lists, airbyte)
    assert airbyte.calls == [ALL]


async def test_an_airbyte_that_refuses_everything_is_taken_to_fail_as_a_whole(clock: HandClock) -> None:
    airbyte = ManyWorkspaces(ALL)
    lists = WorkspaceLists(clock, TIMINGS, at_once=1)

    first = await asked(lists, airbyte)
    assert isinstance(first.failure, UpstreamRefused)
    assert not any(map(lists.is_refused, ALL))
    assert isinstance((await asked(lists, airbyte)).failure, UpstreamRefused)
    assert airbyte.calls == [ALL]

    airbyte.refused = set()
    assert await asked(lists, airbyte) == Reading(frozenset(ALL), frozenset(), None)


@pytest.mark.parametrize("error", [UpstreamTimeout, UpstreamUnreachable, UpstreamInvalid])
async def test_a_list_that_fails_by_one_workspace_is_halved_like_a_refused_one(
    clock: HandClock, error: Callable[[], UpstreamError]
) -> None:
    airbyte = ManyWorkspaces({"w042"}, error)
    more = [*ALL, "x"]

    reading = await asked(WorkspaceLists(clock, TIMINGS, at_once=1), airbyte, more)

    assert reading == Reading(frozenset(more) - {"w042"}, frozenset({"w042"}), None)
    assert airbyte.calls[:2] == [ALL, ["x"]]


async def test_lists_that_take_long_to_fail_are_halved_no_further_and_their_workspaces_are_returned_to(
    clock: HandClock,
) -> None:
    airbyte = ManyWorkspaces({"w042"}, UpstreamTimeout, takes=lambda: clock.advance(15))
    lists = WorkspaceLists(clock, TIMINGS, at_once=1)

    first = await asked(lists, airbyte)
    assert first == Reading(frozenset(ALL[50:]), frozenset(ALL[:50]), None)
    assert airbyte.calls == [ALL, ALL[:50], ALL[50:]]

    airbyte.failed_calls = 0
    for _ in range(6):
        clock.advance(10)
        await asked(lists, airbyte)
    assert lists.refused == {"w042"}
    assert airbyte.failed_calls <= 3


async def test_workspaces_that_hang_again_keep_other_work_waiting_for_two_of_them_at_most(clock: HandClock) -> None:
    hanging = ALL[:30]
    airbyte = ManyWorkspaces(hanging)
    lists = WorkspaceLists(clock, TIMINGS, at_once=1)
    await asked(lists, airbyte)
    airbyte.error, airbyte.takes = UpstreamTimeout, lambda: clock.advance(15)
    clock.advance(10)
    airbyte.calls.clear()

    await lists.retry(airbyte.ask)
    assert len(airbyte.calls) == 2
    await lists.retry(airbyte.ask)
    assert len({workspace for (workspace,) in airbyte.calls}) == 4


async def test_a_list_that_was_not_sent_at_all_is_not_halved(clock: HandClock) -> None:
    airbyte = ManyWorkspaces({"w042"}, unreached)
    lists = WorkspaceLists(clock, TIMINGS, at_once=1)

    reading = await asked(lists, airbyte)

    assert isinstance(reading.failure, UpstreamUnreachable)
    assert airbyte.calls == [ALL]
    assert not lists.refused


def unreached() -> UpstreamError:
    error = UpstreamUnreachable()
    error.reached = False
    return error


async def test_a_busy_airbyte_is_not_asked_further(clock: HandClock) -> None:
    airbyte = ManyWorkspaces({"w000"}, UpstreamBusy)

    reading = await asked(WorkspaceLists(clock, TIMINGS, at_once=1), airbyte, [*ALL, "x"])

    assert isinstance(reading.failure, UpstreamBusy)
    assert airbyte.calls == [ALL]


async def test_some_lists_are_asked_for_at_once_and_no_more_than_that(clock: HandClock) -> None:
    under_way, most = 0, 0
    together, release = asyncio.Event(), asyncio.Event()

    async def ask(workspaces: list[str]) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == 3:
            together.set()
        await release.wait()
        under_way -= 1

    many = [f"w{number:04}" for number in range(1000)]
    reading = asyncio.create_task(WorkspaceLists(clock, TIMINGS, at_once=3).read(many, ask))
    async with asyncio.timeout(BOUND_SECONDS):
        await together.wait()
        release.set()
        told = await reading

    assert (told.read, most) == (frozenset(many), 3)


async def test_an_error_that_is_not_airbyte_s_is_told_when_no_call_is_under_way_any_more(clock: HandClock) -> None:
    failed, ended = asyncio.Event(), []

    async def ask(workspaces: list[str]) -> None:
        if workspaces[0] == "w0000":
            failed.set()
            raise StorageUnavailable
        await failed.wait()
        await asyncio.sleep(0)
        ended.append(workspaces[0])

    with pytest.raises(StorageUnavailable):
        await WorkspaceLists(clock, TIMINGS, at_once=2).read([f"w{number:04}" for number in range(200)], ask)

    assert ended == ["w0100"]
