"""A server that answers each path of its own with prepared bytes, in plain text or over TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from tests.faults.fault import head_of

TLS_HANDSHAKE = b"\x16"
SILENCE = b"silence"
"""Take the request and never answer."""


def page(status: int, text: str = "<html></html>", *fields: str, content_type: str = "text/html") -> bytes:
    body = text.encode()
    return head_of(status, f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *fields) + body


@asynccontextmanager
async def canned(
    answers: Mapping[str, bytes] | bytes, *, tls: ssl.SSLContext | None = None, heard: list[str] | None = None
) -> AsyncIterator[str]:
    """`host:port` of the server. `heard` gets the heads of requests."""
    open_writers: set[asyncio.StreamWriter] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            first = await reader.readexactly(1)
            if first == TLS_HANDSHAKE:
                writer.write(head_of(400, "Connection: close"))
                await writer.drain()
                writer.close()
                return
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            if heard is not None:
                heard.append(head)
            data = answers if isinstance(answers, bytes) else answers.get(head.split(" ")[1], page(404))
            if data == SILENCE:
                await reader.read()
            else:
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in open_writers:
            writer.transport.abort()
        # Both ends learn of it in the loop's next turns.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
