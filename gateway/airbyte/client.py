"""Send bytes to Airbyte and read its answer, within a size limit. On the calls' way the only user of httpx2.

Calls go straight to httpx2's transport. The layers above it keep cookies across customers, can follow redirects
with our token and read proxies from the environment; none of that may ever happen here.
"""

import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

import httpx2

from gateway import __version__
from gateway.airbyte.call import Answer, Call, Fault
from gateway.airbyte.slots import Slots
from gateway.airbyte.timings import KEEPALIVE_SECONDS, USER_TIMEOUT_MILLISECONDS
from gateway.airbyte.tls import verifying_tls
from gateway.errors import UpstreamInvalid, UpstreamTimeout, UpstreamUnreachable
from gateway.times import Clock

Value = TypeVar("Value")
Transport = httpx2.AsyncBaseTransport


def network_transports() -> Callable[[], Transport]:
    """Return what makes transports of one socket connection each: verified TLS, no proxy, no environment."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MILLISECONDS))
    context = verifying_tls()
    return lambda: NetworkTransport(
        verify=context,
        trust_env=False,
        limits=httpx2.Limits(max_connections=1, keepalive_expiry=KEEPALIVE_SECONDS),
        socket_options=options,
    )


class NetworkTransport(httpx2.AsyncHTTPTransport):
    """One socket connection to Airbyte."""

    def has_leftovers(self) -> bool:
        """Return whether bytes came after the answer's end.

        httpx2 would take them for the answer to the next request, which may be another client's. It offers no way
        to ask, so this reaches into the pinned version; the fault suite notices if a newer one moved it.
        """
        for connection in self._pool.connections:
            http11 = getattr(connection, "_connection", None)
            if http11 is not None and http11._h11_state.trailing_data[0]:  # noqa: SLF001 - see above
                return True
        return False


def in_process_transport(app: Any) -> Transport:
    """Return a transport to an Airbyte that is an ASGI application in this very process: the demo's sandbox."""
    return InProcessTransport(app=app)


class InProcessTransport(httpx2.ASGITransport):
    """Reads the request target from where we put it, as httpx2's network transport does."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(raw_path=request.extensions["target"])
        return await super().handle_async_request(request)


class AirbyteClient:
    """Carries one request and its answer; knows no resource of Airbyte's by name."""

    def __init__(
        self,
        *,
        base_url: str,
        slots: Slots[Transport],
        clock: Clock,
        connect_seconds: float,
        count_leftovers: Callable[[int], None],
    ) -> None:
        """`count_leftovers` hears of answers nobody asked for."""
        self._base = httpx2.URL(base_url.rstrip("/"))
        self._base_path = self._base.raw_path.rstrip(b"/")
        self._header: str | None = None
        self._headers = self._headers_with(None)
        self._slots = slots
        self._clock = clock
        self._connect_seconds = connect_seconds
        self._count_leftovers = count_leftovers
        self.last_date = ""
        """The `Date` header of Airbyte's newest answer: its clock, not ours."""
        self.dated_at = 0.0
        """When that date was first seen, in monotonic seconds."""

    async def close(self) -> None:
        """Close the socket connections."""
        for transport in self._slots.all:
            await transport.aclose()

    async def exchange(self, call: Call[Value], header: str | None) -> Answer:
        """Send one request and return its answer. Raises Fault, for each exception of httpx2's."""
        answering = False
        transport = self._slots.take()
        try:
            response = await transport.handle_async_request(self._request(call, header))
            answering = True
            fields = _fields(response)
            try:
                body = await _read_body(response, fields, call.max_bytes)
            finally:
                await response.aclose()
        except (httpx2.TransportError, OSError) as error:
            raise _fault(error, answering=answering) from error
        finally:
            if isinstance(transport, NetworkTransport) and transport.has_leftovers():
                self._count_leftovers(1)
                self._slots.all.remove(transport)
                await transport.aclose()
            else:
                self._slots.give_back(transport)
        self._note_date(fields.get(b"date", ""))
        return Answer(
            status=response.status_code,
            content_type=fields.get(b"content-type", ""),
            retry_after=fields.get(b"retry-after", ""),
            body=body,
            delimited=b"content-length" in fields or b"transfer-encoding" in fields,
        )

    def _note_date(self, date: str) -> None:
        # The same text within a second keeps the moment it was first seen.
        if date and date != self.last_date:
            self.last_date = date
            self.dated_at = self._clock.monotonic()

    def _headers_with(self, header: str | None) -> httpx2.Headers:
        """Return the header fields, kept from call to call: they change with the token only."""
        headers = [
            ("Host", self._base.netloc.decode("ascii")),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", f"airbyte-client-gateway/{__version__}"),
        ]
        if header is not None:
            headers.append(("Authorization", header))
        return httpx2.Headers(headers)

    def _request(self, call: Call[Value], header: str | None) -> httpx2.Request:
        if header != self._header:
            self._header, self._headers = header, self._headers_with(header)
        headers = self._headers
        if call.body is not None:
            headers = headers.copy()
            headers["Content-Type"] = "application/json"
        return httpx2.Request(
            "GET" if call.body is None else "POST",
            self._base,
            headers=headers,
            content=call.body,
            extensions={
                # The target as it stands on the wire: a URL made for each call costs more than its JSON.
                "target": self._base_path + call.path,
                "timeout": {
                    "connect": self._connect_seconds,
                    "read": call.deadline_seconds,
                    "write": call.deadline_seconds,
                    "pool": call.deadline_seconds,
                },
            },
        )


