"""A client whose callers wait for a slow Airbyte costs the others nothing, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.airbyte import Deadlines
from gateway.errors import CallerLeft
from gateway.syncs.waiting import MOST_CALLERS
from tests.faults.callers import UNENDING, Callers, jobs_of, served, statuses, trigger_of, until_waiting
from tests.faults.conftest import Front, Tenant, front_of, theirs
from tests.faults.fault import Exchange, Received, answer_right, held
from tests.support import BOUND_SECONDS, NEVER_OURS

A, B, C = theirs(1), theirs(2), theirs(3)
LEFT_OUT = 40


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with front_of(tmp_path, deadlines=UNENDING) as running:
        yield running


async def until_asked(front: Front) -> None:
    """Wait until Airbyte has been asked for a job list."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not front.airbyte.count("jobs"):
            await asyncio.sleep(0.01)


async def until_answered(front: Front, tenant: Tenant) -> None:
    """Read until there is an answer: the deadlines are short, and the machine may stand still for as long."""
    async with asyncio.timeout(BOUND_SECONDS):
        while (await front.jobs(tenant)).status_code != 200:
            front.clock.advance(60)


def is_of_a(request: Received) -> bool:
    return request.query("connectionId") == A or A.encode() in request.body


async def of_b(front: Front, callers: Callers) -> list[int]:
    """What B's read and trigger are answered; B is a new tenant."""
    tenant = await front.add_tenant("globex", B)
    return await statuses(await callers.calls(jobs_of(tenant), trigger_of(tenant)))


@pytest.mark.parametrize("number", [130, 165])
async def test_many_callers_of_one_slow_trigger_keep_no_other_client_from_an_answer(front: Front, number: int) -> None:
    release = asyncio.Event()
    front.airbyte.switch("trigger", held(release), when=is_of_a)
    async with served(front) as callers:
        waiting = await callers.calls(*[trigger_of(front.tenant)] * number)
        await until_waiting(front, number)

        assert await of_b(front, callers) == [200, 200]

        release.set()
        assert await statuses(waiting) == [200] * number
    assert front.airbyte.count("trigger") == 1 + 1


async def test_when_too_many_wait_it_is_the_client_with_the_most_that_is_refused_or_told_that_a_sync_may_have_begun(
    front: Front,
) -> None:
    release = asyncio.Event()
    front.airbyte.switch("trigger", held(release), when=is_of_a)
    async with served(front) as callers:
        waiting = await callers.calls(*[trigger_of(front.tenant)] * (MOST_CALLERS + LEFT_OUT))
        await until_waiting(front, MOST_CALLERS)

        assert await of_b(front, callers) == [200, 200]

        release.set()
        answers = await statuses(waiting)
    assert set(answers) == {200, 503, 504}
    assert answers.count(503) == LEFT_OUT
    assert answers.count(504) <= 2  # for B's two


@pytest.mark.parametrize("are_closed", [False, True], ids=["waiting", "closed"])
async def test_many_callers_of_one_slow_read_keep_no_other_client_from_an_answer(
    front: Front, *, are_closed: bool
) -> None:
    release = asyncio.Event()
    front.airbyte.switch("jobs", held(release), when=is_of_a)
    async with served(front) as callers:
        waiting = await callers.calls(*[jobs_of(front.tenant)] * 128)
        await until_waiting(front, 128)
        await until_asked(front)
        if are_closed:
            await asyncio.gather(*(caller.leave() for caller in waiting))
            await until_waiting(front, 0)

        assert await of_b(front, callers) == [200, 200]

        release.set()
        assert are_closed or await statuses(waiting) == [200] * 128


async def test_permits_go_round_the_clients_however_many_keys_and_lists_one_of_them_asks_with(
    tmp_path: Path,
) -> None:
    tokens = asyncio.Semaphore(0)
    order: list[str] = []

    async def in_turn(exchange: Exchange) -> None:
        order.append(exchange.request.query("connectionId"))
        await tokens.acquire()
        await answer_right(exchange)

    async with front_of(tmp_path, deadlines=UNENDING, max_in_flight=5) as front, served(front) as callers:
        b, c = await front.add_tenant("globex", B), await front.add_tenant("initech", C)
        keys = [
            front.tenant.key,
            *(
                [
                    await front.services.keys.create("acme", name=f"{number}", scope="full", expires=None, rate=None)
                    for number in range(19)
                ]
            ),
        ]
        for tenant in (front.tenant, b, c):  # from then on nothing but Airbyte is waited for
            await front.jobs(tenant)
        front.airbyte.switch("jobs", in_turn)
        waiting = await callers.calls(
            *(jobs_of(front.tenant, limit=limit, key=key) for limit, key in enumerate(keys, 1))
        )
        await until_waiting(front, 20)
        for tenant in (b, c):
            waiting += await callers.calls(*(jobs_of(tenant, limit=limit) for limit in (1, 2, 3)))
        await until_waiting(front, 26)
        for number in range(26):
            async with asyncio.timeout(BOUND_SECONDS):
                while len(order) <= number:
                    await asyncio.sleep(0.001)
            tokens.release()
        answers = await statuses(waiting)

    assert answers == [200] * 26
    # A's first two and B's first found permits free. From then on the clients take turns.
    names = "".join("ABC"[(A, B, C).index(each)] for each in order)
    assert names == "AAB" + "ABC" * 2 + "AC" + "A" * 15


