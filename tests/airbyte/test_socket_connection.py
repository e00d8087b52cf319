"""The socket connection to Airbyte, over real sockets: answers in any pieces, cut anywhere, with anything behind them.

httpx2 is the reference: of the same bytes both make the same answer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx2
import pytest

from gateway.airbyte.call import Fault
from gateway.airbyte.socket_connection import MAX_FIELDS, MAX_HEAD_BYTES, Origin, Received, SocketConnection, connect
from gateway.airbyte.timings import SocketTimings
from gateway.errors import UpstreamInvalid, UpstreamUnreachable
from tests.support import BOUND_SECONDS

REQUEST = b"GET /jobs HTTP/1.1\r\nHost: airbyte\r\n\r\n"
MOST_BYTES = 1000
BODY = b'{"data":[]}'
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\nDate: now\r\n\r\n" + BODY
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Two: a\r\nx-two: b\r\n\r\n"
    b'4;ext="x"\r\n{"da\r\n7\r\nta":[]}\r\n0\r\nTrailer: x\r\n\r\n'
)
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + BODY
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + LENGTH
BODILESS = b"HTTP/1.1 204 No Content\r\n\r\n"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REFUSED = b"HTTP/1.1 404\r\nContent-Length: 2\r\n\r\n{}"
KEPT = {"length": LENGTH, "chunks": CHUNKED, "interim": INTERIM, "no content": BODILESS, "no reason": REFUSED}
GOOD = {**KEPT, "until close": UNTIL_CLOSE}


@asynccontextmanager
async def airbyte(*pieces: bytes, closes: bool = False) -> AsyncIterator[int]:
    """Answer each request with the pieces, each in a segment of its own; the port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if closes:
                writer.close()
                await writer.wait_closed()
                return

    async with speaking(talk) as port:
        yield port


