"""Slots of groups: who waits for whom, and who is refused. Nothing here takes time."""

import asyncio

import pytest

from gateway.auth.fair_share import MOST_GROUPS, MOST_GROUPS_OF_CLIENT, MOST_OF_GROUP, FairShare
from gateway.errors import Overloaded


class Visit:
    """One that wants the slot of a group, and holds it until it is told to leave."""

    def __init__(self, share: FairShare, group: str, member: str = "", *, client_id: int | None = None) -> None:
        self.holds = False
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(share, group, member, client_id))

    async def _visit(self, share: FairShare, group: str, member: str, client_id: int | None) -> None:
        async with share.slot(group, member, client_id=client_id):
            self.holds = True
            await self.leave.wait()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def end(visits: list[Visit]) -> None:
    for visit in visits:
        visit.leave.set()
    await asyncio.gather(*(visit.task for visit in visits), return_exceptions=True)


async def refused(share: FairShare, group: str, *, client_id: int | None = None) -> bool:
    visit = Visit(share, group, client_id=client_id)
    await settle()
    if not visit.task.done():
        visit.task.cancel()
        await settle()
        return False
    with pytest.raises(Overloaded) as refusal:
        visit.task.result()
    assert refusal.value.retry_after >= 1
    return True


async def test_one_of_a_group_holds_its_slot_and_other_groups_do_not_wait_for_it() -> None:
    share = FairShare(busy_retry=2)
    first, second, other = visits = [Visit(share, group) for group in ("a", "a", "b")]
    await settle()
    assert [visit.holds for visit in visits] == [True, False, True]

    first.leave.set()
    await settle()

    assert second.holds
    await end(visits)
    assert other.task.done()


async def test_a_group_that_waits_in_great_number_refuses_its_own_only() -> None:
    share = FairShare(busy_retry=2)
    visits = [Visit(share, "a") for _ in range(MOST_OF_GROUP)]
    await settle()

    assert await refused(share, "a")
    assert not await refused(share, "b")
    await end(visits)
    assert not await refused(share, "a")


async def test_members_of_a_group_take_turns_and_the_one_with_the_most_gives_way() -> None:
    share = FairShare(busy_retry=2)
    flood = [Visit(share, "a", "ann") for _ in range(MOST_OF_GROUP)]
    await settle()

    other = Visit(share, "a", "bob")
    await settle()
    assert [visit.task.done() for visit in flood] == [False] * (MOST_OF_GROUP - 1) + [True]

    for visit in flood[:2]:
        visit.leave.set()
        await settle()
    assert other.holds
    await end([*flood, other])


async def test_of_too_many_groups_the_next_is_refused_and_those_that_wait_may_bring_another() -> None:
    share = FairShare(busy_retry=2)
    visits = [Visit(share, str(number)) for number in range(MOST_GROUPS)]
    await settle()

    assert await refused(share, "late")
    assert not await refused(share, "0")
    await end(visits)
    assert not await refused(share, "late")


async def test_a_client_with_many_groups_has_half_of_the_slots() -> None:
    share = FairShare(busy_retry=2)
    visits = [Visit(share, str(number), client_id=1) for number in range(MOST_GROUPS_OF_CLIENT)]
    await settle()

    assert await refused(share, "late", client_id=1)
    assert not await refused(share, "0", client_id=1)
    assert not await refused(share, "late", client_id=2)
    await end(visits)
    assert share.groups_of(1) == 0
    assert not await refused(share, "late", client_id=1)


@pytest.mark.parametrize("which", [0, -1], ids=["holds", "waits"])
async def test_who_gives_up_makes_room(which: int) -> None:
    share = FairShare(busy_retry=2)
    visits = [Visit(share, "a") for _ in range(MOST_OF_GROUP)]
    await settle()

    visits.pop(which).task.cancel()
    await settle()

    assert not await refused(share, "a")
    await end(visits)
