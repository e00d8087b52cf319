"""One socket connection to Airbyte: one request at a time, and exact knowledge of what became of it.

HTTP/1.1 by httptools, uvicorn's own parser. Whether any byte of a request was sent decides if a trigger may be sent
again. Bytes that nobody asked for could be taken for the answer to another client's request: they end the connection.
"""

import asyncio
import select
import ssl
from collections.abc import Callable, Container
from typing import Any, NamedTuple, cast

import httptools

from gateway.airbyte.bulkhead import Leave
from gateway.airbyte.call import Fault
from gateway.airbyte.dial import dial
from gateway.airbyte.route import Proxy
from gateway.airbyte.timings import SocketTimings
from gateway.errors import UpstreamInvalid, UpstreamTimeout, UpstreamUnreachable

MAX_HEAD_BYTES = 100 * 1024
"""Of all heads of an answer, and what may stand between chunks and behind them beyond the size of the body itself."""
MAX_FIELDS = 1000
INTERIM = range(100, 200)


class Origin(NamedTuple):
    """Where Airbyte listens; `tls` is None for plain HTTP. `proxy` leads there."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    proxy: Proxy | None = None


class Received(NamedTuple):
    """An answer as it came. `fields`: by name in lower case, those of one name joined by commas."""

    status: int
    fields: dict[bytes, str]
    body: bytes

    @property
    def is_delimited(self) -> bool:
        """Whether its end was announced, so that a cut would have been noticed."""
        return is_delimited(self.fields)


def is_delimited(fields: Container[bytes]) -> bool:
    """Return whether header fields of these names announce the end of a body."""
    return b"content-length" in fields or b"transfer-encoding" in fields


async def connect(
    origin: Origin, *, seconds: float, timings: SocketTimings, count_leftovers: Callable[[int], None]
) -> "SocketConnection":
    """Open a connection within so many seconds. Raises Fault, and then nothing was sent."""
    loop = asyncio.get_running_loop()
    host, port, tls, proxy = origin
    try:
        async with asyncio.timeout(seconds):
            opened = await dial(host, port, proxy, is_tls=tls is not None, seconds=seconds, timings=timings)
            try:
                _, connection = await loop.create_connection(
                    lambda: SocketConnection(opened.fileno(), count_leftovers, timings),
                    sock=opened,
                    ssl=tls,
                    server_hostname=host if tls else None,
                )
            except BaseException:
                opened.close()
                raise
    except TimeoutError:
        late = UpstreamTimeout(detail=f"no connection within {seconds} s")
        raise Fault(late, transient=True, reached=False) from None
    except OSError as error:
        unreachable = UpstreamUnreachable(detail=f"{type(error).__name__}: {error}")
        raise Fault(unreachable, transient=not isinstance(error, ssl.SSLError), reached=False) from error
    return connection


class SocketConnection(asyncio.Protocol):
    """An open one, until `is_usable` says no."""

    def __init__(self, descriptor: int, count_leftovers: Callable[[int], None], timings: SocketTimings) -> None:
        """`count_leftovers` hears of bytes nobody asked for."""
        self._loop = asyncio.get_running_loop()
        self._count_leftovers = count_leftovers
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._timings = timings
        self._idle_since = self._loop.time()
        # One for all answers: it begins anew after each whole one, and any other ends the connection.
        self._parser = httptools.HttpResponseParser(self)
        # Of the exchange under way; and of one that was given up, and that Airbyte may still be busy with.
        self._answered: asyncio.Future[Received] | None = None
        self._on_end: Callable[[], None] | None = None

    async def exchange(self, request: bytes, *, max_bytes: int, leave: Leave | None = None) -> Received:
        """Send a request and return its answer, its body not larger than `max_bytes`. Raises Fault.

        A caller that gives up ends the connection: the answer could still come. With `leave` it ends when it has come.
        """
        if self._transport.is_closing():
            # It ended between the connect and this call: nobody would ever tell of an answer.
            gone = UpstreamUnreachable(detail="the connection ended before a request")
            raise Fault(gone, transient=True, reached=False)
        self._forget_answer()
        self._max_bytes = max_bytes
        self._answered = self._loop.create_future()
        self._transport.write(request)
        try:
            return await self._answered
        except BaseException:
            if leave and not self._received and not self._transport.is_closing():
                self._on_end = leave()
            if self._on_end is None:
                self.close()
            else:
                self._too_late = self._loop.call_later(self._timings.left, self.close)
            raise
        finally:
            self._answered = None

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent: neither the end nor bytes nobody asked for came, and not long ago."""
        is_warm = self._loop.time() < self._idle_since + self._timings.keepalive
        return is_warm and not self._transport.is_closing() and not self._poll.poll(0)

    def close(self) -> None:
        """End the connection at once: nothing that is under way is worth waiting for."""
        self._transport.abort()

    def _forget_answer(self) -> None:
        self._status = self._received = self._field_count = self._size = 0
        self._fields: dict[bytes, str] = {}
        self._chunks: list[bytes] = []
        self._has_head = self._is_complete = self._stays = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport. Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is none by type

    def data_received(self, data: bytes) -> None:
        """Parse a part of the answer, and end the exchange when it is whole or wrong. Called by asyncio."""
        answered = self._answered
        if answered is None or answered.done():
            self._end_with_leftovers()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # After a whole answer it is of what comes behind it that the parser complains.
            if not self._is_complete:
                self._fail(_fault_of(error))
                return
            self._end_with_leftovers()
        if self._is_complete:
            self._succeed()
        elif self._received > MAX_HEAD_BYTES + 2 * self._size:
            self._fail(_invalid("too much in an answer is not its body"))

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange under way: an answer without a length is whole now. Called by asyncio."""
        if self._on_end is not None:
            self._too_late.cancel()
            self._on_end()
        if self._answered is None or self._answered.done():
            return
        if self._has_head and not exc and not is_delimited(self._fields):
            self._succeed()
        elif self._has_head:
            self._fail(_invalid("the connection ended within an answer", transient=True))
        else:
            self._fail(Fault(UpstreamUnreachable(detail="the connection ended before an answer"), transient=True))

    def on_message_begin(self) -> None:
        """Begin an answer, which an interim one may precede. Raises Fault for a second one."""
        if self._is_complete:
            # A second answer: an error of the parser's from here on.
            raise _invalid("two answers to one request")
        self._fields = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the answer; several of one name become one (RFC 9110 §5.3). Raises Fault for too many."""
        self._field_count += 1
        if self._field_count > MAX_FIELDS:
            raise _invalid(f"an answer of more than {MAX_FIELDS} fields")
        if self._has_head:
            # A trailer comes through the same callback and must not become a header (RFC 9110 §6.5.1).
            return
        key, text = name.lower(), value.decode("latin-1")
        self._fields[key] = f"{self._fields[key]}, {text}" if key in self._fields else text

    def on_headers_complete(self) -> None:
        """Note the status. Raises Fault for a compressed answer."""
        self._status = self._parser.get_status_code()
        self._has_head = self._status not in INTERIM
        if self._fields.get(b"content-encoding", "").lower() not in {"", "identity"}:
            # A bomb could be in it.
            raise _invalid("a compressed answer, though we asked for none")

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body. Raises Fault if the answer is longer than was asked for."""
        self._size += len(body)
        if self._size > self._max_bytes:
            raise _invalid(f"an answer of more than {self._max_bytes} bytes")
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Note that the answer is whole, unless it is an interim one."""
        if self._has_head:
            self._is_complete = True
            # Asked later, the parser has forgotten it.
            self._stays = self._parser.should_keep_alive()

    def _succeed(self) -> None:
        if not self._stays:
            self.close()
        self._idle_since = self._loop.time()
        cast("asyncio.Future[Received]", self._answered).set_result(
            Received(self._status, self._fields, b"".join(self._chunks))
        )

    def _fail(self, fault: Fault) -> None:
        # The traceback keeps this object for a while; twenty huge answers would keep 80 MB.
        self._chunks.clear()
        self.close()
        cast("asyncio.Future[Received]", self._answered).set_exception(fault)

    def _end_with_leftovers(self) -> None:
        if self._on_end is None:
            self._count_leftovers(1)
        self.close()


def _invalid(detail: str, *, transient: bool = False) -> Fault:
    return Fault(UpstreamInvalid(detail=detail), transient=transient)


def _fault_of(error: Any) -> Fault:
    """Return the fault that a callback raised, or what the parser's own complaint means.

    Not the parser's text: it may quote what came over the wire.
    """
    reason = error.__context__
    return reason if isinstance(reason, Fault) else _invalid(f"no HTTP/1.1: {type(error).__name__}")