@asynccontextmanager
async def speaking(talk: Talk) -> AsyncIterator[int]:
    """A server that talks so to each connection; the port."""
    tasks: list[asyncio.Task[None]] = []

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.ensure_future(_talk(talk, reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _talk(talk: Talk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await talk(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def connected(port: int, leftovers: list[int] | None = None) -> AsyncIterator[SocketConnection]:
    count = (leftovers if leftovers is not None else []).append
    origin = Origin("127.0.0.1", port, None)
    connection = await connect(origin, seconds=BOUND_SECONDS, timings=SocketTimings(), count_leftovers=count)
    try:
        yield connection
    finally:
        connection.close()


async def answer_of(*pieces: bytes, closes: bool = False) -> Received:
    async with airbyte(*pieces, closes=closes) as port, connected(port) as connection:
        return await connection.exchange(REQUEST, max_bytes=MOST_BYTES)


async def fault_of(*pieces: bytes) -> Fault:
    with pytest.raises(Fault) as caught:
        await answer_of(*pieces, closes=True)
    return caught.value


@pytest.mark.parametrize("name", GOOD)
async def test_an_answer_is_what_httpx2_makes_of_it(name: str) -> None:
    closes = name not in KEPT
    async with airbyte(GOOD[name], closes=closes) as port, httpx2.AsyncHTTPTransport() as reference:
        expected = await reference.handle_async_request(httpx2.Request("GET", f"http://127.0.0.1:{port}/jobs"))
        body = await expected.aread()

    received = await answer_of(GOOD[name], closes=closes)

    assert (received.status, received.body) == (expected.status_code, body)
    assert received.fields == {name.encode(): value for name, value in expected.headers.items()}


@pytest.mark.parametrize("name", GOOD)
async def test_an_answer_is_the_same_wherever_it_is_split(name: str) -> None:
    wire, closes = GOOD[name], name not in KEPT
    whole = await answer_of(wire, closes=closes)

    for at in range(1, len(wire)):
        assert await answer_of(wire[:at], wire[at:], closes=closes) == whole, at
    assert await answer_of(*(wire[at : at + 1] for at in range(len(wire))), closes=closes) == whole


@pytest.mark.parametrize("name", KEPT)
async def test_a_cut_answer_is_none_wherever_it_is_cut(name: str) -> None:
    """A read may be tried again; of a trigger it is unknown what it did."""
    wire = KEPT[name]
    for at in range(len(wire)):
        fault = await fault_of(wire[:at])
        assert fault.transient, at
        assert fault.error.reached, at
        has_head = at >= wire.index(b"\r\n\r\n", wire.rindex(b"HTTP/1.1")) + 4
        assert isinstance(fault.error, UpstreamInvalid if has_head else UpstreamUnreachable), at


@pytest.mark.parametrize("behind", [b"x", b"HTTP/1.1 200 OK\r\n", LENGTH, b"\x00" * 100, b"0\r\n\r\n"])
async def test_bytes_behind_an_answer_end_the_connection_and_are_counted(behind: bytes) -> None:
    for name, wire in KEPT.items():
        leftovers: list[int] = []
        async with airbyte(wire + behind) as port, connected(port, leftovers) as connection:
            received = await connection.exchange(REQUEST, max_bytes=MOST_BYTES)

            assert received == await answer_of(wire), name
            assert not connection.is_usable, name
            assert leftovers == [1], name


async def test_bytes_that_come_while_nothing_is_asked_end_the_connection_and_are_counted() -> None:
    leftovers: list[int] = []
    writers: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read(65536)
        writer.write(LENGTH)
        await reader.read()

    async with speaking(talk) as port, connected(port, leftovers) as connection:
        await connection.exchange(REQUEST, max_bytes=MOST_BYTES)
        assert connection.is_usable

        writers[0].write(LENGTH)
        while not leftovers:
            await asyncio.sleep(0)

        assert not connection.is_usable


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with airbyte(CHUNKED) as port, connected(port) as connection:
        answers = [await connection.exchange(REQUEST, max_bytes=MOST_BYTES) for _ in range(5)]

        assert connection.is_usable
    assert {answer.body for answer in answers} == {BODY}


async def test_a_caller_who_gives_up_ends_the_connection() -> None:
    async with airbyte(LENGTH[:-1]) as port, connected(port) as connection:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await connection.exchange(REQUEST, max_bytes=MOST_BYTES)

        assert not connection.is_usable


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2 * MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * MAX_HEAD_BYTES,
        CHUNKS + b"2\r\n{}\r\n0\r\nX: " + b"y" * 2 * MAX_HEAD_BYTES,
        CHUNKS + b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n",
        CHUNKS + b"2;" + b"x" * 2 * MAX_HEAD_BYTES,
        CHUNKS + b"0" * 2 * MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10\r\n0123456789abcdef\r\n" * 100,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    ],
    ids=[
        "a long field",
        "many fields",
        "more fields than are kept",
        "many interim answers",
        "a long trailer",
        "many trailers",
        "a long chunk extension",
        "a long chunk size",
        "a long body",
        "long chunks",
        "a long rest",
        "compressed",
        "upgraded",
        "another",
    ],
)
async def test_what_is_too_much_or_no_http_is_no_answer_and_not_asked_for_again(wire: bytes) -> None:
    fault = await fault_of(wire)

    assert isinstance(fault.error, UpstreamInvalid)
    assert not fault.transient


async def test_small_chunks_are_not_too_much() -> None:
    body = b"x" * 2 * MAX_HEAD_BYTES
    wire = CHUNKS + b"8;a=b\r\nxxxxxxxx\r\n" * (len(body) // 8) + b"0\r\n\r\n"

    async with airbyte(wire) as port, connected(port) as connection:
        received = await connection.exchange(REQUEST, max_bytes=len(body))

    assert received.body == body


@pytest.mark.parametrize("coding", [b"identity", b"Identity", b""])
async def test_an_answer_that_says_that_it_is_not_compressed_is_one(coding: bytes) -> None:
    """Names of codings may be written in capitals (RFC 9110 section 8.4.1)."""
    received = await answer_of(LENGTH.replace(b"Date: now", b"Content-Encoding: " + coding))

    assert received.body == BODY


async def test_a_connection_that_ended_before_its_first_request_says_that_nothing_was_sent() -> None:
    """So a trigger may be sent again, over another one."""

    async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        """Accept, and end at once."""

    async with speaking(hang_up) as port, connected(port) as connection:
        async with asyncio.timeout(BOUND_SECONDS):
            while connection.is_usable:
                await asyncio.sleep(0)
        for _ in range(3):  # what the socket shows by now, the loop tells in its next rounds
            await asyncio.sleep(0)
        with pytest.raises(Fault) as caught:
            await connection.exchange(REQUEST, max_bytes=MOST_BYTES)

    assert (caught.value.transient, caught.value.error.reached) == (True, False)
