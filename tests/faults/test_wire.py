"""Bytes that proxies and servers are known to read differently: one reading here, alone and behind nginx.

Each vector is followed by a plain request. Directly, the table says exactly what is answered and what the
application saw. Behind nginx, whose reading differs by version, the application sees the same or nothing.
"""

import socket
from collections.abc import Iterator

import pytest

from gateway.web.server.limits import ConnectionLimits
from tests.faults.wire import (
    LAST,
    Answer,
    Recorder,
    Running,
    answers_in,
    read_to_end,
    send,
    serving,
)
from tests.nginx.support import Nginx, running_nginx
from tests.support import BOUND_SECONDS

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Seen = list[tuple[str, str, int]]
REFUSED: tuple[list[int], Seen] = ([400], [])
UNKNOWN_METHOD: tuple[list[int], Seen] = ([501], [])


def get(*headers: str, target: str = "/first", version: str = "1.1", host: str = "Host: gateway\r\n") -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"GET {target} HTTP/{version}\r\n{host}{lines}\r\n".encode("latin-1")


def post(*headers: str, body: str = "", version: str = "1.1") -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"POST /first HTTP/{version}\r\nHost: gateway\r\n{lines}\r\n{body}".encode("latin-1")


def accepted(path: str = "/first", *, method: str = "GET", length: int = 0) -> tuple[list[int], Seen]:
    return [200, 200], [(method, path, length), ("GET", "/last", 0)]


def closed(method: str = "GET", length: int = 0) -> tuple[list[int], Seen]:
    return [200], [(method, "/first", length)]


