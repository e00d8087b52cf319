"""Shedding: who waits for a turn, who is refused, and that nothing of it outlives the overload."""

import asyncio
import json
from collections import Counter as Collected
from dataclasses import dataclass, field

import pytest
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.auth import keys
from gateway.web.admission import Gate
from gateway.web.admission_queue import AdmissionQueue, RequestClass
from gateway.web.middleware.admission import AdmissionMiddleware
from gateway.web.middleware.request_log import SAFE_ID
from gateway.web.router import ApiRoute, ApiRoutes
from gateway.web.timings import AdmissionTimings
from tests.support import HandClock, silent_log

KNOWN, OTHERS = AdmissionTimings().known, AdmissionTimings().others

COST_SECONDS = 0.002
KEY, OTHER_KEY = "known", "known too"
HOME, ELSEWHERE = "198.51.100.1", "198.51.100.2"


async def unused(request: Request) -> ASGIApp:
    raise NotImplementedError


ROUTES = ApiRoutes(
    "/api/v1",
    [
        ApiRoute("/status", unused),
        ApiRoute("/connections/{id}/sync", unused, method="POST", is_patient=True),
        ApiRoute("/connections/{id}/jobs", unused),
        ApiRoute("/keys/revoke", unused, method="POST", takes_token=False),
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
        self.routes: set[str] = set()
        self.reasons: Collected[str] = Collected()

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        assert status == 503
        self.shed += 1
        self.routes.add(route)

    def count_shed(self, reason: str) -> None:
        self.reasons[reason] += 1


@dataclass
class House:
    """The middleware around the application, and the gate that a socket connection asks before it."""

    costly: Costly
    counter: Counter
    gate: Gate
    middleware: AdmissionMiddleware
    gate_said: list[bool] = field(default_factory=list)
    """Whether each request is shed, as the socket connection heard."""

    async def get(
        self,
        path: str,
        method: str = "GET",
        *,
        key: str | None = KEY,
        address: str = HOME,
        accept: str = "",
        length: str = "0",
    ) -> list[Message]:
        messages: list[Message] = []

        async def send(message: Message) -> None:
            messages.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = scope_of(path, method, key=key, address=address)
        scope["headers"] += [(b"accept", accept.encode()), (b"content-length", length.encode())]
        self.gate_said.append(self.gate.sheds(scope))
        # As uvicorn does, which begins in one round of the event loop what came in the round before.
        await asyncio.sleep(0)
        await self.middleware(scope, receive, send)
        return messages

    async def at_once(
        self, number: int, path: str = "/api/v1/status", *, key: str | None = KEY, address: str = HOME
    ) -> list[int]:
        answers = await asyncio.gather(*(self.get(path, key=key, address=address) for _ in range(number)))
        return [messages[0]["status"] for messages in answers]


def scope_of(path: str, method: str = "GET", *, key: str | None = KEY, address: str = HOME) -> Scope:
    headers = [] if key is None else [(b"authorization", f"Bearer {key}".encode())]
    return {"type": "http", "method": method, "path": path, "headers": headers, "client": (address, 1), "state": {}}


@pytest.fixture
def house(clock: HandClock) -> House:
    costly, counter = Costly(clock), Counter()
    gate = Gate(routes=ROUTES, monotonic=clock.monotonic, observer=counter, request_log=silent_log())
    for client_id, key in enumerate((KEY, OTHER_KEY)):
        gate.known_keys.note_good(keys.digest(key), client_id)
    return House(costly, counter, gate, AdmissionMiddleware(costly, gate=gate))


async def learnt(house: House) -> None:
    """Let it see what a request costs, of a known caller's and of others."""
    for key in (KEY, None):
        for _ in range(100):
            await house.at_once(1, key=key)
            await asyncio.sleep(0)
    house.costly.paths.clear()
    house.gate_said.clear()


async def test_a_queue_longer_than_the_wait_is_shed_at_once(house: House) -> None:
    await learnt(house)
    began = house.costly.clock.monotonic()

    statuses = await house.at_once(400)

    served = statuses.count(200)
    assert served == pytest.approx(KNOWN.longest_wait / COST_SECONDS, rel=0.15)
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
    assert await house.at_once(KNOWN.short_queue + 10) == [200] * (KNOWN.short_queue + 1) + [503] * 9


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


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_pass_under_any_load(house: House, path: str) -> None:
    await learnt(house)
    load = asyncio.gather(*(house.get("/api/v1/status") for _ in range(400)))
    await asyncio.sleep(0)

    assert (await house.get(path, key=None))[0]["status"] == 200
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

    assert not house.gate.sheds(scope_of("/api/v1/connections/conn_2/jobs"))
    assert not house.gate.sheds(scope_of("/api/v1/connections/conn_2/sync", "POST"))

    house.costly.airbyte.set()
    assert {messages[0]["status"] for messages in await asyncio.gather(*waiting)} == {200}


async def test_what_one_read_of_all_connections_brings_is_counted_before_it_stands_in_the_queue(house: House) -> None:
    """Else there would be room for all of it whenever there is room for one."""
    await learnt(house)
    gate = house.gate
    load = asyncio.gather(*(house.get("/api/v1/status") for _ in range(30)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = gate.known.wait_seconds
    assert 0 < waiting < KNOWN.longest_wait

    assert [gate.sheds(scope_of("/api/v1/status")) for _ in range(60)][-1]

    await asyncio.sleep(0)
    assert gate.known.wait_seconds <= waiting
    assert not gate.sheds(scope_of("/api/v1/status"))
    await load


async def test_a_request_that_was_let_in_is_not_judged_again(house: House) -> None:
    """Those that were let in after it would have it refused."""
    await learnt(house)

    statuses = await house.at_once(400)

    assert house.gate_said.count(False) == statuses.count(200)
    assert house.gate_said.count(True) == house.counter.shed


async def test_a_caller_who_leaves_the_queue_keeps_nobody_waiting(clock: HandClock) -> None:
    known = RequestClass(KNOWN)
    queue = AdmissionQueue(clock.monotonic, known, shared_seconds=1.0)
    waiters = [queue.join(known, 1) for _ in range(50)]
    assert known.wait_seconds > 0
    for waiter in waiters[10:]:
        if waiter is not None:
            waiter.cancel()

    await settle()

    assert known.wait_seconds == 0
    assert queue.join(known, 1) is None


async def test_known_callers_begin_before_others_that_came_before_them(house: House) -> None:
    await learnt(house)
    others = asyncio.gather(*(house.get("/docs/api", key=None) for _ in range(20)))

    await house.at_once(10)

    rounds = 10 * COST_SECONDS / KNOWN.slice
    assert house.costly.paths.count("/docs/api") <= rounds + 2
    await others


async def test_others_begin_at_most_one_slice_in_a_round_while_known_callers_wait(house: House) -> None:
    house.costly.seconds = 0.0001
    await learnt(house)
    known = asyncio.gather(*(house.get("/api/v1/status") for _ in range(500)))
    others = asyncio.gather(*(house.get("/api/v1/status", key=None, address=f"10.0.{n}.1") for n in range(200)))

    await known

    begun = len(house.costly.paths) - 500
    rounds = 500 * 0.0001 / KNOWN.slice
    assert 0 < begun <= (rounds + 2) * (OTHERS.slice / 0.0001 + 1)
    await others


@pytest.mark.parametrize("path", ["/docs/api", "/api/v1/status", "/dashboard"])
async def test_others_are_shed_first(house: House, path: str) -> None:
    house.costly.seconds = 0.0005
    await learnt(house)
    known = asyncio.gather(*(house.get("/api/v1/status") for _ in range(150)))
    await asyncio.sleep(0)

    others = await house.at_once(150, path, key=None)

    assert others.count(503) == pytest.approx(50, abs=10)
    assert {messages[0]["status"] for messages in await known} == {200}


async def test_a_key_that_nobody_has_is_no_known_one(house: House) -> None:
    await house.get("/api/v1/status", key="invented")
    request = scope_of("/api/v1/status", key="invented")
    house.gate.sheds(request)
    assert not house.gate.is_known(request)

    good = scope_of("/api/v1/status")
    house.gate.sheds(good)
    assert house.gate.is_known(good)


async def test_a_key_that_has_ended_is_no_known_one(house: House) -> None:
    house.gate.known_keys.forget(keys.digest(KEY))

    request = scope_of("/api/v1/status")
    house.gate.sheds(request)
    assert not house.gate.is_known(request)


async def test_one_address_full_of_requests_keeps_no_other_from_its_page(house: House) -> None:
    await learnt(house)
    flood = asyncio.gather(*(house.get("/docs/api", key=None, address=ELSEWHERE) for _ in range(1000)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    begun = len(house.costly.paths)

    answer = await house.get("/dashboard/sign-in", key=None)

    assert answer[0]["status"] == 200
    # It was next but for what had begun by then.
    assert house.costly.paths.index("/dashboard/sign-in") <= begun + 2
    statuses = [messages[0]["status"] for messages in await flood]
    assert statuses.count(200) < 100


async def test_one_ipv6_network_is_one_caller(house: House) -> None:
    await learnt(house)
    flood = asyncio.gather(*(house.get("/docs/api", key=None, address=f"2001:db8::{n:x}") for n in range(1000)))

    statuses = [messages[0]["status"] for messages in await flood]

    assert statuses.count(200) <= OTHERS.short_queue + 2


async def test_one_client_full_of_requests_keeps_no_other_client_waiting(house: House) -> None:
    await learnt(house)
    flood = asyncio.gather(*(house.get("/api/v1/status") for _ in range(1000)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    begun = len(house.costly.paths)

    answer = await house.get("/api/v1/connections", key=OTHER_KEY)

    assert answer[0]["status"] == 200
    # Two rounds, of the fifteen that the client before has waiting.
    assert house.costly.paths.index("/api/v1/connections") <= begun + 2 * (1 + KNOWN.slice / COST_SECONDS)
    await flood


async def test_a_client_full_of_patient_calls_keeps_none_of_another_client_s_reads_out(house: House) -> None:
    """Triggers may wait for twice as long: so the queue of theirs is longer than reads may ever make it."""
    await learnt(house)
    house.costly.airbyte.set()
    path = "/api/v1/connections/conn_1/sync"
    flood = asyncio.gather(*(house.get(path, "POST") for _ in range(1000)))
    await asyncio.sleep(0)

    assert await house.at_once(20, key=OTHER_KEY) == [200] * 20

    statuses = [messages[0]["status"] for messages in await flood]
    assert statuses.count(200) < 3 * KNOWN.longest_wait / COST_SECONDS


async def test_a_call_that_takes_no_token_passes_the_flood_of_its_own_key(house: House) -> None:
    await learnt(house)
    flood = asyncio.gather(*(house.get("/api/v1/status") for _ in range(1000)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    begun = len(house.costly.paths)

    answer = await house.get("/api/v1/keys/revoke", "POST")

    assert answer[0]["status"] == 200
    assert house.costly.paths.index("/api/v1/keys/revoke") <= begun + 2 * (1 + KNOWN.slice / COST_SECONDS)
    assert 503 in {messages[0]["status"] for messages in await flood}


async def test_calls_that_take_no_token_are_never_shed_and_delay_no_other(house: House) -> None:
    await learnt(house)
    flood = asyncio.gather(*(house.get("/api/v1/keys/revoke", "POST") for _ in range(1000)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    begun = len(house.costly.paths)

    for path in ("/api/v1/status", "/api/v1/connections"):
        assert (await house.get(path))[0]["status"] == 200

    assert len(house.costly.paths) <= begun + 8
    assert {messages[0]["status"] for messages in await flood} == {200}


async def test_a_call_with_content_stands_in_line_with_all_others(house: House) -> None:
    """It may be refused for it and end nothing, so there may be any number of it."""
    await learnt(house)

    flood = asyncio.gather(*(house.get("/api/v1/keys/revoke", "POST", length="9") for _ in range(1000)))

    assert 503 in {messages[0]["status"] for messages in await flood}


@pytest.mark.parametrize("key", [KEY, None], ids=["client", "address"])
async def test_a_queue_that_became_too_long_keeps_no_other_group_out(house: House, key: str | None) -> None:
    house.costly.seconds = 0.00005
    await learnt(house)
    flood = asyncio.gather(*(house.get("/api/v1/status", key=key, address=ELSEWHERE) for _ in range(400)))
    await asyncio.sleep(0)
    house.costly.seconds = 0.05
    for _ in range(10):
        await asyncio.sleep(0)
    begun = len(house.costly.paths)
    assert (await house.get("/api/v1/status", key=key, address=ELSEWHERE))[0]["status"] == 503

    answer = await house.get("/api/v1/connections", key=key and OTHER_KEY)

    assert answer[0]["status"] == 200
    assert house.costly.paths.index("/api/v1/connections") <= begun + 2 * (1 + KNOWN.slice / COST_SECONDS)
    await flood


async def test_probes_of_many_wait_and_none_is_shed(house: House) -> None:
    await learnt(house)
    flood = asyncio.gather(*(house.get("/healthz", key=None, address=ELSEWHERE) for _ in range(1000)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    begun = len(house.costly.paths)

    assert (await house.get("/healthz", key=None, address=HOME))[0]["status"] == 200

    assert len(house.costly.paths) <= begun + 4
    assert {messages[0]["status"] for messages in await flood} == {200}


@pytest.mark.parametrize(
    ("method", "path", "has_one"),
    [
        ("GET", "/healthz", True),
        ("HEAD", "/healthz", True),
        ("OPTIONS", "/healthz", True),
        ("POST", "/healthz", False),
        ("GET", "/readyz", False),
        ("GET", "/docs/api", False),
    ],
)
async def test_health_needs_no_application_while_many_probes_wait(
    house: House, method: str, path: str, has_one: bool
) -> None:
    assert not house.gate.has_ready_answer(scope_of(path, method))
    flood = asyncio.gather(*(house.get("/readyz", key=None) for _ in range(1000)))
    await asyncio.sleep(0)

    assert house.gate.has_ready_answer(scope_of(path, method)) == has_one
    await flood
    await settle()
    assert not house.gate.has_ready_answer(scope_of(path, method))


async def test_probes_of_one_path_keep_none_of_another_waiting(house: House) -> None:
    await learnt(house)
    flood = asyncio.gather(*(house.get("/readyz", key=None) for _ in range(1000)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    begun = len(house.costly.paths)

    assert (await house.get("/healthz", key=None))[0]["status"] == 200

    assert house.costly.paths.index("/healthz") <= begun + 4
    await flood


async def test_what_is_no_probe_is_shed_on_their_paths_too(house: House) -> None:
    answers = await asyncio.gather(*(house.get("/healthz", "POST", key=None) for _ in range(1000)))

    assert {messages[0]["status"] for messages in answers} == {200, 503}


async def test_what_people_read_is_shed_with_a_page(house: House) -> None:
    await learnt(house)
    answers = await asyncio.gather(*(house.get("/docs/api", key=None, accept="text/html,*/*") for _ in range(100)))

    start, body = answers[-1]
    headers = dict(start["headers"])
    assert (start["status"], headers[b"retry-after"]) == (503, b"1")
    assert headers[b"content-type"] == b"text/html; charset=utf-8"
    assert b"<h1>Service is busy</h1>" in body["body"]
    assert house.counter.routes == {"/*"}


@pytest.mark.parametrize(("path", "accept"), [("/api/v1/status", "text/html"), ("/docs/api", "*/*")])
async def test_what_programs_read_is_shed_with_json(house: House, path: str, accept: str) -> None:
    await learnt(house)
    answers = await asyncio.gather(*(house.get(path, key=None, accept=accept) for _ in range(100)))

    assert json.loads(answers[-1][1]["body"]) == {"error": "Service is busy"}
