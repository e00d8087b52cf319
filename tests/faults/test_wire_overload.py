"""More work than the server can do, over real sockets: some is done, the rest refused at once, then all is well."""

import asyncio
import socket
import time
from collections.abc import Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from gateway.errors import Overloaded
from gateway.web.admission import SHED_KEY, Gate
from gateway.web.middleware.admission import AdmissionMiddleware
from gateway.web.router import ApiRoutes
from gateway.web.server.back_pressure import BackPressure, BackPressures, HeldConnection
from gateway.web.server.limits import ConnectionLimits
from gateway.web.timings import BackPressureTimings
from tests.faults.wire import (
    LAST,
    Answer,
    Recorder,
    Running,
    answer_lifespan,
    answer_ok,
    answers_in,
    read_answer,
    read_to_end,
    request,
    send,
    serving,
    talk,
)
from tests.support import BOUND_SECONDS, silent_log

PATIENT = ConnectionLimits(receive_seconds=BOUND_SECONDS, pipelined=100)
CLIENTS = 60
ROUTES = ApiRoutes("/api/v1", [])


class Ignored:
    def observe(self, method: str, route: str, status: int, seconds: float) -> None: ...

    def count_shed(self, reason: str) -> None: ...


async def cost_much(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await answer_lifespan(receive, send)
        return
    if scope["path"].startswith("/api/"):
        time.sleep(0.01)  # noqa: ASYNC251 - a turn of the event loop is what is in short supply
    await answer_ok(send)


@contextmanager
def overloaded() -> Iterator[Running]:
    """A server whose every request costs much, with the gateway's own gate."""
    gate = Gate(routes=ROUTES, monotonic=time.monotonic, observer=Ignored(), request_log=silent_log())
    with serving(AdmissionMiddleware(cost_much, gate=gate), PATIENT, gate=gate) as running:
        yield running


def test_an_overload_is_shed_and_is_over_with_its_cause() -> None:
    # Shed by the application, as the connection does not stay.
    last = request("/api/v1/status", "Connection: close")
    with overloaded() as running, ThreadPoolExecutor(CLIENTS) as pool:

        def ask(_: int) -> list[Answer]:
            return [answer for _ in range(4) for answer in talk(running.address, last)]

        for _ in range(20):
            talk(running.address, last)
        answers = [answer for some in pool.map(ask, range(CLIENTS)) for answer in some]

        assert {answer.status for answer in answers} == {200, 503}
        shed = [answer for answer in answers if answer.status == 503]
        for answer in shed:
            assert answer.error == Overloaded.message
            assert answer.headers["retry-after"] == "1"
        assert len({answer.headers["x-request-id"] for answer in shed}) == len(shed)
        assert [answer.status for _ in range(20) for answer in talk(running.address, last)] == [200] * 20
        assert [answer.status for answer in talk(running.address, request("/healthz", "Connection: close"))] == [200]


def test_what_a_connection_sheds_leaves_it_usable_and_in_order() -> None:
    """Kept connections: refused by the connection itself, answered by the application once there is room."""
    with overloaded() as running, ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(20):
            talk(running.address, request("/api/v1/status", "Connection: close"))

        def ask(_: int) -> list[Answer]:
            six = [request("/api/v1/status")] * 5 + [request("/api/v1/status", "Connection: close")]
            return talk(running.address, *six)

        conversations = list(pool.map(ask, range(CLIENTS)))

        assert {len(each) for each in conversations} == {6}
        answers = [answer for each in conversations for answer in each]
        assert {answer.status for answer in answers} == {200, 503}
        shed = [answer.headers["x-request-id"] for answer in answers if answer.status == 503]
        assert len(set(shed)) == len(shed)


class Full(Gate):
    """A gate that sheds every request of the API."""

    routes = ROUTES

    def __init__(self) -> None:
        super().__init__(routes=ROUTES, monotonic=time.monotonic, observer=Ignored(), request_log=silent_log())

    def sheds(self, scope: MutableMapping[str, Any]) -> bool:
        super().sheds(scope)
        if ROUTES.covers(scope["path"]):
            scope[SHED_KEY] = True
        return SHED_KEY in scope


@pytest.fixture
def house() -> Recorder:
    return Recorder()


@pytest.fixture
def full(house: Recorder) -> Iterator[Running]:
    with serving(house, PATIENT, gate=Full()) as running:
        yield running


def test_a_caller_who_returns_at_once_is_refused_each_time_and_never_forgotten(full: Running, house: Recorder) -> None:
    """More often than refusals are given without holding the connection."""
    at_once = BackPressureTimings().known.each_tick + 10
    with socket.create_connection(full.address, BOUND_SECONDS) as connection:
        for _ in range(5):
            send(connection, request("/api/v1/status") * at_once)
            for _ in range(at_once):
                answer = read_answer(connection)
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        send(connection, request("/healthz", "Connection: close"))
        assert [answer.status for answer in answers_in(read_to_end(connection))] == [200]

    assert [path for _, path, _ in house.seen] == ["/healthz"]


@pytest.mark.parametrize(
    "vector",
    [
        request("/api/v1/status"),
        request("/api/v1/connections/conn_x/sync", method="POST"),
        request("/api/v1/connections/conn_x/sync", "Content-Length: 0", method="POST"),
    ],
    ids=["GET", "POST", "POST of nothing"],
)
@pytest.mark.parametrize("size", [1000, 7], ids=["whole", "in pieces"])
def test_what_has_no_content_is_refused_by_the_connection_which_stays(
    full: Running, house: Recorder, vector: bytes, size: int
) -> None:
    with socket.create_connection(full.address, BOUND_SECONDS) as connection:
        for _ in range(3):
            for start in range(0, len(vector), size):
                send(connection, vector[start : start + size])
            assert read_answer(connection).error == Overloaded.message
        send(connection, LAST)
        assert [answer.status for answer in answers_in(read_to_end(connection))] == [200]

    assert [path for _, path, _ in house.seen] == ["/last"]


class CountedPressure(BackPressure):
    """Counts how often it is asked whether to hold a socket connection."""

    def __init__(self) -> None:
        super().__init__(BackPressureTimings().known)
        self.asked = 0

    def holds(self, connection: HeldConnection, loop: asyncio.AbstractEventLoop) -> bool:
        self.asked += 1
        return super().holds(connection, loop)


@pytest.mark.parametrize(
    ("vector", "pressure"),
    [
        (request("/api/v1/status"), "others"),
        (request("/api/v1/status", method="HEAD"), "costly"),
        (request("/api/v1/connections/conn_x/sync", "Content-Length: 2", method="POST", body=b"{}"), "costly"),
    ],
    ids=["GET", "HEAD", "content"],
)
def test_whoever_is_shed_is_held_back_also_where_the_application_refuses_him(
    house: Recorder, vector: bytes, pressure: str
) -> None:
    pressures, counted = BackPressures(), CountedPressure()
    setattr(pressures, pressure, counted)
    with serving(house, PATIENT, gate=Full(), back_pressure=pressures) as running:
        for number in range(1, 4):
            with socket.create_connection(running.address, BOUND_SECONDS) as connection:
                send(connection, vector)
                assert connection.recv(65536).startswith(b"HTTP/1.1 ")
            talk(running.address, LAST)
            assert counted.asked == number


def test_a_shed_caller_of_an_older_version_is_told_that_his_socket_connection_ends(full: Running) -> None:
    # It reads until the end unless it is told that there is none (RFC 9112 §9.3); some load generators are such.
    vector = b"GET /api/v1/status HTTP/1.0\r\nHost: gateway\r\nConnection: keep-alive\r\n\r\n"

    (answer,) = talk(full.address, vector)

    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_content_is_never_taken_for_the_next_request(full: Running, house: Recorder, method: str) -> None:
    inner = request("/smuggled")
    vector = request("/api/v1/status", f"Content-Length: {len(inner)}", method=method, body=inner)

    answers = talk(full.address, vector, LAST)

    assert len(answers) == 2
    assert [path for _, path, _ in house.seen] == ["/api/v1/status", "/last"]


def test_a_read_full_of_requests_is_not_answered_with_many_times_its_length(full: Running) -> None:
    with socket.create_connection(full.address, BOUND_SECONDS) as connection:
        send(connection, request("/api/v1/x") * 5000)
        answers = answers_in(read_to_end(connection))

    assert {answer.status for answer in answers} == {503}
    assert answers[-1].headers["connection"] == "close"
    # A read may end anywhere among them.
    assert len(answers) < 1000
