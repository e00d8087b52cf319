"""A28, A35, C9 and C11: what many requests at once may cost Airbyte, one another and this machine."""

import asyncio
import json
import random
from pathlib import Path

import pytest

from tests.faults.conftest import BUSY, HASTY, INVALID, UNREACHABLE, Front, front_of, said, theirs
from tests.faults.fault import Exchange, answer, answer_right, forever, hang, head_of, held
from tests.support import BOUND_SECONDS

JSON = "Content-Type: application/json"
GROWTH_MB = 64


async def test_a_breakdown_costs_airbyte_five_calls_then_one_in_each_pause(front: Front) -> None:
    """A28, C10: 50 requests a second for a minute."""
    front.airbyte.switch("jobs", answer(503), works=False)
    seen: set[str] = set()
    for number in range(3000):
        got = await front.jobs(limit=1 + number % 100)
        seen.add(f"{got.status_code} {got.text}")
        front.clock.advance(0.02)

    assert seen <= {f"{status} {json.dumps(body, separators=(',', ':'))}" for status, body in (UNREACHABLE, BUSY)}
    assert front.airbyte.count("jobs") <= 5 + 8
    front.airbyte.heal()
    front.clock.advance(60)
    assert [(await front.jobs()).status_code for _ in range(20)] == [200] * 20
    await front.assert_recovered()


@pytest.mark.parametrize("call", ["GET", "POST"])
async def test_an_open_breaker_answers_without_a_call_and_says_when_to_come_back(front: Front, call: str) -> None:
    front.airbyte.switch("jobs", answer(500), works=False)
    for _ in range(3):
        await front.jobs()
    front.airbyte.forget()

    got = await front.ask(call)

    assert said(got) == BUSY
    assert 1 <= int(got.headers["retry-after"]) <= 5
    assert front.airbyte.exchanges == 0
    assert not front.airbyte.jobs
    front.clock.advance(int(got.headers["retry-after"]))
    front.airbyte.heal()
    assert (await front.ask(call)).status_code == 200
    await front.assert_recovered()


async def test_occasional_5xx_reach_few_readers_and_load_airbyte_little_more(front: Front) -> None:
    """C11: one answer in ten is a 503, at random."""
    chance = random.Random(11)

    async def sometimes(exchange: Exchange) -> None:
        await (answer(503) if chance.random() < 0.1 else answer_right)(exchange)

    front.airbyte.switch("jobs", sometimes)
    statuses = []
    for number in range(100):
        statuses.append((await front.jobs(limit=1 + number)).status_code)
        front.clock.advance(1)

    assert statuses.count(200) >= 96
    assert front.airbyte.count("jobs") <= 100 + 10 + 10
    await front.assert_recovered()


async def test_a_slow_connection_of_one_client_does_not_keep_the_others_waiting(front: Front) -> None:
    """A35: many calls of one client hang, of different kinds; the other's are not held up by them."""
    other = await front.add_tenant("globex", theirs(2))
    release = asyncio.Event()
    front.airbyte.switch("jobs", held(release), when=lambda request: request.query("connectionId") == theirs(1))
    front.airbyte.switch("trigger", held(release), when=lambda request: theirs(1).encode() in request.body)
    hanging = [asyncio.create_task(front.jobs(limit=limit)) for limit in range(1, 9)]
    hanging.append(asyncio.create_task(front.trigger()))
    front.airbyte.on_request.clear()
    await front.airbyte.on_request.wait()

    for _ in range(20):
        assert (await front.jobs(other)).status_code == 200
    assert (await front.trigger(other)).status_code == 200

    assert not hanging[-1].done(), "the slow calls still hang"
    assert front.airbyte.count("jobs") <= 2 + 20 + 1 + 1
    release.set()
    statuses = {(await task).status_code for task in hanging}
    assert statuses <= {200, 503}
    await front.assert_recovered()


async def test_hanging_reads_do_not_keep_a_trigger_from_its_token(tmp_path: Path) -> None:
    """The token call has a socket of its own beside the permits of the bulkhead."""
    async with front_of(tmp_path) as front:
        tenants = [await front.add_tenant(f"client-{number}", theirs(number)) for number in (2, 3, 4)]
        release = asyncio.Event()
        front.airbyte.switch("jobs", held(release), when=lambda request: request.query("connectionId") != theirs(1))
        hanging = [asyncio.create_task(front.jobs(tenant)) for tenant in tenants]
        while front.airbyte.count("jobs") < 3 + 3:
            front.airbyte.on_request.clear()
            await front.airbyte.on_request.wait()
        front.clock.advance(1000)

        started = await front.trigger()

        assert (started.status_code, len(front.airbyte.jobs)) == (200, 1)
        release.set()
        await asyncio.gather(*hanging)
        await front.assert_recovered()


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_twenty_huge_answers_at_once_cost_little_memory(front: Front, encoding: str) -> None:
    """C9: bodies without end, plain and compressed by name."""
    tenants = [await front.add_tenant(f"client-{number}", theirs(number)) for number in range(2, 22)]
    head = head_of(200, JSON, "Content-Length: 1073741824", f"Content-Encoding: {encoding}")
    front.airbyte.switch("jobs", forever(head, b" " * 65536))
    resident_megabytes()
    before = resident_megabytes()

    async with asyncio.timeout(BOUND_SECONDS):
        answers = await asyncio.gather(*(front.jobs(tenant) for tenant in tenants))

    assert {answer.status_code for answer in answers} <= {INVALID[0], BUSY[0]}
    assert any(said(answer) == INVALID for answer in answers)
    assert resident_megabytes() - before < GROWTH_MB
    await front.assert_recovered()


def resident_megabytes() -> float:
    """The most this process ever held, since the last call; the kernel forgets the peak after it is read."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak / 1024


async def test_when_all_permits_hang_everybody_is_told_to_come_back(tmp_path: Path) -> None:
    async with front_of(tmp_path, deadlines=HASTY) as front:
        front.airbyte.switch("jobs", hang)

        answers = await asyncio.gather(*(front.jobs(limit=limit) for limit in range(1, 21)))

        assert {answer.status_code for answer in answers} <= {503, 504}
        await front.assert_recovered()
