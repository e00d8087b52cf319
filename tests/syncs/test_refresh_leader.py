"""Which of several gateways refreshes the last syncs, and what the others learn of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.store import Store, create_database
from gateway.store.leadership import Leadership, LeasedLeadership, SoleLeadership
from gateway.store.tables.leases import LeaseState
from gateway.syncs.refresh_leader import LAST_SYNCS, RefreshLeader
from gateway.syncs.timings import LastSyncTimings
from tests.support import BOUND_SECONDS, store_at

LONG_SECONDS = 3600.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    await create_database(tmp_path / "gateway.db")
    async with store_at(tmp_path / "gateway.db") as opened:
        yield opened


class WatchedLeadership(LeasedLeadership):
    """Tells when it was asked who leads: whoever follows does."""

    def __init__(self, store: Store, holder: str) -> None:
        super().__init__(store, holder)
        self.is_followed = asyncio.Event()

    async def state(self, work: str) -> LeaseState:
        state = await super().state(work)
        self.is_followed.set()
        return state


def gateway(store: Store, name: str) -> RefreshLeader:
    return gateway_with(LeasedLeadership(store, name))


def gateway_with(leadership: Leadership) -> RefreshLeader:
    return RefreshLeader(leadership, timings=LastSyncTimings(lease=LONG_SECONDS, poll_interval=0.001))


async def test_the_first_one_leads_and_the_others_wait_for_its_end(store: Store) -> None:
    first, leadership = gateway(store, "first"), WatchedLeadership(store, "second")
    assert await first.lead_or_follow(LONG_SECONDS) is None
    following = asyncio.create_task(gateway_with(leadership).lead_or_follow(LONG_SECONDS))

    async with asyncio.timeout(BOUND_SECONDS):
        await leadership.is_followed.wait()
        await first.publish(is_fresh=True)
        refreshed = await following

    assert refreshed is not None
    assert refreshed.is_fresh
    assert 0 <= refreshed.seconds_ago < LONG_SECONDS


async def test_a_refresh_that_failed_is_told_as_such_and_not_tried_again_at_once(store: Store) -> None:
    first, second = gateway(store, "first"), gateway(store, "second")
    await first.lead_or_follow(LONG_SECONDS)
    await first.publish(is_fresh=False)

    refreshed = await second.lead_or_follow(LONG_SECONDS)

    assert refreshed is not None
    assert not refreshed.is_fresh


async def test_the_workspaces_that_airbyte_did_not_tell_of_are_told_to_the_others(store: Store) -> None:
    first, second = gateway(store, "first"), gateway(store, "second")
    await first.lead_or_follow(LONG_SECONDS)
    await first.publish(is_fresh=True, unread={"w1", "w2"})

    refreshed = await second.lead_or_follow(LONG_SECONDS)

    assert refreshed is not None
    assert (refreshed.is_fresh, refreshed.unread) == (True, frozenset({"w1", "w2"}))


async def test_when_the_last_refresh_is_too_old_the_next_gateway_leads(store: Store) -> None:
    first, second = gateway(store, "first"), gateway(store, "second")
    await first.lead_or_follow(LONG_SECONDS)
    await first.publish(is_fresh=True)

    assert await second.lead_or_follow(0.0) is None


async def test_when_the_leader_is_gone_one_that_waited_leads(store: Store) -> None:
    await gateway(store, "killed").lead_or_follow(LONG_SECONDS)
    leadership = WatchedLeadership(store, "second")
    following = asyncio.create_task(gateway_with(leadership).lead_or_follow(LONG_SECONDS))

    async with asyncio.timeout(BOUND_SECONDS):
        await leadership.is_followed.wait()
        await store.leases.give_back(LAST_SYNCS, holder="killed")

        assert await following is None


async def test_a_gateway_alone_always_leads() -> None:
    leader = gateway_with(SoleLeadership())

    for _ in range(2):
        assert await leader.lead_or_follow(LONG_SECONDS) is None
        await leader.publish(is_fresh=True)
