"""Slow, large, silent and deaf clients: what each is told, and that its connection ends."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event
from time import monotonic

import pytest
from starlette.types import Receive, Scope, Send

from gateway.errors import MethodNotImplemented
from gateway.web.server.limits import MAX_MESSAGE_BYTES, ConnectionLimits
from gateway.web.server.protocol import GatewayProtocol
from gateway.web.server.request_head import MAX_HEADER_BYTES, MAX_HEADERS, MAX_TARGET_BYTES
from gateway.web.timings import ServerTimings
from tests.faults.wire import (
    HASTE,
    LAST,
    Recorder,
    Running,
    answer_lifespan,
    answer_ok,
    answers_in,
    in_time,
    read_answer,
    read_to_end,
    request,
    send,
    serving,
    talk,
)
from tests.support import BOUND_SECONDS

PATIENT = ConnectionLimits(receive_seconds=BOUND_SECONDS, unread_seconds=BOUND_SECONDS, linger_seconds=0.2)
HEAD = b"POST /slow HTTP/1.1\r\nHost: gateway\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def wait_until(condition: Callable[[], bool]) -> None:
    end, pause = monotonic() + BOUND_SECONDS, Event()
    while not condition():
        assert monotonic() < end, "did not come true"
        pause.wait(0.01)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def hasty(recorder: Recorder) -> Iterator[Running]:
    with serving(recorder, HASTE) as running:
        yield running


@pytest.fixture
def patient(recorder: Recorder) -> Iterator[Running]:
    with serving(recorder, PATIENT) as running:
        yield running


SLOW = {
    "half a request line": b"GET /slo",
    "half a head": HEAD + b"X-Half: ",
    "a body that does not come": HEAD + b"Content-Length: 5\r\n\r\n",
    "half a body": HEAD + b"Content-Length: 5\r\n\r\nab",
    "half a chunk": CHUNKED + b"5\r\nab",
    "no last chunk": CHUNKED + b"2\r\nab\r\n",
    "trailers without an end": CHUNKED + b"0\r\nX: y\r\n",
}


@pytest.mark.parametrize("vector", SLOW.values(), ids=SLOW)
def test_a_request_that_is_not_received_in_time_is_answered_408(
    hasty: Running, recorder: Recorder, vector: bytes
) -> None:
    # If what it sends comes too late for a socket connection that is not used, that is closed without a word.
    (answer,) = in_time(lambda: talk(hasty.address, vector), is_late=lambda answers: not answers)

    assert answer.status == 408
    assert answer.error == "Request was not received in time"
    assert answer.headers["connection"] == "close"
    assert recorder.seen == []


def test_a_program_written_for_airbyte_reads_a_problem_that_came_too_soon_for_the_application(patient: Running) -> None:
    (answer,) = talk(patient.address, request("/api/public/v1/" + "a" * MAX_TARGET_BYTES))

    assert answer.body == (
        b'{"status":414,"type":"about:blank","title":"URI Too Long","detail":"Request URL is too long"}'
    )


@pytest.mark.parametrize("target", ["/api/public/v1/jobs", "http://gateway/api/public/v1/jobs"])
@pytest.mark.parametrize("method", ["BREW", "get", "DESCRIBE"])
def test_it_reads_a_problem_where_its_method_is_none(patient: Running, method: str, target: str) -> None:
    (answer,) = talk(patient.address, request(target, method=method))

    problem = {"status": answer.status, "type": "about:blank", "title": "Not Implemented"}
    assert json.loads(answer.body) == {**problem, "detail": MethodNotImplemented.message}


def test_another_request_before_does_not_tell_the_form(patient: Running) -> None:
    answers = talk(patient.address, request("/api/public/v1/jobs") + request("/", method="BREW"))

    assert answers[-1].error == MethodNotImplemented.message


def test_dripping_gains_no_time(hasty: Running) -> None:
    end, first = monotonic() + BOUND_SECONDS, b""
    with socket.create_connection(hasty.address, BOUND_SECONDS) as connection:
        send(connection, HEAD)
        while not first and monotonic() < end:
            send(connection, b"X-Drip: drip\r\n")
            connection.settimeout(0.02)
            with suppress(TimeoutError):
                first = connection.recv(1)
        answers = answers_in(first + read_to_end(connection))

    assert [answer.status for answer in answers] == [408]


@pytest.mark.parametrize("vector", [b"", b"\r\n", b"\r\n\r\n\r\n"], ids=["nothing", "a line end", "line ends"])
def test_a_connection_without_a_request_is_closed_without_a_word(hasty: Running, vector: bytes) -> None:
    assert talk(hasty.address, vector) == []


def test_many_slow_clients_hinder_no_good_one(hasty: Running) -> None:
    with ExitStack() as stack:
        for vector in (*SLOW.values(), b"") * 12:
            connection = stack.enter_context(socket.create_connection(hasty.address, BOUND_SECONDS))
            send(connection, vector)

        answers = in_time(lambda: talk(hasty.address, LAST), is_late=lambda answers: not answers)
        assert [answer.status for answer in answers] == [200]
        wait_until(lambda: not hasty.connections)


def test_each_request_of_a_connection_has_its_own_time(hasty: Running, recorder: Recorder) -> None:
    pause = Event()
    with socket.create_connection(hasty.address, BOUND_SECONDS) as connection:
        for _ in range(4):
            send(connection, request("/again"))
            assert read_answer(connection).status == 200
            pause.wait(HASTE.receive_seconds / 2)
        send(connection, LAST)
        assert [answer.status for answer in answers_in(read_to_end(connection))] == [200]

    assert len(recorder.seen) == 5


def test_a_request_that_came_in_time_is_answered_though_the_machine_stood_still(patient: Running) -> None:
    with socket.create_connection(patient.address, BOUND_SECONDS) as connection:
        wait_until(lambda: patient.connections == 1)
        (ours,) = patient.server.server_state.connections
        assert isinstance(ours, GatewayProtocol)

        def write_too_late() -> None:
            """In one turn of the server's event loop, which therefore has not read the request yet."""
            connection.sendall(LAST)
            ours._on_deadline()  # noqa: SLF001 - what its timer would call

        ours.loop.call_soon_threadsafe(write_too_late)

        assert [answer.status for answer in answers_in(read_to_end(connection))] == [200]