UNKNOWN_SECOND = ([200, 501], [("GET", "/first", 0)])
POSTED = accepted(method="POST", length=3)
EMPTY_POSTED = accepted(method="POST")
VECTORS: dict[str, tuple[bytes, tuple[list[int], Seen]]] = {
    "a plain request": (get(), accepted()),
    "a body of announced length": (post("Content-Length: 3", body="abc"), POSTED),
    "a chunked body": (post(CHUNKED, body="3\r\nabc\r\n0\r\n\r\n"), POSTED),
    "Content-Length before chunked": (post("Content-Length: 6", CHUNKED, body="0\r\n\r\n" + SMUGGLED), REFUSED),
    "chunked before Content-Length": (post(CHUNKED, "Content-Length: 6", body="0\r\n\r\n" + SMUGGLED), REFUSED),
    "two equal lengths": (post("Content-Length: 3", "Content-Length: 3", body="abc"), REFUSED),
    "two different lengths": (post("Content-Length: 3", "Content-Length: 0", body="abc"), REFUSED),
    "a length with a plus": (post("Content-Length: +3", body="abc"), REFUSED),
    "a length in hexadecimal": (post("Content-Length: 0x3", body="abc"), REFUSED),
    "a list of lengths": (post("Content-Length: 3, 3", body="abc"), REFUSED),
    "a negative length": (post("Content-Length: -1", body=SMUGGLED), REFUSED),
    "an empty length": (post("Content-Length: ", body=SMUGGLED), REFUSED),
    "a length beyond 64 bits": (post("Content-Length: 18446744073709551619", body="abc"), REFUSED),
    "a list of codings": (post("Transfer-Encoding: gzip, chunked", body="0\r\n\r\n" + SMUGGLED), REFUSED),
    "chunked twice": (post(CHUNKED, CHUNKED, body="0\r\n\r\n" + SMUGGLED), REFUSED),
    "coding identity": (post("Transfer-Encoding: identity", body=SMUGGLED), REFUSED),
    "coding xchunked": (post("Transfer-Encoding: xchunked", body=SMUGGLED), REFUSED),
    "chunked in capitals": (post("Transfer-Encoding: CHUNKED", body="0\r\n\r\n"), EMPTY_POSTED),
    "chunked in quotes": (post('Transfer-Encoding: "chunked"', body="0\r\n\r\n" + SMUGGLED), REFUSED),
    "chunked after a vertical tab": (post("Transfer-Encoding: \x0bchunked", body="0\r\n\r\n" + SMUGGLED), REFUSED),
    "chunked and a space": (post("Transfer-Encoding: chunked ", body="0\r\n\r\n"), REFUSED),
    "chunked and a tab": (post("Transfer-Encoding: chunked\t", body="0\r\n\r\n"), REFUSED),
    "a space before the colon": (post("Transfer-Encoding : chunked", body="0\r\n\r\n" + SMUGGLED), REFUSED),
    "an underscore in the name": (post("Transfer_Encoding: chunked"), EMPTY_POSTED),
    "a folded Transfer-Encoding": (post("Transfer-Encoding:\r\n chunked", body="0\r\n\r\n" + SMUGGLED), REFUSED),
    "Transfer-Encoding in a folded line": (post("X: y\r\n Transfer-Encoding: chunked", body=SMUGGLED), REFUSED),
    "chunked in HTTP/1.0": (post(CHUNKED, body="0\r\n\r\n" + SMUGGLED, version="1.0"), REFUSED),
    "lines ended by line feeds": (b"GET /first HTTP/1.1\nHost: gateway\n\n", REFUSED),
    "a line ended by a carriage return": (b"GET /first HTTP/1.1\rHost: gateway\r\n\r\n", REFUSED),
    "a carriage return in a value": (get("X: a\rb"), REFUSED),
    "NUL in a value": (get("X: a\0b"), REFUSED),
    "NUL in a name": (get("X\0: b"), REFUSED),
    "NUL in the target": (get(target="/fi\0rst"), REFUSED),
    "bytes above 0x7F in a value": (get("X: \x80\xff"), accepted()),
    "bytes above 0x7F in a name": (get("X\x80: a"), REFUSED),
    "an empty line before the request": (b"\r\n\r\n" + get(), accepted()),
    "a space before the request": (b" " + get(), REFUSED),
    "a chunk extension": (post(CHUNKED, body="3;a=b\r\nabc\r\n0\r\n\r\n"), POSTED),
    "line feed in a chunk extension": (post(CHUNKED, body="3;a\nabc\r\n0\r\n\r\n" + SMUGGLED), REFUSED),
    "chunks ended by line feeds": (post(CHUNKED, body="3\nabc\n0\n\n" + SMUGGLED), REFUSED),
    "a chunk size with 0x": (post(CHUNKED, body="0x3\r\nabc\r\n0\r\n\r\n" + SMUGGLED), REFUSED),
    "a chunk size beyond 64 bits": (post(CHUNKED, body="10000000000000003\r\nabc\r\n0\r\n\r\n" + SMUGGLED), REFUSED),
    "a negative chunk size": (post(CHUNKED, body="-3\r\nabc\r\n0\r\n\r\n" + SMUGGLED), REFUSED),
    "a chunk size and a space": (post(CHUNKED, body="3 \r\nabc\r\n0\r\n\r\n"), REFUSED),
    "a chunk longer than its size": (post(CHUNKED, body="3\r\nabcXX0\r\n\r\n" + SMUGGLED), REFUSED),
    "Content-Length as a trailer": (post(CHUNKED, body="3\r\nabc\r\n0\r\nContent-Length: 50\r\n\r\n"), REFUSED),
    "Authorization as a trailer": (post(CHUNKED, body="3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\n\r\n"), POSTED),
    "HTTP/0.9": (b"GET /first\r\n\r\n", REFUSED),
    "HTTP/0.9 by number": (get(version="0.9"), REFUSED),
    "HTTP/1.0": (get(version="1.0"), closed()),
    "HTTP/1.0 without Host": (get(version="1.0", host=""), closed()),
    "HTTP/1.2": (get(version="1.2"), REFUSED),
    "HTTP/2.0": (get(version="2.0"), REFUSED),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", REFUSED),
    "a URL as the target": (get(target="http://gateway/first"), accepted()),
    "a URL of another host": (get(target="http://evil/first"), REFUSED),
    "a URL with a user": (get(target="http://gateway@evil/first"), REFUSED),
    "a URL of another scheme": (get(target="ftp://gateway/first"), REFUSED),
    "CONNECT": (b"CONNECT gateway:80 HTTP/1.1\r\nHost: gateway\r\n\r\n", REFUSED),
    "an asterisk as the target": (b"OPTIONS * HTTP/1.1\r\nHost: gateway\r\n\r\n", REFUSED),
    "a fragment": (get(target="/first#x"), REFUSED),
    "a target without a slash": (get(target="first"), REFUSED),
    "bytes above 0x7F in the target": (get(target="/\xff"), REFUSED),
    "a space in the target": (get(target="/a b"), REFUSED),
    "an upgrade to HTTP/2": (
        get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAA"),
        closed(),
    ),
    "an upgrade with a body": (post("Connection: Upgrade", "Upgrade: h2c", "Content-Length: 3", body="abc"), REFUSED),
    "an upgrade to WebSocket": (get("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"), closed()),
    "no Host": (get(host=""), REFUSED),
    "two Hosts": (get("Host: gateway"), REFUSED),
    "two different Hosts": (get("Host: evil"), REFUSED),
    "an empty Host": (get(host="Host:\r\n"), REFUSED),
    "Host with a path": (get(host="Host: a/b\r\n"), REFUSED),
    "Host with a user": (get(host="Host: a@b\r\n"), REFUSED),
    "Host with a space": (get(host="Host: a b\r\n"), REFUSED),
    "Host with a port that is no number": (get(host="Host: a:b\r\n"), REFUSED),
    "a list of Hosts": (get(host="Host: a, b\r\n"), REFUSED),
    "Host by IPv6 address": (get(host="Host: [::1]:80\r\n"), accepted()),
    "a method nobody knows": (b"BREW /first HTTP/1.1\r\nHost: gateway\r\n\r\n", UNKNOWN_METHOD),
    "a method in small letters": (b"get /first HTTP/1.1\r\nHost: gateway\r\n\r\n", UNKNOWN_METHOD),
    "a method of RTSP": (b"DESCRIBE /first HTTP/1.1\r\nHost: gateway\r\n\r\n", UNKNOWN_METHOD),
    "the method of HTTP/2's preface": (b"PRI /first HTTP/1.1\r\nHost: gateway\r\n\r\n", UNKNOWN_METHOD),
    "a method nobody knows after a request": (get() + b"BREW / HTTP/1.1\r\nHost: gateway\r\n\r\n", UNKNOWN_SECOND),
    "what is no request after one": (get() + b'{"a": 1}\r\n\r\n', ([200, 400], [("GET", "/first", 0)])),
    "a method that is no token": (b"G@T /first HTTP/1.1\r\nHost: gateway\r\n\r\n", REFUSED),
    "a tab after the method": (b"GET\t/first HTTP/1.1\r\nHost: gateway\r\n\r\n", REFUSED),
    "a TLS handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", REFUSED),
    "an encoded slash": (get(target="/a%2Fb"), accepted("/a/b")),
    "two dots": (get(target="/a/../b"), accepted("/a/../b")),
    "two encoded dots": (get(target="/a/%2e%2e/b"), accepted("/a/../b")),
    "two dots and a semicolon": (get(target="/a/..;/b"), accepted("/a/..;/b")),
    "double slashes": (get(target="//a//b"), accepted("//a//b")),
    "bytes that are no UTF-8": (get(target="/%ff"), accepted("/\N{REPLACEMENT CHARACTER}")),
    "an encoded NUL": (get(target="/%00"), accepted("/\0")),
    "an encoded line end": (get(target="/%0d%0a"), accepted("/\r\n")),
    "a percent sign before no digits": (get(target="/%zz"), accepted("/%zz")),
    "Expect": (post("Content-Length: 3", "Expect: 100-continue", body="abc"), closed("POST", 3)),
}
SECOND_REQUEST_FOR_NGINX = {"line feed in a chunk extension", "chunks ended by line feeds"}
"""nginx takes a line feed for a line's end there, so that what follows is a request of its own, answered as one."""


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def server(recorder: Recorder) -> Iterator[Running]:
    with serving(recorder, ConnectionLimits(receive_seconds=BOUND_SECONDS, linger_seconds=0.2)) as running:
        yield running


