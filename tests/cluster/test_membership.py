"""How many gateways there are, which of them each is, and which of them leads."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.background import Background, BackgroundTask, Progress, Work
from gateway.cluster.membership import Membership
from gateway.cluster.timings import MembershipTimings
from gateway.errors import DatabaseRefused
from gateway.store import Store, create_database
from gateway.store.leadership import LeasedLeadership, SoleLeadership
from gateway.store.timings import StoreTimings
from gateway.telemetry.log import configure_log, log_task_failure
from tests.other_program import other_program
from tests.support import BOUND_SECONDS, HandClock, store_at

FASTEST_SENDING_SECONDS = 3.0
"""What connecting to Airbyte may take at most."""


TIMINGS = MembershipTimings()
LIVE = StoreTimings().live


def member_of(
    store: Store,
    *,
    is_alone: bool = False,
    clock: HandClock | None = None,
    background: Background | None = None,
    timings: MembershipTimings = TIMINGS,
) -> Membership:
    return Membership(
        store,
        monotonic=(clock or HandClock()).monotonic,
        background=background or Background(log_task_failure),
        is_alone=is_alone,
        timings=timings,
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    await create_database(tmp_path / "gateway.db")
    async with store_at(tmp_path / "gateway.db") as opened:
        yield opened


async def test_each_knows_how_many_there_are_and_takes_its_share(store: Store) -> None:
    members = [member_of(store, is_alone=False) for _ in range(3)]
    async with AsyncExitStack() as stack:
        for member in members:
            await stack.enter_async_context(member.joined())
        for member in members:
            await member.read_members()

        assert [member.count for member in members] == [3, 3, 3]
        assert [member.share(4) for member in members] == [2, 1, 1]
        assert [member.share(2) for member in members] == [1, 1, 0]

    assert await store.gateways.live() == []


async def test_who_has_not_joined_is_alone(store: Store) -> None:
    member = member_of(store, is_alone=True)

    assert (member.count, member.share(4)) == (1, 4)


async def test_one_that_bears_no_other_is_refused_beside_another(store: Store) -> None:
    async with member_of(store, is_alone=False).joined():
        with pytest.raises(DatabaseRefused, match=r"rate_limit\.backend"):
            async with member_of(store, is_alone=True).joined():
                pytest.fail("joined")


async def test_who_is_started_after_a_killed_one_says_that_it_waits(store: Store) -> None:
    told: list[str] = []
    waiting = member_of(store, is_alone=True, timings=MembershipTimings(room_wait=0.1, room_check=0.02))
    async with member_of(store, is_alone=True).joined():
        with pytest.raises(DatabaseRefused, match=r"rate_limit\.backend"):
            await waiting.require_room(tell=told.append)
    assert len(told) == 1
    assert "rate_limit.backend" in told[0]

    await waiting.require_room(tell=told.append)
    assert len(told) == 1


async def test_who_stood_still_is_not_sure_until_the_others_have_heard_of_him(store: Store, clock: HandClock) -> None:
    member = member_of(store, clock=clock)
    assert not member.is_sure
    async with member.joined():
        assert member.is_sure
        clock.advance(LIVE - FASTEST_SENDING_SECONDS)
        assert not member.is_sure
        await member.send_heartbeat()
        assert member.is_sure


class Heartbeats(Background):
    """Counts how often the heartbeats report progress."""

    def __init__(self) -> None:
        super().__init__(log_task_failure)
        self.count = 0

    def start(self, name: str, work: Work, *, is_vital: bool = False) -> BackgroundTask:
        async def counted(progress: Progress) -> None:
            def report() -> None:
                self.count += 1
                progress()

            await work(report)

        return super().start(name, counted, is_vital=is_vital)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_heartbeat_that_was_not_written_is_told_and_the_task_counts_as_running(tmp_path: Path) -> None:
    """Storage that refuses writes is every gateway's at once: no load balancer may lose them all for it."""
    location = tmp_path / "gateway.db"
    await create_database(location)
    heartbeats = Heartbeats()
    log = io.StringIO()
    configure_log(level="warning", style="json", stream=log)

    def failed() -> int:
        return log.getvalue().count("heartbeat_not_written")

    async with store_at(location, timings=StoreTimings(write_lock=0.05)) as store:
        timings = MembershipTimings(heartbeat=0.01)
        async with member_of(store, background=heartbeats, timings=timings).joined():
            await until(lambda: heartbeats.count > 0)
            with other_program(location) as other:
                other.keep_others_from_writing()
                await until(lambda: failed() > 0)
                before = heartbeats.count
                await until(lambda: heartbeats.count > before)
                assert failed() > 0


async def test_after_a_time_when_nobody_could_say_that_he_lives_nobody_is_dead(store: Store, clock: HandClock) -> None:
    member = member_of(store, clock=clock)
    async with member.joined():
        assert member.silence_seconds() == LIVE
        clock.advance(60)
        assert member.silence_seconds() == TIMINGS.outage
        await member.send_heartbeat()
        assert member.silence_seconds() == TIMINGS.outage
        clock.advance(TIMINGS.settling - 1)
        await member.send_heartbeat()
        assert member.silence_seconds() == TIMINGS.outage
        clock.advance(1)
        await member.send_heartbeat()
        assert member.silence_seconds() == LIVE


async def test_work_is_done_by_one_and_not_again_too_soon(store: Store) -> None:
    one, two = LeasedLeadership(store, "one"), LeasedLeadership(store, "two")

    assert await one.acquire("work", seconds=60)
    assert not await two.acquire("work", seconds=60)
    assert (await two.state("work")).holder == "one"
    await one.complete("work", "well")
    assert not await two.acquire("work", seconds=60, unless_done_within=60)
    assert (await two.state("work")).note == "well"
    assert await two.acquire("work", seconds=60)


async def test_a_gateway_alone_always_leads() -> None:
    leadership = SoleLeadership()

    assert await leadership.acquire("work", seconds=60, unless_done_within=60)
    await leadership.complete("work")
    assert await leadership.acquire("work", seconds=60, unless_done_within=60)
    assert (await leadership.state("work")).done_seconds_ago is None
