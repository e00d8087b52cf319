"""Which workspaces Airbyte refuses is found by halving, and costs the others nothing."""

from collections.abc import Callable, Container

from gateway.errors import UpstreamBusy, UpstreamError, UpstreamRefused, UpstreamTimeout
from gateway.syncs.timings import BackoffTimings
from gateway.syncs.workspace_lists import Reading, WorkspaceLists
from tests.support import HandClock

ALL = [f"w{number:03}" for number in range(100)]
TIMINGS = BackoffTimings(first=10.0, longest=40.0)


class ManyWorkspaces:
    """Airbyte as far as it refuses lists."""

    def __init__(
        self, refused: Container[str], error: Callable[[], UpstreamError] = lambda: UpstreamRefused(403, "")
    ) -> None:
        self.refused = refused
        self.error = error
        self.calls: list[list[str]] = []

    async def ask(self, workspaces: list[str]) -> None:
        self.calls.append(workspaces)
        if any(workspace in self.refused for workspace in workspaces):
            raise self.error()


async def asked(lists: WorkspaceLists, airbyte: ManyWorkspaces, workspaces: list[str] = ALL) -> Reading:
    airbyte.calls.clear()
    return await lists.read(workspaces, airbyte.ask)


async def test_one_refused_workspace_is_found_and_all_others_are_read(clock: HandClock) -> None:
    airbyte = ManyWorkspaces({"w042"})
    lists = WorkspaceLists(clock, TIMINGS)

    reading = await asked(lists, airbyte)

    assert reading == Reading(frozenset(ALL) - {"w042"}, frozenset({"w042"}), None)
    assert lists.is_refused("w042")
    assert len(airbyte.calls) <= 15


async def test_a_refused_workspace_is_passed_over_then_asked_alone_with_growing_pauses(clock: HandClock) -> None:
    airbyte = ManyWorkspaces({"w042"})
    lists = WorkspaceLists(clock, TIMINGS)
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
    lists = WorkspaceLists(clock, TIMINGS)
    await asked(lists, airbyte)
    airbyte.refused = set()
    clock.advance(10)

    assert (await asked(lists, airbyte)).read == frozenset(ALL)
    assert not lists.is_refused("w042")
    await asked(lists, airbyte)
    assert airbyte.calls == [ALL]


async def test_an_airbyte_that_refuses_everything_is_taken_to_fail_as_a_whole(clock: HandClock) -> None:
    airbyte = ManyWorkspaces(ALL)
    lists = WorkspaceLists(clock, TIMINGS)

    first = await asked(lists, airbyte)
    assert isinstance(first.failure, UpstreamRefused)
    assert not any(map(lists.is_refused, ALL))
    assert isinstance((await asked(lists, airbyte)).failure, UpstreamRefused)
    assert airbyte.calls == [ALL]

    airbyte.refused = set()
    assert await asked(lists, airbyte) == Reading(frozenset(ALL), frozenset(), None)


async def test_a_list_that_fails_otherwise_holds_up_no_other_list(clock: HandClock) -> None:
    airbyte = ManyWorkspaces({"w000"}, UpstreamTimeout)
    more = [*ALL, "x"]

    reading = await asked(WorkspaceLists(clock, TIMINGS), airbyte, more)

    assert reading.read == {"x"}
    assert isinstance(reading.failure, UpstreamTimeout)
    assert airbyte.calls == [ALL, ["x"]]


async def test_a_busy_airbyte_is_not_asked_further(clock: HandClock) -> None:
    airbyte = ManyWorkspaces({"w000"}, UpstreamBusy)

    reading = await asked(WorkspaceLists(clock, TIMINGS), airbyte, [*ALL, "x"])

    assert isinstance(reading.failure, UpstreamBusy)
    assert airbyte.calls == [ALL]