def answers_to(address: tuple[str, int], vector: bytes) -> list[Answer]:
    with socket.create_connection(address, BOUND_SECONDS) as connection:
        send(connection, vector)
        send(connection, LAST)
        return answers_in(read_to_end(connection).replace(CONTINUE, b""))


@pytest.mark.parametrize(("vector", "expected"), VECTORS.values(), ids=VECTORS)
def test_alone(server: Running, recorder: Recorder, vector: bytes, expected: tuple[list[int], Seen]) -> None:
    recorder.seen.clear()

    answers = answers_to(server.address, vector)

    assert ([answer.status for answer in answers], recorder.seen) == expected
    for answer in answers:
        if answer.status != 200:
            assert answer.error
            assert answer.headers["connection"] == "close"
            assert answer.headers["cache-control"] == "private, no-store"


@pytest.fixture(scope="module")
def nginx(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with running_nginx(tmp_path_factory.mktemp("nginx"), server.address[1]) as running:
        yield running


@pytest.mark.parametrize("name", [name for name in VECTORS if name != "HTTP/0.9"])
def test_behind_nginx(nginx: Nginx, recorder: Recorder, name: str) -> None:
    vector, (_, expected) = VECTORS[name]
    recorder.seen.clear()

    answers = answers_to(nginx.address, vector)

    served = [("GET", "/last", 0)] if ("GET", "/last", 0) in recorder.seen else []
    before = [each for each in recorder.seen if each not in served]
    alone = [each for each in expected if each[1] != "/last"]
    assert not alone or before in ([], alone)
    own_paths = {"/first", "/smuggled"} if name in SECOND_REQUEST_FOR_NGINX else {"/first"}
    assert alone or {path for _, path, _ in before} <= own_paths
    assert len(before) <= len(own_paths)
    assert [answer.status for answer in answers].count(200) == len(recorder.seen)
    assert {answer.status for answer in answers} <= {200, 400, 405, 421, 501, 505}
    for answer in answers:
        assert answer.headers["server"] == "nginx"
        assert answer.status == 200 or answer.message


def test_a_client_that_stops_sending_still_reads_every_answer(server: Running, recorder: Recorder) -> None:
    recorder.seen.clear()
    with socket.create_connection(server.address, BOUND_SECONDS) as connection:
        send(connection, get() + get(target="/second"))
        connection.shutdown(socket.SHUT_WR)

        answers = answers_in(read_to_end(connection))

    assert [answer.status for answer in answers] == [200, 200]
    assert [path for _, path, _ in recorder.seen] == ["/first", "/second"]


@pytest.mark.parametrize("incomplete", [get()[:-4], post("Content-Length: 5", body="ab")], ids=["head", "body"])
def test_a_request_that_ends_early_is_refused_after_the_answers_still_owed(
    server: Running, recorder: Recorder, incomplete: bytes
) -> None:
    recorder.seen.clear()
    with socket.create_connection(server.address, BOUND_SECONDS) as connection:
        send(connection, get() + incomplete)
        connection.shutdown(socket.SHUT_WR)

        answers = answers_in(read_to_end(connection))

    assert [answer.status for answer in answers] == [200, 400]
    assert len(recorder.seen) == 1
