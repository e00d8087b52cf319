"""Between the word to stop and the end of accepting: all is answered, and each answer ends its connection."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from starlette.types import Receive, Scope, Send

from gateway.errors import OutcomeUnknown
from gateway.web.draining import is_draining
from gateway.web.middleware.admission import AdmissionMiddleware
from gateway.web.middleware.errors import ErrorMiddleware
from gateway.web.middleware.request_log import RequestLog, RequestLogMiddleware
from gateway.web.request_context import upstream_timing
from gateway.web.server.limits import ConnectionLimits
from gateway.web.timings import ServerTimings
from tests.faults.test_wire_limits import Gate, wait_until
from tests.faults.test_wire_overload import Full
from tests.faults.wire import (
    Recorder,
    Running,
    answer_lifespan,
    answers_in,
    read_answer,
    read_to_end,
    request,
    send,
    serving,
    talk,
)
from tests.support import BOUND_SECONDS

PATIENT = ConnectionLimits(receive_seconds=BOUND_SECONDS, pipelined=100)
PATIENT_STOP = ServerTimings(drain=BOUND_SECONDS * 10, echo=0.0)


def tell(running: Running, number: signal.Signals = signal.SIGTERM) -> None:
    running.server.handle_exit(number, None)


@contextmanager
def draining(running: Running) -> Iterator[None]:
    """From the first signal to the second: no test's length decides when it ends."""
    tell(running)
    wait_until(lambda: is_draining(running.server.lifespan.state))
    try:
        yield
    finally:
        tell(running)


@pytest.fixture
def running() -> Iterator[Running]:
    with serving(Recorder(), PATIENT, timings=PATIENT_STOP) as server:
        yield server


def test_who_comes_is_answered_and_asked_to_go(running: Running) -> None:
    with draining(running):
        for _ in range(3):
            (answer,) = talk(running.address, request("/"))
            assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_an_idle_connection_has_one_more_answer(running: Running) -> None:
    with socket.create_connection(running.address, BOUND_SECONDS) as kept:
        send(kept, request("/"))
        assert "connection" not in read_answer(kept).headers
        with draining(running):
            send(kept, request("/") + request("/never"))
            (answer,) = answers_in(read_to_end(kept))

    assert (answer.status, answer.headers["connection"]) == (200, "close")


@pytest.mark.parametrize("more", [b"", request("/more")], ids=["one request", "two requests"])
def test_the_last_answer_that_is_owed_says_that_it_is(more: bytes) -> None:
    gate = Gate()
    with (
        serving(gate, PATIENT, timings=PATIENT_STOP) as running,
        socket.create_connection(running.address, BOUND_SECONDS) as connection,
    ):
        send(connection, request("/held") + more)
        wait_until(lambda: gate.paths == ["/held"])
        with draining(running):
            gate.open()
            answers = answers_in(read_to_end(connection))

    assert [answer.status for answer in answers] == [200, 200] if more else [200]
    assert ["connection" in answer.headers for answer in answers] == [False, True] if more else [True]


def test_a_request_that_is_half_received_is_answered_after_the_one_before_it() -> None:
    gate = Gate()
    with (
        serving(gate, PATIENT, timings=PATIENT_STOP) as running,
        socket.create_connection(running.address, BOUND_SECONDS) as connection,
    ):
        send(connection, request("/held") + request("/half")[:-2])
        wait_until(lambda: gate.paths == ["/held"])
        with draining(running):
            send(connection, b"\r\n")
            gate.open()
            answers = answers_in(read_to_end(connection))

    assert [answer.body for answer in answers] == [b"/held", b"/half"]
    assert ["connection" in answer.headers for answer in answers] == [False, True]