def _fields(response: httpx2.Response) -> dict[bytes, str]:
    """Return the header fields by name in lower case. httpx2's own look-up decodes all of them first."""
    fields: dict[bytes, str] = {}
    for name, value in response.headers.raw:
        key, text = name.lower(), value.decode("latin-1")
        fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return fields


async def _read_body(response: httpx2.Response, fields: dict[bytes, str], max_bytes: int) -> bytes:
    """Return the body. Raises Fault if it is compressed (a bomb could be) or larger than `max_bytes`."""
    if fields.get(b"content-encoding", "identity") != "identity":
        raise Fault(UpstreamInvalid(detail="a compressed answer, though we asked for none"), transient=False)
    chunks: list[bytes] = []
    size = 0
    stream = response.stream
    if not isinstance(stream, httpx2.AsyncByteStream):
        raise TypeError("the transport answers with a synchronous stream")
    try:
        async for chunk in stream:
            size += len(chunk)
            _require_size(size, max_bytes)
            chunks.append(chunk)
    except BaseException:
        # The traceback keeps this frame until the next garbage collection; twenty huge answers would keep 80 MB.
        chunks.clear()
        raise
    return b"".join(chunks)


def _require_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise Fault(UpstreamInvalid(detail=f"an answer of more than {max_bytes} bytes"), transient=False)


def _fault(error: httpx2.TransportError | OSError, *, answering: bool) -> Fault:
    """Return what a failure of httpx2's means. Only a failed connect is certain to have sent nothing.

    TLS that breaks after its handshake comes through as an SSLError, which is an OSError, of Python's own.
    """
    # The text of other errors may quote what came over the wire, and with it what we sent: our token.
    detail = f"{type(error).__name__}: {error}" if isinstance(error, httpx2.ConnectError) else type(error).__name__
    if isinstance(error, httpx2.ConnectTimeout):
        return Fault(UpstreamTimeout(detail=detail), transient=True, reached=False)
    if isinstance(error, httpx2.ConnectError | httpx2.UnsupportedProtocol):
        return Fault(UpstreamUnreachable(detail=detail), transient=not _is_tls(error), reached=False)
    if isinstance(error, httpx2.TimeoutException):
        return Fault(UpstreamTimeout(detail=detail), transient=False)
    if not answering and (isinstance(error, httpx2.NetworkError | OSError) or is_disconnect(error)):
        return Fault(UpstreamUnreachable(detail=detail), transient=True)
    return Fault(UpstreamInvalid(detail=detail), transient=answering)


def _is_tls(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def is_disconnect(error: Exception) -> bool:
    """Return whether the other end closed before its answer; else the parser complained of what it sent."""
    cause = error.__cause__
    parser_complaint = cause and (cause.__cause__ or cause.__context__)
    return isinstance(error, httpx2.RemoteProtocolError) and parser_complaint is None