@pytest.mark.parametrize("vector", SLOW.values(), ids=SLOW)
def test_a_stop_waits_for_a_slow_request_no_longer_than_its_deadline(vector: bytes) -> None:
    with serving(Recorder(), HASTE) as running, socket.create_connection(running.address, BOUND_SECONDS) as connection:
        send(connection, vector)
        wait_until(lambda: running.connections == 1)
        running.server.should_exit = True

        assert [answer.status for answer in answers_in(read_to_end(connection))] in ([408], [])


def padded(size: int) -> bytes:
    """A head whose fields count exactly `size` bytes, as they are counted: with `: ` and the line's end."""
    fixed = len("host") + len("gateway") + 4 + len("x") + 4
    return request("/first", "X: " + "y" * (size - fixed))


LARGE = {
    "fields of 16 KiB": (padded(MAX_HEADER_BYTES), 200, ""),
    "fields of a byte more": (padded(MAX_HEADER_BYTES + 1), 431, "Request headers are too large"),
    "fields of a megabyte": (padded(1 << 20), 431, "Request headers are too large"),
    "100 fields": (request("/first", *["X: y"] * (MAX_HEADERS - 1)), 200, ""),
    "101 fields": (request("/first", *["X: y"] * MAX_HEADERS), 431, "Request headers are too large"),
    "20,000 fields": (request("/first", *["X: y"] * 20_000), 431, "Request headers are too large"),
    "a target of 8 KiB": (request("/" + "a" * (MAX_TARGET_BYTES - 1)), 200, ""),
    "a target of a byte more": (request("/" + "a" * MAX_TARGET_BYTES), 414, "Request URL is too long"),
    "a target without an end": (b"GET /" + b"a" * (1 << 20), 414, "Request URL is too long"),
    "a value without an end": (b"GET / HTTP/1.1\r\nX: " + b"a" * (1 << 20), 431, "Request headers are too large"),
    "a body in chunks of one byte": (CHUNKED + b"1\r\na\r\n" * 65536 + b"0\r\n\r\n", 200, ""),
    "a chunk extension without an end": (
        CHUNKED + b"1;" + b"a" * (2 * MAX_MESSAGE_BYTES),
        413,
        "Request body is too large",
    ),
    "trailers without an end": (
        CHUNKED + b"0\r\n" + b"X: y\r\n" * (MAX_MESSAGE_BYTES // 3),
        413,
        "Request body is too large",
    ),
}


@pytest.mark.parametrize(("vector", "status", "message"), LARGE.values(), ids=LARGE)
def test_sizes(patient: Running, vector: bytes, status: int, message: str) -> None:
    first, *rest = talk(patient.address, vector, LAST)

    assert first.status == status
    if message:
        assert first.error == message
        assert first.headers["connection"] == "close"
        assert rest == []


def test_trailers_are_no_headers(patient: Running, recorder: Recorder) -> None:
    talk(patient.address, CHUNKED + b"0\r\nAuthorization: Bearer x\r\n\r\n", LAST)

    assert b"authorization" not in dict(recorder.scopes[0]["headers"])


class Gate:
    """Answers /held only when it is opened; tells the order in which requests came."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self._opened = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        assert self._loop
        self._loop.call_soon_threadsafe(self._opened.set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._loop = asyncio.get_running_loop()
            await answer_lifespan(receive, send)
            return
        message = await receive()
        while message.get("more_body"):
            message = await receive()
        if message["type"] == "http.disconnect":
            return
        self.paths.append(scope["path"])
        if scope["path"] == "/held":
            await self._opened.wait()
        await answer_ok(send, scope["path"].encode())


@pytest.mark.parametrize(
    ("after", "status"),
    [(b"\0", 400), (b"GET / HTTP/1.1\r\n\r\n", 400), (HEAD, 408), (HEAD + b"Content-Length: 3\r\n\r\n", 408)],
    ids=["bytes that are no request", "a request without Host", "half a head", "half a body"],
)
def test_a_refusal_waits_for_the_answers_before_it(after: bytes, status: int) -> None:
    gate = Gate()
    with serving(gate, HASTE) as running, socket.create_connection(running.address, BOUND_SECONDS) as connection:
        send(connection, request("/held") + request("/second") + after)
        wait_until(lambda: gate.paths == ["/held"])
        Event().wait(2 * HASTE.receive_seconds)
        gate.open()
        answers = answers_in(read_to_end(connection))

    assert [answer.body for answer in answers[:2]] == [b"/held", b"/second"]
    assert [answer.status for answer in answers] == [200, 200, status]
    assert answers[2].error
    assert gate.paths[:2] == ["/held", "/second"]


def test_pipelined_requests_are_answered_in_order(patient: Running, recorder: Recorder) -> None:
    paths = [f"/{number}" for number in range(16)]

    answers = talk(patient.address, b"".join(request(path) for path in paths) + LAST)

    assert [answer.body.decode() for answer in answers] == [*paths, "/last"]


def test_too_many_pipelined_requests_are_answered_up_to_the_limit_and_no_further() -> None:
    gate = Gate()
    with serving(gate, PATIENT) as running, socket.create_connection(running.address, BOUND_SECONDS) as connection:
        send(connection, request("/held") + request("/more") * 5000)
        wait_until(lambda: gate.paths == ["/held"])
        gate.open()
        answers = answers_in(read_to_end(connection))

    assert [answer.status for answer in answers] == [200] * 17 + [503]
    assert gate.paths == ["/held"] + ["/more"] * 16


async def answer_much(scope: Scope, receive: Receive, send: Send) -> None:
    """Far more than the buffers on the way hold."""
    if scope["type"] == "lifespan":
        await answer_lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % (64 << 20))]})
    for number in range(64):
        await send({"type": "http.response.body", "body": b"x" * (1 << 20), "more_body": number < 63})


@pytest.mark.parametrize("header", [(), ("Connection: close",)], ids=["kept alive", "to be closed"])
def test_an_answer_that_is_not_read_ends_the_connection(header: tuple[str, ...]) -> None:
    with serving(answer_much, HASTE) as running, socket.create_connection(running.address) as connection:
        send(connection, request("/", *header))
        wait_until(lambda: running.connections == 1)
        wait_until(lambda: running.connections == 0)


def test_an_answer_that_is_read_slowly_is_read_to_its_end() -> None:
    with serving(answer_much, HASTE) as running:

        def read() -> int:
            with socket.create_connection(running.address, BOUND_SECONDS) as connection, suppress(ConnectionResetError):
                send(connection, request("/", "Connection: close"))
                pause, received = Event(), 0
                while piece := connection.recv(1 << 20):
                    received += len(piece)
                    pause.wait(0.01)
            return received

        assert in_time(read, is_late=lambda received: received <= 64 << 20) > 64 << 20


def test_while_an_answer_is_unread_the_next_is_not_begun() -> None:
    paths: list[str] = []

    async def answer_large(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        paths.append(scope["path"])
        await answer_ok(send, scope["path"].encode() * (8 << 20))

    asked = [f"/{number}" for number in range(5)]
    with serving(answer_large, PATIENT) as running, socket.create_connection(running.address) as connection:
        send(connection, b"".join(request(path) for path in asked[:3]))
        wait_until(lambda: paths == ["/0"])
        # One that comes by itself later waits as well.
        send(connection, request(asked[3]))
        Event().wait(0.2)
        assert paths == ["/0"]
        send(connection, request(asked[4], "Connection: close"))
        answers = answers_in(read_to_end(connection))

    assert [answer.body[:2].decode() for answer in answers] == asked == paths


def test_an_idle_connection_is_closed_without_a_word(recorder: Recorder) -> None:
    with serving(recorder, HASTE, timings=ServerTimings(keep_alive=0)) as running:
        answers = in_time(lambda: talk(running.address, request("/")), is_late=lambda answers: not answers)
        assert [answer.status for answer in answers] == [200]


@contextmanager
def connections_to(running: Running, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(running.address, BOUND_SECONDS)) for _ in range(number)]


def test_more_connections_than_the_limit_are_turned_away_until_some_end(recorder: Recorder) -> None:
    limits = ConnectionLimits(connections=5)
    with serving(recorder, limits) as running:
        with connections_to(running, 5):
            wait_until(lambda: running.connections == 5)
            assert talk(running.address, LAST) == []
        wait_until(lambda: not running.connections)

        assert [answer.status for answer in talk(running.address, LAST)] == [200]


def test_proxy_headers_of_unauthenticated_clients_change_nothing(patient: Running, recorder: Recorder) -> None:
    forged = (
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "Forwarded: for=192.0.2.1",
        "X-Real-IP: 1.2.3.4",
    )

    talk(patient.address, request("/", *forged, "X-Forwarded-Host: evil"), LAST)

    assert [(scope["client"][0], scope["scheme"]) for scope in recorder.scopes] == [("127.0.0.1", "http")] * 2


def test_a_trusted_proxy_names_the_caller(recorder: Recorder) -> None:
    with serving(recorder, PATIENT, trusted_proxies=("127.0.0.1",)) as running:
        talk(running.address, request("/", "X-Forwarded-For: 203.0.113.9, 192.0.2.1", "X-Forwarded-Proto: https"), LAST)

    assert (recorder.scopes[0]["client"][0], recorder.scopes[0]["scheme"]) == ("192.0.2.1", "https")
