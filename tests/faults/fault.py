"""What can go wrong on the wire: a connection that counts every byte, and faults that answer in Airbyte's place.

A fault is a coroutine function that gets the `Exchange` instead of the right answer being sent; the factories below
make the usual ones.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from tests.faults.fault_server import FaultServer

BASE_PATH = "/api/public/v1"


@dataclass(frozen=True)
class Received:
    """One complete request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def route(self) -> str:
        path = urlsplit(self.target).path.removeprefix(BASE_PATH)
        return {"/applications/token": "token", "/jobs": "trigger" if self.method == "POST" else "jobs"}.get(
            path, path.split("/")[1]
        )

    def query(self, name: str) -> str:
        return parse_qs(urlsplit(self.target).query).get(name, [""])[0]


class Connection(asyncio.Protocol):
    """One accepted connection: what it brought, to the byte, and the task that answers."""

    def __init__(self, server: "FaultServer") -> None:
        self._server = server
        self._pending = bytearray()
        self._arrived = 0
        self._posts = False
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.received = bytearray()
        self.requests: list[Received] = []
        self.is_silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own is none by type
        self._server.connections.append(self)
        self._server.open_connections.add(self)
        self.task = asyncio.ensure_future(self._server.talk(self))

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if not self._arrived:
            self._server.exchanges += 1
            self._posts = data.startswith(b"POST ")
        self._arrived += len(data)
        self.received += data
        self._pending += data
        self._news.set()
        if self._pending[:1] == b"\x16" and self._server.refuses_tls:
            self.transport.write(head_of(400, "Connection: close"))
            self.transport.close()
        limit = self._server.cut_post_after
        if limit is not None and self._posts and self._arrived >= limit:
            self._server.cut_post_after = None
            self._pending.clear()
            self.reset()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.open_connections.discard(self)
        self.task.cancel()

    async def send(self, data: bytes) -> None:
        self.transport.write(data)
        await self._writable.wait()

    def reset(self) -> None:
        """Close by RST: whatever is unread or unsent is lost."""
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def receive(self) -> Received:
        """The next complete request."""
        head = (await self._take(lambda: self._pending.find(b"\r\n\r\n") + 4, at_least=4)).decode("latin-1")
        line, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in lines)}
        method, target, _ = line.split(" ")
        length = int(headers.get("content-length", "0"))
        request = Received(method, target, headers, await self._take(lambda: length, at_least=0))
        self._arrived = 0
        self.requests.append(request)
        return request

    async def _take(self, size: Callable[[], int], *, at_least: int) -> bytes:
        while size() < at_least or len(self._pending) < size():
            self._news.clear()
            await self._news.wait()
        taken = bytes(self._pending[: size()])
        del self._pending[: len(taken)]
        return taken


@dataclass(frozen=True)
class Exchange:
    """A request that awaits its answer: `head` and `body` are the right one."""

    request: Received
    connection: Connection
    head: bytes
    body: bytes

    async def send(self, data: bytes) -> None:
        await self.connection.send(data)

    def close(self) -> None:
        self.connection.transport.close()


Fault = Callable[[Exchange], Awaitable[None]]


def head_of(status: int, *fields: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Reason", *fields, "", ""]).encode("latin-1")


def answer(status: int, body: bytes = b"", *fields: str, content_type: str = "application/json") -> Fault:
    """A complete answer of our choosing."""

    async def fault(exchange: Exchange) -> None:
        await exchange.send(
            head_of(status, f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *fields) + body
        )

    return fault


def raw(data: bytes, *, then_close: bool = True) -> Fault:
    """Bytes as they are."""

    async def fault(exchange: Exchange) -> None:
        await exchange.send(data)
        if then_close:
            exchange.close()

    return fault


def cut(after: int, *, reset: bool = False) -> Fault:
    """The right answer, ended after so many bytes."""

    async def fault(exchange: Exchange) -> None:
        await exchange.send((exchange.head + exchange.body)[:after])
        exchange.connection.reset() if reset else exchange.close()

    return fault


async def answer_right(exchange: Exchange) -> None:
    await exchange.send(exchange.head + exchange.body)


async def close(exchange: Exchange) -> None:
    """End the connection without an answer."""
    exchange.close()


async def reset(exchange: Exchange) -> None:
    exchange.connection.reset()


async def hang(exchange: Exchange) -> None:
    """Silence until the other side goes, or the server is whole again."""
    exchange.connection.is_silent = True
    await asyncio.Event().wait()


async def garble(exchange: Exchange) -> None:
    """Bytes beneath the encryption, where only records may stand."""
    os.write(exchange.connection.transport.get_extra_info("socket").fileno(), b"\x17\x03\x03\x00\x20" + b"g" * 32)
    await asyncio.Event().wait()


def forever(start: bytes, drop: bytes, *, every: float = 0.0) -> Fault:
    """`start`, then `drop` again and again: a drip with a pause, a flood without."""

    async def fault(exchange: Exchange) -> None:
        await exchange.send(start)
        while True:
            await exchange.send(drop)
            await asyncio.sleep(every)

    return fault


def followed_by(extra: bytes, *, after: asyncio.Event | None = None, sent: asyncio.Event | None = None) -> Fault:
    """The right answer and one response too many, in the same segment or when `after` is set."""

    async def fault(exchange: Exchange) -> None:
        right = exchange.head + exchange.body
        await exchange.send(right + extra if after is None else right)
        if after is not None:
            await after.wait()
            await exchange.send(extra)
        if sent is not None:
            sent.set()

    return fault


def held(until: asyncio.Event) -> Fault:
    """The right answer, when `until` is set."""

    async def fault(exchange: Exchange) -> None:
        await until.wait()
        await exchange.send(exchange.head + exchange.body)

    return fault