async def test_a_caller_who_ends_his_own_side_is_taken_to_have_left_while_airbyte_is_waited_for(
    front: Front,
) -> None:
    """A closed socket looks the same. What needs no wait is answered to him (RFC 9112 §9.6)."""
    release = asyncio.Event()
    front.airbyte.switch("jobs", held(release), when=is_of_a)
    async with served(front) as callers:
        waiting = await callers.call(jobs_of(front.tenant))
        await until_asked(front)
        waiting.writer.write_eof()
        await until_waiting(front, 0)
        assert await waiting.status() == CallerLeft.status

        unknown = await callers.call(jobs_of(Tenant(front.tenant.key, NEVER_OURS, A)))
        unknown.writer.write_eof()
        assert await unknown.status() == 404
        release.set()


async def test_what_a_waiting_caller_sends_ahead_is_neither_his_leaving_nor_lost(front: Front) -> None:
    release = asyncio.Event()
    front.airbyte.switch("jobs", held(release), when=is_of_a)
    async with served(front) as callers:
        caller = await callers.call(jobs_of(front.tenant))
        await until_waiting(front, 1)
        caller.writer.write(trigger_of(front.tenant) + jobs_of(front.tenant, limit=7))
        assert await of_b(front, callers) == [200, 200]
        assert len(front.services.syncs.waiting) == 1
        assert front.airbyte.count("trigger") == 1  # B's

        release.set()
        assert [await caller.status() for _ in range(3)] == [200, 200, 200]


async def test_a_caller_who_sends_ahead_and_leaves_keeps_his_waiting_place_until_his_answer_and_no_other_client_s(
    front: Front,
) -> None:
    """His socket is not read from meanwhile, which bounds what he may send ahead: nothing tells that it is closed."""
    release = asyncio.Event()
    front.airbyte.switch("jobs", held(release), when=is_of_a)
    async with served(front) as callers:
        waiting = await callers.calls(*[jobs_of(front.tenant) + jobs_of(front.tenant)] * 130)
        await until_waiting(front, 130)
        await asyncio.gather(*(caller.leave() for caller in waiting))

        assert await of_b(front, callers) == [200, 200]
        assert len(front.services.syncs.waiting) == 130

        release.set()
        await until_waiting(front, 0)


@pytest.mark.parametrize("sends_body", [True, False])
async def test_a_waiting_caller_who_expects_to_be_told_to_continue_is_told_and_answered(
    front: Front, *, sends_body: bool
) -> None:
    release = asyncio.Event()
    front.airbyte.switch("jobs", held(release), when=is_of_a)
    async with served(front) as callers:
        caller = await callers.call(jobs_of(front.tenant, "Expect: 100-continue", "Content-Length: 2"))
        await until_waiting(front, 1)
        assert await caller.status() == 100
        if sends_body:
            caller.writer.write(b"{}")
        assert await of_b(front, callers) == [200, 200]
        assert len(front.services.syncs.waiting) == 1

        release.set()
        assert await caller.status() == 200


async def test_a_read_that_was_given_up_holds_its_client_s_permit_until_airbyte_is_done_with_it(tmp_path: Path) -> None:
    """Its thread at Airbyte is busy until then: a client could otherwise have one after the other, and so all."""
    release = asyncio.Event()
    async with front_of(tmp_path, deadlines=Deadlines(read=2.5, permit=0.5)) as front:
        other = await front.add_tenant("globex", B)
        front.airbyte.switch("jobs", held(release), when=is_of_a)
        first = await asyncio.gather(*(front.jobs(limit=limit) for limit in (1, 2)))
        front.clock.advance(60)  # the breakers let a read try again

        later = await front.jobs(limit=3)

        assert [answer.status_code for answer in (*first, later)] == [504, 504, 503]
        await until_answered(front, other)
        assert front.services.airbyte.in_flight == 2
        release.set()
        await front.assert_recovered()


@pytest.mark.parametrize("route", ["jobs", "trigger"], ids=["look", "trigger"])
async def test_what_triggers_gave_up_counts_in_their_client_s_share_and_takes_no_permit(
    tmp_path: Path, route: str
) -> None:
    """It keeps one of Airbyte's threads busy beside the trigger's own: one after the other could have all of them."""
    release = asyncio.Event()
    # Longer than a busy machine stands still: what is given up must have been sent by then.
    hasty = Deadlines(reconcile=2.5, permit=0.5) if route == "jobs" else Deadlines(trigger=2.5, permit=0.5)
    async with front_of(tmp_path, deadlines=hasty) as front:
        other = await front.add_tenant("globex", B)
        front.airbyte.switch(route, held(release), when=is_of_a)

        started = []
        for _ in range(3):
            started.append((await front.trigger()).status_code)
            front.airbyte.finish_jobs()
            assert front.services.airbyte.in_flight == 0

        assert started == [200, 200, 503]
        assert sum(is_of_a(each) for each in front.airbyte.requests if each.route == route) == 2
        assert (await front.trigger(other)).status_code == 200
        assert (await front.jobs(other)).status_code == 200
        release.set()
        async with asyncio.timeout(BOUND_SECONDS):
            while (await front.trigger()).status_code != 200:
                front.clock.advance(60)
        await front.assert_recovered()
