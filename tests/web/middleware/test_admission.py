"""Shedding: who waits for a turn, who is refused, and that nothing of it outlives the overload."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.web.admission import (
    LONGEST_WAIT_SECONDS,
    SHORT_QUEUE,
    AdmissionQueue,
    Gate,
    mark_shed,
)
from gateway.web.middleware.admission import AdmissionMiddleware
from gateway.web.middleware.request_log import SAFE_ID
from gateway.web.router import ApiRoute, ApiRoutes
from tests.support import HandClock

COST_SECONDS = 0.002


async def unused(request: Request) -> ASGIApp:
    raise NotImplementedError


ROUTES = ApiRoutes(
    "/api/v1",
    [
        ApiRoute("/status", unused),
        ApiRoute("/connections/{id}/sync", unused, method="POST", asks_airbyte=True),
        ApiRoute("/connections/{id}/jobs", unused, asks_airbyte=True),
    ],
)


@dataclass
class Costly:
    """An application that takes its time by the clock; Airbyte's paths wait for `airbyte`."""

    clock: HandClock
    seconds: float = COST_SECONDS
    airbyte: asyncio.Event = field(default_factory=asyncio.Event)
    paths: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.clock.advance(self.seconds)
        self.paths.append(scope["path"])
        if scope["path"].endswith(("/jobs", "/sync")):
            await self.airbyte.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


class Counter:
    """Counts what is shed."""

    def __init__(self) -> None:
        self.shed = 0

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        assert (method, route, status) == ("GET", "/api/v1/*", 503) or method == "POST"
        self.shed += 1


@dataclass
class House:
    """The middleware around the application, and the gate that a socket connection asks before it."""

    costly: Costly
    counter: Counter
    gate: Gate
    middleware: AdmissionMiddleware
    gate_said: list[bool] = field(default_factory=list)
    """Whether each request is shed, as the socket connection heard."""

    async def get(self, path: str, method: str = "GET") -> list[Message]:
        messages: list[Message] = []

        async def send(message: Message) -> None:
            messages.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope: Scope = {"type": "http", "method": method, "path": path, "state": {}}
        self.gate_said.append(self.gate.sheds(method, path))
        if self.gate_said[-1]:
            mark_shed(scope["state"])
        # As uvicorn does, which begins in one round of the event loop what came in the round before.
        await asyncio.sleep(0)
        await self.middleware(scope, receive, send)
        return messages

    async def at_once(self, number: int, path: str = "/api/v1/status") -> list[int]:
        answers = await asyncio.gather(*(self.get(path) for _ in range(number)))
        return [messages[0]["status"] for messages in answers]


@pytest.fixture
def house(clock: HandClock) -> House:
    costly, counter = Costly(clock), Counter()
    gate = Gate(routes=ROUTES, monotonic=clock.monotonic, observer=counter)
    return House(costly, counter, gate, AdmissionMiddleware(costly, gate=gate, routes=ROUTES))


async def learnt(house: House) -> None:
    """Let it see what a request costs."""
    for _ in range(100):
        await house.at_once(1)
        await asyncio.sleep(0)
    house.costly.paths.clear()
    house.gate_said.clear()


async def test_a_queue_longer_than_the_wait_is_shed_at_once(house: House) -> None:
    await learnt(house)
    began = house.costly.clock.monotonic()

    statuses = await house.at_once(400)

    served = statuses.count(200)
    assert served == pytest.approx(LONGEST_WAIT_SECONDS / COST_SECONDS, rel=0.15)
    assert statuses == [200] * served + [503] * (400 - served)
    assert house.counter.shed == 400 - served
    assert house.costly.clock.monotonic() - began == pytest.approx(served * COST_SECONDS)


async def test_afterwards_all_are_served_again(house: House) -> None:
    await learnt(house)
    await house.at_once(1000)

    assert await house.at_once(20) == [200] * 20


async def test_cheap_requests_are_queued_in_greater_number(house: House) -> None:
    house.costly.seconds = 0.0001
    await learnt(house)

    assert await house.at_once(400) == [200] * 400


async def test_a_short_queue_is_never_shed_however_dear_each_seems(house: House) -> None:
    house.costly.seconds = 0.05
    await learnt(house)

    # One more than that is on its way when the next is judged; none has begun.
    assert await house.at_once(SHORT_QUEUE + 10) == [200] * (SHORT_QUEUE + 1) + [503] * 9


