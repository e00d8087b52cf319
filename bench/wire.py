"""HTTP as a load speaks it: one request at a time on a connection, and nothing looked at but status and length."""

import asyncio
import re
import socket
import time
from collections.abc import Iterable

_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) .*?content-length: (\d+)\r\n", re.DOTALL | re.IGNORECASE)


class Wire(asyncio.Protocol):
    """A connection that asks one thing at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.answer: asyncio.Future[int] | None = None
        self._head = b""
        self._missing = 0
        self._status = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        self._head, self._missing = b"", 0
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.answer

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            head, separator, body = self._head.partition(b"\r\n\r\n")
            match = _HEAD.match(head + b"\r\n") if separator else None
            if match is None:
                return
            self._status, self._missing = int(match[1]), int(match[2]) - len(body)
        if self._missing <= 0 and self.answer is not None and not self.answer.done():
            self.answer.set_result(self._status)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(exc or ConnectionError("closed"))


async def connect(port: int) -> Wire:
    _, wire = await asyncio.get_running_loop().create_connection(Wire, "127.0.0.1", port)
    return wire


def request_for(path: str, key: str = "") -> bytes:
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    return f"GET {path} HTTP/1.1\r\nHost: gateway\r\n{authorization}\r\n".encode()


def seconds_of_each(port: int, requests: Iterable[bytes]) -> list[float]:
    """Return how long a caller who is alone waits for each answer. wrk would count a long one several times over.

    Raises RuntimeError at an answer that is not a good one.
    """
    seconds = []
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for request in requests:
            began = time.perf_counter()
            connection.sendall(request)
            _read_good(connection)
            seconds.append(time.perf_counter() - began)
    return seconds


def _read_good(connection: socket.socket) -> None:
    answer = b""
    while (match := _HEAD.match(answer)) is None or b"\r\n\r\n" not in answer:
        answer += _receive(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    missing = int(match[2]) - len(body)
    while missing > 0:
        missing -= len(_receive(connection))
    if match[1] != b"200":
        raise RuntimeError(f"not the answer expected: {head.decode('latin-1')}")


def _receive(connection: socket.socket) -> bytes:
    piece = connection.recv(65536)
    if not piece:
        raise RuntimeError("closed instead of answered")
    return piece
