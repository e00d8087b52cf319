"""Who reads next, when more reads wait than there are connections for."""

import asyncio
from collections.abc import Hashable
from contextvars import copy_context
from pathlib import Path

import pytest

from gateway.errors import StorageUnavailable
from gateway.limiter.waiting_list import WaitingList
from gateway.store import create_database
from gateway.store.read_slots import ReadSlots, reading_for
from gateway.store.sqlite.database import READS_IN_HAND, SqliteDatabase
from gateway.store.timings import StoreTimings
from tests.support import BOUND_SECONDS

ACME = 1


async def until_waiting(queue: WaitingList[Hashable, None], number: int) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while len(queue) != number:
            await asyncio.sleep(0)


def read_for(owner: int | None, slots: ReadSlots, order: list[int | None]) -> asyncio.Task[None]:
    """Begin a read for somebody; it ends at once, when it may begin."""

    async def read() -> None:
        reading_for.set(owner)
        await slots.take()
        order.append(owner)
        slots.give_back()

    return asyncio.get_running_loop().create_task(read(), context=copy_context())


async def test_readers_take_turns_however_many_pages_one_of_them_has_opened() -> None:
    queue: WaitingList[Hashable, None] = WaitingList()
    slots = ReadSlots(1, queue)
    order: list[int | None] = []
    await slots.take()
    pages = [read_for(ACME, slots, order) for _ in range(100)]
    await until_waiting(queue, 100)
    api = [read_for(None, slots, order) for _ in range(2)]
    await until_waiting(queue, 102)
    slots.give_back()
    await asyncio.gather(*pages, *api)

    assert order[:4] == [ACME, None, ACME, None]
    assert len(order) == 102


async def test_a_read_that_is_given_up_while_it_waits_takes_no_slot() -> None:
    queue: WaitingList[Hashable, None] = WaitingList()
    slots = ReadSlots(1, queue)
    await slots.take()
    waiting = [read_for(each, slots, []) for each in (ACME, None)]
    await until_waiting(queue, 2)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    slots.give_back()

    async with asyncio.timeout(BOUND_SECONDS):
        await slots.take()


@pytest.mark.parametrize("has_queue", [True, False], ids=["serving", "command"])
async def test_reads_that_fail_or_come_too_late_leave_the_slots_to_others(tmp_path: Path, *, has_queue: bool) -> None:
    await create_database(tmp_path / "gateway.db")
    queue: WaitingList[Hashable, None] | None = WaitingList() if has_queue else None
    database = SqliteDatabase(tmp_path / "gateway.db", timings=StoreTimings(write_lock=BOUND_SECONDS), read_queue=queue)
    await database.open()
    try:
        for _ in range(READS_IN_HAND + 1):
            with pytest.raises(StorageUnavailable):
                await database.fetch_all("SELECT nothing FROM nowhere")
        rows = await asyncio.gather(*(database.fetch_all("SELECT 1 AS one") for _ in range(20)))
    finally:
        await database.close()

    assert [each[0]["one"] for each in rows] == [1] * 20
