"""The gateway ends, is slow or closes a kept connection: what is sent to it again, and what a caller is told."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import pytest

from gateway.errors import OutcomeUnknown, UpstreamTimeout, UpstreamUnreachable
from tests.faults.wire import request
from tests.nginx.support import connect, converse, only, running_nginx
from tests.support import BOUND_SECONDS

CLOSE = "Connection: close"
GET = request("/first", CLOSE)
POST = request("/first", CLOSE, "Content-Length: 3", method="POST", body=b"abc")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
KEEP, DIE, WAIT = "keep", "die", "wait"


@dataclass
class Upstream:
    """Follows a plan, a word for each request: answer and keep the connection, close it unanswered, say nothing."""

    plan: list[str]
    port: int = 0
    requests: list[str] = field(default_factory=list)
    """Methods, each with the number of the connection that it came through."""
    connections: int = 0
    over: Event = field(default_factory=Event)

    def serve(self, listener: socket.socket) -> None:
        while not self.over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            Thread(target=self._answer, args=(connection, self.connections), daemon=True).start()

    def _answer(self, connection: socket.socket, number: int) -> None:
        with connection:
            connection.settimeout(BOUND_SECONDS)
            is_kept = True
            while is_kept and (received := _request_from(connection)):
                self.requests.append(f"{received.partition(' ')[0]} {number}")
                is_kept = "Connection: close" not in received
                word = self.plan.pop(0)
                if word == WAIT:
                    self.over.wait(BOUND_SECONDS)
                if word != KEEP:
                    return
                connection.sendall(OK)


def _request_from(connection: socket.socket) -> str:
    """The next request, read to its end; empty when there is none."""
    received = bytearray()
    while b"\r\n\r\n" not in received or (received.startswith(b"POST") and not received.endswith(b"abc")):
        piece = connection.recv(65536)
        if not piece:
            return ""
        received += piece
    return received.decode()


@contextmanager
def upstream(*plan: str, port: int = 0) -> Iterator[Upstream]:
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(0.05)
        running = Upstream([*plan], listener.getsockname()[1])
        thread = Thread(target=running.serve, args=(listener,))
        thread.start()
        try:
            yield running
        finally:
            running.over.set()
            thread.join(BOUND_SECONDS)


def impatient(text: str) -> str:
    return text.replace("proxy_read_timeout 90s", "proxy_read_timeout 1s")


def test_connections_are_kept(tmp_path: Path) -> None:
    with upstream(KEEP, KEEP) as gateway, running_nginx(tmp_path, gateway.port) as nginx:
        answers = [only(converse(connect(nginx), vector)) for vector in (GET, POST)]

    assert [answer.status for answer in answers] == [200, 200]
    assert gateway.requests == ["GET 1", "POST 1"]


def test_a_get_into_a_kept_connection_that_is_dead_is_sent_again(tmp_path: Path) -> None:
    with upstream(KEEP, DIE, KEEP) as gateway, running_nginx(tmp_path, gateway.port) as nginx:
        answers = [only(converse(connect(nginx), GET)) for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 200]
    assert gateway.requests == ["GET 1", "GET 1", "GET 2"]


def test_a_post_into_a_kept_connection_that_is_dead_is_not(tmp_path: Path) -> None:
    with upstream(KEEP, DIE, KEEP) as gateway, running_nginx(tmp_path, gateway.port) as nginx:
        answers = [only(converse(connect(nginx), vector)) for vector in (GET, POST)]

    assert (answers[1].status, answers[1].message) == (502, UpstreamUnreachable.message)
    assert answers[1].headers["retry-after"] == "2"
    assert gateway.requests == ["GET 1", "POST 1"]


@pytest.mark.parametrize("vector", [GET, POST], ids=["GET", "POST"])
def test_a_gateway_that_dies_of_a_request_does_not_get_it_again(tmp_path: Path, vector: bytes) -> None:
    with upstream(DIE, KEEP) as gateway, running_nginx(tmp_path, gateway.port) as nginx:
        answer = only(converse(connect(nginx), vector))

    assert (answer.status, answer.message) == (502, UpstreamUnreachable.message)
    assert len(gateway.requests) == 1


@contextmanager
def unheard_port() -> Iterator[int]:
    """A port that nobody listens on, and that no other program can get meanwhile."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_no_gateway_is_said_at_once_and_forgotten_when_it_is_back(tmp_path: Path) -> None:
    with unheard_port() as port, running_nginx(tmp_path, port) as nginx:
        started = monotonic()
        gone = [only(converse(connect(nginx), vector)) for vector in (GET, POST, GET)]
        seconds = monotonic() - started
        with upstream(KEEP, port=port):
            back = only(converse(connect(nginx), GET))

    for answer in gone:
        assert (answer.status, answer.message) == (502, UpstreamUnreachable.message)
        assert answer.headers["retry-after"] == "2"
    assert seconds < BOUND_SECONDS
    assert back.status == 200


@pytest.mark.parametrize(
    ("vector", "message"), [(GET, UpstreamTimeout.message), (POST, OutcomeUnknown.message)], ids=["GET", "POST"]
)
def test_a_gateway_that_says_nothing_is_given_up_and_not_asked_again(
    tmp_path: Path, vector: bytes, message: str
) -> None:
    with upstream(WAIT, KEEP) as gateway, running_nginx(tmp_path, gateway.port, edit=impatient) as nginx:
        answer = only(converse(connect(nginx), vector))

    assert (answer.status, answer.message) == (504, message)
    assert "retry-after" not in answer.headers
    assert len(gateway.requests) == 1
