"""A server that answers each path of its own with prepared bytes, in plain text or over TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from gateway.doctor.timings import DoctorTimings
from tests.faults.fault import head_of
from tests.support import BOUND_SECONDS

PATIENT = DoctorTimings(**dict.fromkeys(DoctorTimings.__struct_fields__, BOUND_SECONDS))
"""For what answers: on a busy machine it may take longer than an operator would wait."""
TLS_HANDSHAKE = b"\x16"
SILENCE = b"silence"
"""Take the request and never answer."""
DRIP = b"drip"
"""Answer with one header field after the other, without end."""
DRIP_SECONDS = 0.01


def page(status: int, text: str = "<html></html>", *fields: str, content_type: str = "text/html") -> bytes:
    body = text.encode()
    return head_of(status, f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *fields) + body


async def drip(writer: asyncio.StreamWriter) -> None:
    """Send a header field now and then, until the other end is gone."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await writer.drain()
        await asyncio.sleep(DRIP_SECONDS)
        writer.write(b"X: y\r\n")


@asynccontextmanager
async def canned(
    answers: Mapping[str, bytes] | bytes,
    *,
    tls: ssl.SSLContext | None = None,
    answers_tls: bool = True,
    heard: list[str] | None = None,
) -> AsyncIterator[str]:
    """Serve, and give `host:port` of the server. `heard` gets the heads of requests.

    Asked over TLS, a server without it complains in plain text, as nginx does; or, without `answers_tls`, closes.
    """
    open_writers: set[asyncio.StreamWriter] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            first = await reader.readexactly(1)
            if first == TLS_HANDSHAKE:
                if answers_tls:
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
            elif data == DRIP:
                await drip(writer)
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
