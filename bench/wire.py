"""HTTP as the load speaks it: one request at a time on a connection, and nothing looked at but the status."""

import asyncio
import re

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
