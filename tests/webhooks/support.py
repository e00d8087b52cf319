"""A receiver of webhooks on a real port, which remembers what it got and answers as it is told."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support import BOUND_SECONDS

ALLOWED: dict[str, Any] = {"webhooks": {"allowed_networks": ("127.0.0.0/8",), "allow_http": True}}
"""Settings that let webhooks go to this machine."""


@dataclass
class Message:
    """A request that a receiver got."""

    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content


@dataclass
class Receiver:
    """`answer` returns the status for the next message; None: it hangs until `release` is set."""

    url: str = ""
    messages: list[Message] = field(default_factory=list)
    answer: Callable[[Message], int | None] = lambda _: 200
    release: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def types(self) -> list[str]:
        return [message.content["type"] for message in self.messages]

    async def until(self, count: int) -> None:
        """Wait until so many messages have come."""
        async with asyncio.timeout(BOUND_SECONDS):
            while len(self.messages) < count:
                self.changed.clear()
                await self.changed.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)}
        message = Message(headers, await reader.readexactly(int(headers["content-length"])))
        self.messages.append(message)
        self.changed.set()
        status = self.answer(message)
        if status is None:
            await self.release.wait()
            status = 200
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()
    receiver.url = f"{'https' if tls else 'http'}://{host}:{port}/hooks"
    try:
        yield receiver
    finally:
        receiver.release.set()
        server.close()
