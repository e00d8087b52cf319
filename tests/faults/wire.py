"""Raw sockets against a real server: bytes in, bytes out, and what reached the application."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic
from typing import Any, TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.settings import ServerSettings
from gateway.web.middleware.request_log import SAFE_ID
from gateway.web.server.back_pressure import BackPressures
from gateway.web.server.limits import ConnectionLimits
from gateway.web.server.listener import listen, several
from gateway.web.server.server import Server, build_config
from gateway.web.server.shedding import RequestGate
from gateway.web.timings import ServerTimings
from tests.support import BOUND_SECONDS

HASTE = ConnectionLimits(receive_seconds=0.3, unread_seconds=0.3, linger_seconds=0.3)
TIMINGS = ServerTimings(echo=0.0)
"""Two signals are two, however soon the second comes."""
LAST = b"GET /last HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
"""Sent after each vector: a connection that is still in order answers it and closes."""

Address = tuple[str, int]
Attempted = TypeVar("Attempted")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        """The message of an error of the gateway's own, which names no server."""
        assert "server" not in self.headers
        return self.message

    @property
    def message(self) -> str:
        """Of an error in the one shape of all errors; checks that it is, that it has an id and is not kept."""
        assert self.headers["content-type"] == "application/json"
        assert self.headers["cache-control"] == "private, no-store"
        assert SAFE_ID.fullmatch(self.headers["x-request-id"].encode())
        content = json.loads(self.body)
        assert list(content) == ["error"]
        assert isinstance(content["error"], str)
        return str(content["error"])


def answers_in(raw: bytes) -> list[Answer]:
    """All whole answers, in order; fails on anything that is none."""
    answers = []
    while raw:
        head, separator, raw = raw.partition(b"\r\n\r\n")
        assert separator, head
        status_line, *lines = head.decode("ascii").split("\r\n")
        version, status, _ = status_line.split(" ", 2)
        assert version == "HTTP/1.1"
        pairs = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), "a header twice"
        length = int(headers.get("content-length", 0))
        assert len(raw) >= length
        answers.append(Answer(int(status), headers, raw[:length]))
        raw = raw[length:]
    return answers


def read_to_end(connection: socket.socket) -> bytes:
    """Everything until the other side closes, however it does."""
    connection.settimeout(BOUND_SECONDS)
    received = bytearray()
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return bytes(received)


def read_answer(connection: socket.socket) -> Answer:
    """The next answer of a connection that stays open."""
    connection.settimeout(BOUND_SECONDS)
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        head += _some(connection, 1)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = bytearray()
    while len(body) < length:
        body += _some(connection, length - len(body))
    (answer,) = answers_in(bytes(head + body))
    return answer


def _some(connection: socket.socket, most: int) -> bytes:
    piece = connection.recv(most)
    assert piece, "closed in the middle of an answer"
    return piece


def send(connection: socket.socket, data: bytes) -> None:
    """Send, whether or not the other side still listens."""
    connection.settimeout(BOUND_SECONDS)
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(data)


def talk(address: Address, *pieces: bytes) -> list[Answer]:
    """Send the pieces, then read until the server closes."""
    with socket.create_connection(address, BOUND_SECONDS) as connection:
        for piece in pieces:
            send(connection, piece)
        return answers_in(read_to_end(connection))


def in_time(attempt: Callable[[], Attempted], *, is_late: Callable[[Attempted], bool]) -> Attempted:
    """What an attempt brings on a machine that did not stand still meanwhile: one that `is_late` is made again."""
    end = monotonic() + BOUND_SECONDS
    while is_late(brought := attempt()) and monotonic() < end:
        pass
    return brought


def request(target: str = "/", *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: gateway", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@dataclass
class Recorder:
    """An application that reads each request to its end and tells what it saw: method, path, body's length."""

    seen: list[tuple[str, str, int]] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        length, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            length += len(message["body"])
            more = message["more_body"]
        self.seen.append((scope["method"], scope["path"], length))
        self.scopes.append(scope)
        await answer_ok(send, scope["path"].encode())


async def answer_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def answer_ok(send: Send, body: bytes = b"ok") -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Running:
    """A server in a thread."""

    address: Address
    server: Server

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)


@contextmanager
def serving(
    app: ASGIApp,
    limits: ConnectionLimits = HASTE,
    *,
    gate: RequestGate | None = None,
    back_pressure: BackPressures | None = None,
    timings: ServerTimings = TIMINGS,
    **settings: Any,
) -> Iterator[Running]:
    """The application behind the very server that production runs, on a port of its own."""
    values: dict[str, Any] = {"trusted_proxies": (), "public_url": "", "metrics_networks": (), **settings}
    server_settings = ServerSettings(host="127.0.0.1", port=0, **values)
    started = Event()
    with listen(server_settings.host, server_settings.port) as listener:
        config = build_config(
            app, server_settings, gate=gate, back_pressure=back_pressure, limits=limits, timings=timings
        )
        server = Server(config, started.set, timings=timings)
        thread = Thread(target=server.run, kwargs={"sockets": several(listener)})
        running = Running(listener.getsockname(), server)
        thread.start()
        try:
            assert started.wait(BOUND_SECONDS)
            yield running
        finally:
            server.should_exit = True
            thread.join(BOUND_SECONDS)
            assert not thread.is_alive()


def wait_for_listener(address: Address) -> None:
    end, pause = monotonic() + BOUND_SECONDS, Event()
    while monotonic() < end:
        try:
            socket.create_connection(address, 1).close()
        except OSError:
            pause.wait(0.01)
        else:
            return
    raise AssertionError("nothing listens")