async def test_turns_come_in_the_order_of_the_requests(house: House) -> None:
    await learnt(house)

    await asyncio.gather(*(house.get(f"/api/v1/{number}") for number in range(30)))

    assert house.costly.paths == [f"/api/v1/{number}" for number in range(30)]


async def test_a_refusal_is_json_that_says_when_to_come_back(house: House) -> None:
    await learnt(house)
    answers = await asyncio.gather(*(house.get("/api/v1/status") for _ in range(200)))

    start, body = answers[-1]
    assert start["status"] == 503
    assert json.loads(body["body"]) == {"error": "Service is busy"}
    headers = dict(start["headers"])
    assert SAFE_ID.fullmatch(headers[b"x-request-id"])
    assert len({dict(start["headers"])[b"x-request-id"] for start, _ in answers[-50:]}) == 50
    assert headers[b"retry-after"] == b"1"
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"cache-control"] == b"private, no-store"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs/api", "/api/v1"])
async def test_other_paths_pass_under_any_load(house: House, path: str) -> None:
    await learnt(house)
    load = asyncio.gather(*(house.get("/api/v1/status") for _ in range(400)))
    await asyncio.sleep(0)

    assert (await house.get(path))[0]["status"] == 200
    # It did not stand in the queue.
    assert not load.done()
    await load


async def test_a_trigger_is_taken_when_reads_are_shed(house: House) -> None:
    await learnt(house)
    house.costly.airbyte.set()
    load = asyncio.gather(*(house.get("/api/v1/status") for _ in range(400)))
    await asyncio.sleep(0)

    assert (await house.get("/api/v1/status"))[0]["status"] == 503
    assert (await house.get("/api/v1/connections/conn_1/sync", "POST"))[0]["status"] == 200
    await load


async def settle() -> None:
    for _ in range(1000):
        await asyncio.sleep(0)


async def test_requests_waiting_for_airbyte_take_no_place_from_local_ones(house: House) -> None:
    await learnt(house)
    waiting = [asyncio.create_task(house.get("/api/v1/connections/conn_1/jobs")) for _ in range(40)]
    await settle()

    assert await house.at_once(40) == [200] * 40

    house.costly.airbyte.set()
    await asyncio.gather(*waiting)


async def test_requests_waiting_for_airbyte_keep_no_other_from_beginning(house: House) -> None:
    """Whose they are is not known here: that is counted after authentication, for each client."""
    await learnt(house)
    waiting = []
    for method, route in [("GET", "jobs")] * 150 + [("POST", "sync")] * 150:
        waiting.append(asyncio.create_task(house.get(f"/api/v1/connections/conn_1/{route}", method)))
        await asyncio.sleep(0)
    await settle()

    assert not house.gate.sheds("GET", "/api/v1/connections/conn_2/jobs")
    assert not house.gate.sheds("POST", "/api/v1/connections/conn_2/sync")

    house.costly.airbyte.set()
    assert {messages[0]["status"] for messages in await asyncio.gather(*waiting)} == {200}


async def test_what_one_read_of_all_connections_brings_is_counted_before_it_stands_in_the_queue(house: House) -> None:
    """Else there would be room for all of it whenever there is room for one."""
    await learnt(house)
    gate = house.gate
    load = asyncio.gather(*(house.get("/api/v1/status") for _ in range(30)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = gate.queue.wait_seconds
    assert 0 < waiting < LONGEST_WAIT_SECONDS

    assert [gate.sheds("GET", "/api/v1/status") for _ in range(60)][-1]

    await asyncio.sleep(0)
    assert gate.queue.wait_seconds <= waiting
    assert not gate.sheds("GET", "/api/v1/status")
    await load


async def test_a_request_that_was_let_in_is_not_judged_again(house: House) -> None:
    """Those that were let in after it would have it refused."""
    await learnt(house)

    statuses = await house.at_once(400)

    assert house.gate_said.count(False) == statuses.count(200)
    assert house.gate_said.count(True) == house.counter.shed


async def test_a_caller_who_leaves_the_queue_keeps_nobody_waiting(clock: HandClock) -> None:
    queue = AdmissionQueue(clock.monotonic)
    tasks = [asyncio.create_task(queue.wait()) for _ in range(50)]
    await asyncio.sleep(0)
    assert queue.wait_seconds > 0
    for task in tasks[10:40]:
        task.cancel()

    await asyncio.wait(tasks)

    assert queue.wait_seconds == 0
    await queue.wait()
