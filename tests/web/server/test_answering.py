"""What of an application's answer reaches the wire, whole or broken, over a real server's sockets."""

import logging
import socket
from collections.abc import Iterator

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.web.server.limits import ConnectionLimits
from tests.faults.wire import Running, read_to_end, request, send, serving

LENGTH = (b"content-length", b"5")


class Messages:
    """An application that sends what a test puts here."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def answer(self, *bodies: bytes, headers: list[tuple[bytes, bytes]], status: int = 200) -> None:
        more = [*(True for _ in bodies[1:]), False]
        self.messages = [
            {"type": "http.response.start", "status": status, "headers": headers},
            *(
                {"type": "http.response.body", "body": body, "more_body": is_more}
                for body, is_more in zip(bodies, more, strict=True)
            ),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        for message in self.messages:
            await send(message)


@pytest.fixture(scope="module")
def app() -> Messages:
    return Messages()


@pytest.fixture(scope="module")
def server(app: Messages) -> Iterator[Running]:
    with serving(app, ConnectionLimits()) as running:
        yield running


@pytest.fixture(autouse=True)
def silent_log() -> Iterator[None]:
    """What a broken application did is logged with its traceback."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def asked(server: Running, method: str = "GET") -> tuple[bytes, bytes]:
    """The head but for its date, and what follows it until the server closes."""
    with socket.create_connection(server.address, 10) as connection:
        send(connection, request("/", "Connection: close", method=method))
        head, _, body = read_to_end(connection).partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"date: ")]
    return b"\r\n".join(lines), body


def test_head_and_body_come_as_they_were_sent(app: Messages, server: Running) -> None:
    app.answer(b"whole", headers=[LENGTH, (b"x-any", b"tab\tand \xff")])

    assert asked(server) == (
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-any: tab\tand \xff\r\nconnection: close",
        b"whole",
    )


def test_the_answer_to_head_has_no_body(app: Messages, server: Running) -> None:
    app.answer(b"whole", headers=[LENGTH])

    assert asked(server, "HEAD") == (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close", b"")


def test_an_answer_of_no_announced_length_comes_in_chunks(app: Messages, server: Running) -> None:
    app.answer(b"a", b"", b"bc", headers=[])

    head, body = asked(server)

    assert head == b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked"
    assert body == b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"


def test_an_answer_without_content_has_no_framing(app: Messages, server: Running) -> None:
    app.answer(b"", headers=[], status=204)

    assert asked(server) == (b"HTTP/1.1 204 No Content\r\nconnection: close", b"")


def test_the_application_may_end_the_connection(app: Messages, server: Running) -> None:
    app.answer(b"whole", headers=[LENGTH, (b"connection", b"close")])

    with socket.create_connection(server.address, 10) as connection:
        send(connection, request())
        answer = read_to_end(connection)

    assert answer.count(b"connection: close\r\n") == 1
    assert answer.endswith(b"whole")


@pytest.mark.parametrize(
    "header",
    [
        (b"x", b"a\r\nset-cookie: forged"),
        (b"x", b"a\nb"),
        (b"x", b"a\rb"),
        (b"x", b"a\0b"),
        (b"x", b"\x7f"),
        (b"x: y\r\nz", b""),
        (b"x y", b""),
        (b"x:", b""),
        (b"", b"a"),
    ],
)
def test_a_header_that_could_forge_another_is_never_sent(
    app: Messages, server: Running, header: tuple[bytes, bytes]
) -> None:
    app.answer(b"whole", headers=[LENGTH, header])

    head, body = asked(server)

    assert head.startswith(b"HTTP/1.1 500 ")
    assert b"forged" not in head
    assert b"connection: close" in head
    assert body == b'{"error":"Internal server error"}'


@pytest.mark.parametrize(("bodies", "seen"), [((b"longer",), b""), ((b"1234", b"56"), b"1234"), ((b"1234",), b"1234")])
def test_an_answer_of_another_length_than_announced_is_cut_off(
    app: Messages, server: Running, bodies: tuple[bytes, ...], seen: bytes
) -> None:
    app.answer(*bodies, headers=[LENGTH])

    _, body = asked(server)

    assert body == seen


def test_messages_out_of_order_are_no_answer(app: Messages, server: Running) -> None:
    app.messages = [{"type": "http.response.body", "body": b"whole"}]

    head, body = asked(server)

    assert head.startswith(b"HTTP/1.1 500 ")
    assert body == b'{"error":"Internal server error"}'
