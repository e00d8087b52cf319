"""Work that one gateway does for all: at most one holder at a time, by the database's clock."""

import asyncio

from gateway.store import Store
from gateway.store.tables.leases import LeaseState

LONG = 3600.0


async def test_one_of_many_has_it(store: Store) -> None:
    taken = await asyncio.gather(*(store.leases.acquire("work", holder=f"g{n}", seconds=LONG) for n in range(10)))

    assert sum(taken) == 1
    assert (await store.leases.state("work")).holder == f"g{taken.index(True)}"


async def test_leases_of_other_names_are_others(store: Store) -> None:
    assert await store.leases.acquire("work", holder="a", seconds=LONG)
    assert await store.leases.acquire("other work", holder="b", seconds=LONG)


async def test_its_holder_may_take_it_again_and_nobody_else(store: Store) -> None:
    assert await store.leases.acquire("work", holder="a", seconds=LONG)

    assert await store.leases.acquire("work", holder="a", seconds=LONG)
    assert not await store.leases.acquire("work", holder="b", seconds=LONG)


async def test_whoever_asks_next_has_it_when_its_time_is_over(store: Store) -> None:
    assert await store.leases.acquire("work", holder="dead", seconds=0)

    assert (await store.leases.state("work")).holder is None
    assert await store.leases.acquire("work", holder="b", seconds=LONG)
    assert not await store.leases.complete("work", holder="dead", note="too late")
    assert await store.leases.state("work") == LeaseState("b", None, None)


async def test_done_work_is_noted_and_not_done_again_at_once(store: Store) -> None:
    await store.leases.acquire("work", holder="a", seconds=LONG)

    assert await store.leases.complete("work", holder="a", note="fresh")

    state = await store.leases.state("work")
    assert (state.holder, state.note) == (None, "fresh")
    assert state.done_seconds_ago is not None
    assert 0 <= state.done_seconds_ago < LONG
    assert not await store.leases.acquire("work", holder="b", seconds=LONG, unless_done_within=LONG)
    assert await store.leases.acquire("work", holder="b", seconds=LONG)


async def test_given_back_it_is_free_and_nothing_was_done(store: Store) -> None:
    await store.leases.acquire("work", holder="a", seconds=LONG)
    await store.leases.give_back("work", holder="b")
    assert (await store.leases.state("work")).holder == "a"

    await store.leases.give_back("work", holder="a")

    assert await store.leases.state("work") == LeaseState(None, None, None)


async def test_what_was_never_taken_is_nobodys(store: Store) -> None:
    assert await store.leases.state("work") == LeaseState(None, None, None)