def test_what_is_shed_is_asked_to_go_too() -> None:
    gate = Full()
    app = AdmissionMiddleware(Recorder(), gate=gate)
    with (
        serving(app, PATIENT, gate=gate, timings=PATIENT_STOP) as running,
        socket.create_connection(running.address, BOUND_SECONDS) as connection,
    ):
        send(connection, request("/api/v1/jobs"))
        assert read_answer(connection).status == 503
        with draining(running):
            send(connection, request("/api/v1/jobs"))
            (answer,) = answers_in(read_to_end(connection))

    assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(("echo_seconds", "insists"), [(0.0, True), (BOUND_SECONDS * 10, False)])
def test_a_signal_that_comes_twice_at_once_insists_on_nothing(echo_seconds: float, insists: bool) -> None:
    with serving(Recorder(), PATIENT, timings=ServerTimings(drain=0, echo=echo_seconds)) as running:
        tell(running)
        tell(running)

        assert running.server.should_exit
        assert running.server.force_exit is insists


def test_at_a_keyboard_nobody_waits() -> None:
    with serving(Recorder(), PATIENT, timings=PATIENT_STOP) as running:
        tell(running, signal.SIGINT)
        wait_until(lambda: not running.server.servers[0].is_serving())

        assert not is_draining(running.server.lifespan.state)


def test_a_request_that_is_written_while_idle_connections_are_closed_is_answered(running: Running) -> None:
    with socket.create_connection(running.address, BOUND_SECONDS) as kept:
        send(kept, request("/first"))
        read_answer(kept)
        (connection,) = running.server.server_state.connections

        def write_and_close() -> None:
            """In one turn of the server's event loop, which therefore has not read the request yet."""
            kept.sendall(request("/last"))
            connection.shutdown()

        connection.loop.call_soon_threadsafe(write_and_close)
        (answer,) = answers_in(read_to_end(kept))

    assert (answer.status, answer.body, answer.headers["connection"]) == (200, b"/last", "close")


class Stuck:
    """An application behind the gateway's own errors that never answers, or never to the end."""

    def __init__(self) -> None:
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        if scope["path"] == "/begun":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
            await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        self.under_way += 1
        if scope["path"].endswith("/sync"):
            with upstream_timing(scope):
                await asyncio.Event().wait()
        await asyncio.Event().wait()


class Ignored:
    def observe(self, method: str, route: str, status: int, seconds: float) -> None: ...

    def observe_client(self, client: str, status: int) -> None: ...

    def count_shed(self, reason: str) -> None: ...

    def count_forwarded_untrusted(self) -> None: ...

    def count_failure(self, key_id: str, moment: float, status: int) -> None: ...


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        (request("/api/v1/status"), (503, "Service is stopping")),
        (request("/api/v1/connections/x/sync", method="POST"), (504, OutcomeUnknown.message)),
    ],
    ids=["a read", "a trigger"],
)
def test_what_has_not_ended_when_the_stop_has_waited_long_enough_is_told_so(
    vector: bytes, expected: tuple[int, str]
) -> None:
    stuck, statuses = Stuck(), []
    app = RequestLogMiddleware(
        ErrorMiddleware(stuck),
        request_log=RequestLog(
            new_id=lambda: "id",
            observer=Ignored(),
            failures=Ignored(),
            write_line=lambda _, fields: statuses.append(fields["status"]),
        ),
    )
    with serving(app, PATIENT, timings=ServerTimings(grace=0)) as running, ExitStack() as stack:
        waiting, begun = [
            stack.enter_context(socket.create_connection(running.address, BOUND_SECONDS)) for _ in range(2)
        ]
        send(begun, request("/begun"))
        send(waiting, vector)
        wait_until(lambda: stuck.under_way == 2)
        running.server.should_exit = True
        (answer,) = answers_in(read_to_end(waiting))

        assert (answer.status, answer.error) == expected
        assert answer.headers["connection"] == "close"
        # What has begun can only be cut, so that it is not taken for whole.
        assert read_to_end(begun).endswith(b"\r\n\r\nab")
        wait_until(lambda: len(statuses) == 2)
    assert sorted(statuses) == [200, expected[0]]
