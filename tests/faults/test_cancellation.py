"""C3, C5, A34: requests given up at any moment and triggers cut at any byte leave nothing and start no twin.

CANCELLED sets how many requests are given up; `make soak` gives up ten thousand.
"""

import asyncio
import os
import random
from pathlib import Path

import pytest
import uvicorn

from gateway.web.server.listener import listen
from gateway.web.server.server import build_config
from tests.faults.conftest import UNKNOWN, Front, front_of, said, theirs
from tests.faults.fault import Exchange, answer_right, cut, held
from tests.support import BOUND_SECONDS, bearer

CANCELLED = int(os.environ.get("CANCELLED", "2000"))
AT_ONCE = 50


async def test_requests_cancelled_at_any_moment_leave_nothing_behind(front: Front) -> None:
    """C3: Airbyte takes up to 20 ms, callers leave after up to 30."""
    chance = random.Random(3)
    tenants = [front.tenant, *[await front.add_tenant(f"client-{number}", theirs(number)) for number in range(2, 9)]]

    async def slowly(exchange: Exchange) -> None:
        await asyncio.sleep(chance.random() * 0.02)
        await answer_right(exchange)

    async def leave(number: int) -> None:
        tenant = tenants[number % len(tenants)]
        request = front.trigger(tenant) if number % 10 == 0 else front.jobs(tenant, limit=1 + number % 100)
        task = asyncio.create_task(request)
        await asyncio.wait({task}, timeout=chance.random() * 0.03)
        task.cancel()
        await asyncio.wait({task})

    tasks_before = len(asyncio.all_tasks())
    front.airbyte.switch("jobs", slowly)
    front.airbyte.switch("trigger", slowly)
    for first in range(0, CANCELLED, AT_ONCE):
        await asyncio.gather(*(leave(number) for number in range(first, first + AT_ONCE)))
        front.clock.advance(1)
    front.airbyte.heal()
    front.airbyte.finish_jobs()
    await settled(front, tasks_before)

    answers = [await front.jobs(tenants[number % len(tenants)]) for number in range(100)]

    assert [answer.status_code for answer in answers] == [200] * 100
    assert front.services.airbyte.in_flight == 0
    assert len(front.airbyte.open_connections) <= 5
    await front.assert_recovered()


async def settled(front: Front, tasks: int) -> None:
    """Wait until no call is under way and no task is left but those there were and the server's own."""
    async with asyncio.timeout(BOUND_SECONDS):
        while front.services.airbyte.in_flight or len(asyncio.all_tasks()) > tasks + len(
            front.airbyte.open_connections
        ):
            await asyncio.sleep(0.01)


def length_of_trigger(front: Front) -> int:
    """In bytes, on whatever connection it came and whatever came after it."""
    (sent,) = (request for request in front.airbyte.requests if request.route == "trigger")
    (received,) = (each.received for each in front.airbyte.connections if sent in each.requests)
    head, blank, _ = received[received.rindex(b"POST ") :].partition(b"\r\n\r\n")
    return len(head + blank + sent.body)


async def test_a_trigger_cut_at_any_byte_of_the_request_is_sent_once(front: Front) -> None:
    """C5. Airbyte does the work only when the request is complete."""
    front.airbyte.token_answer["expires_in"] = 86_400
    front.clock.advance(1000)
    await front.trigger()
    front.airbyte.finish_jobs()
    for offset in range(1, length_of_trigger(front) + 1):
        front.clock.advance(60)
        front.airbyte.forget()
        jobs_before = len(front.airbyte.jobs)
        front.airbyte.cut_post_after = offset

        got = await front.trigger()

        assert said(got) == UNKNOWN, offset
        assert len(front.airbyte.jobs) == jobs_before, offset
        assert front.airbyte.exchanges == 3, offset  # the look before, the trigger, the look after
        assert front.airbyte.count("trigger") == 0, offset
    await front.assert_recovered()


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_trigger_cut_at_any_byte_of_the_answer_is_found_and_not_sent_again(front: Front, reset: bool) -> None:
    """C5. The job exists each time."""
    for offset in range(0, 330, 1 if reset else 5):
        front.clock.advance(60)
        front.airbyte.finish_jobs()
        front.airbyte.forget()
        jobs_before = len(front.airbyte.jobs)
        front.airbyte.switch("trigger", cut(offset, reset=reset))

        got = await front.trigger()

        assert got.status_code == 200, (offset, got.text)
        assert got.json()["job"]["jobId"] == jobs_before + 1, offset
        assert (len(front.airbyte.jobs), front.airbyte.count("trigger")) == (jobs_before + 1, 1), offset
    await front.assert_recovered()


async def test_a_trigger_goes_on_when_its_caller_has_left(tmp_path: Path) -> None:
    """A34, over a real connection to a real server: the job is known afterwards, and attached to."""
    async with front_of(tmp_path) as front:
        release = asyncio.Event()
        front.airbyte.switch("trigger", held(release))
        listener = listen("127.0.0.1", 0)
        server = uvicorn.Server(build_config(front.app, front.services.settings.server))
        server.config.lifespan = "off"
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        _, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        head = f"POST /api/v1/connections/{front.tenant.ours}/sync HTTP/1.1\r\nHost: gateway\r\n"
        front.airbyte.on_request.clear()
        writer.write(f"{head}Authorization: {bearer(front.tenant.key)['Authorization']}\r\n\r\n".encode())
        await front.airbyte.on_request.wait()
        writer.close()
        await writer.wait_closed()
        again = asyncio.create_task(front.trigger())
        release.set()
        got = await again
        server.should_exit = True
        await serving

        assert (got.status_code, got.json()["job"]["jobId"]) == (200, 1)
        assert (len(front.airbyte.jobs), front.airbyte.count("trigger")) == (1, 1)
        await front.assert_recovered()
