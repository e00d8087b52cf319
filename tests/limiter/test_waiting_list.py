"""Tasks that wait for something scarce."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.limiter.waiting_list import WaitingList


class Scene:
    """Tasks that wait for a thing: who was served, who gave way, and whose thing went to the next."""

    def __init__(self, *, most: int = 100) -> None:
        self.waiting: WaitingList[str, str] = WaitingList(most=most)
        self.ends: list[tuple[str, bool]] = []
        self.passed_on: list[str] = []

    async def wait(self, owner: str, want: str) -> None:
        self.ends.append((owner, await self.waiting.wait(owner, want, pass_on=lambda: self.passed_on.append(owner))))

    @asynccontextmanager
    async def tasks(self, *waits: tuple[str, str]) -> AsyncIterator[list["asyncio.Task[None]"]]:
        async with asyncio.TaskGroup() as group:
            yield [group.create_task(self.wait(*each)) for each in waits]


async def test_who_may_be_served_goes_on_and_the_others_keep_waiting() -> None:
    scene = Scene()
    async with scene.tasks(("a", "x"), ("b", "y")):
        await asyncio.sleep(0)

        assert scene.waiting.serve(lambda _owner, want: want == "y") == ("b", "y")
        assert (scene.waiting.owners("x"), scene.waiting.count_of("b", "y")) == ({"a"}, 0)
        assert scene.waiting.serve() == ("a", "x")
        assert scene.waiting.serve() is None

    assert sorted(scene.ends) == [("a", True), ("b", True)]


async def test_the_newest_of_who_has_the_most_gives_way() -> None:
    scene = Scene(most=2)
    async with scene.tasks(("a", "x"), ("a", "x"), ("b", "x")):
        await asyncio.sleep(0)

        assert (scene.waiting.count_of("a", "x"), scene.waiting.count_of("b", "x")) == (1, 1)
        while scene.waiting.serve():
            pass

    assert sorted(scene.ends) == [("a", False), ("a", True), ("b", True)]


async def test_what_a_cancelled_task_was_just_served_is_passed_on() -> None:
    scene = Scene()
    async with scene.tasks(("a", "x"), ("b", "x")) as (served, waiting):
        await asyncio.sleep(0)
        scene.waiting.serve()
        served.cancel()
        waiting.cancel()

    assert scene.passed_on == ["a"]
    assert (len(scene.waiting), scene.ends) == (0, [])
