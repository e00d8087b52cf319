"""Send a call to Airbyte and read its answer, over connections that are kept open.

No cookies, no redirects, no proxy unless the settings name one: what one customer's call brought never reaches
another's.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from gateway import __version__
from gateway.airbyte.bulkhead import Leave
from gateway.airbyte.call import Answer, Call, Fault
from gateway.airbyte.route import Proxy, Route
from gateway.airbyte.socket_connection import Origin, Received, connect
from gateway.airbyte.timings import SocketTimings
from gateway.airbyte.tls import verifying_tls
from gateway.errors import UpstreamUnreachable
from gateway.times import Clock

Value = TypeVar("Value")
PROXY_AUTHENTICATION_REQUIRED = 407


class Carrier(Protocol):
    """Carries one request at a time, and its answer."""

    @property
    def is_usable(self) -> bool: ...

    async def exchange(self, request: bytes, *, max_bytes: int, leave: Leave | None = None) -> Received: ...

    def close(self) -> None: ...


Connect = Callable[[], Awaitable[Carrier]]


def network(
    base_url: str,
    route: Route,
    *,
    connect_seconds: float,
    timings: SocketTimings,
    count_leftovers: Callable[[int], None],
) -> Connect:
    """Return what opens connections to Airbyte's host, with verified TLS for https.

    `count_leftovers` hears of bytes nobody asked for. Raises OperatorError if a file of authorities cannot be used.
    """
    parts = urlsplit(base_url)
    tls = verifying_tls(route.ca_file) if parts.scheme == "https" else None
    origin = Origin(parts.hostname or "", parts.port or (443 if tls else 80), tls, route.proxy)
    return lambda: connect(origin, seconds=connect_seconds, timings=timings, count_leftovers=count_leftovers)


class AirbyteClient:
    """Carries one request and its answer; knows no resource of Airbyte's by name."""

    def __init__(
        self,
        *,
        base_url: str,
        connect: Connect,
        clock: Clock,
        traceparent: Callable[[], bytes | None],
        forwarder: Proxy | None = None,
    ) -> None:
        """`traceparent` tells which trace a call belongs to, if to any; `forwarder` is a proxy that reads requests."""
        self._traceparent = traceparent
        parts = urlsplit(base_url)
        origin = f"{parts.scheme}://{parts.netloc}" if forwarder else ""
        self._path = (origin + parts.path.rstrip("/")).encode("ascii")
        self._forwarder = forwarder
        self._host = parts.netloc
        self._header: str | None = None
        self._fields = self._fields_with(None)
        self._connect = connect
        self._idle: list[Carrier] = []
        """The one that was used last is taken first: it is the warmest. The bulkhead bounds how many there are."""
        self._left: set[Carrier] = set()
        """Those whose answer nobody waits for any more."""
        self._clock = clock
        self.last_date = ""
        """The `Date` header of Airbyte's newest answer: its clock, not ours."""
        self.dated_at = 0.0
        """When that date was first seen, in monotonic seconds."""

    async def close(self) -> None:
        """Close the connections that are kept open."""
        for connection in (*self._idle, *self._left):
            connection.close()
        self._idle.clear()

    async def exchange(self, call: Call[Value], header: str | None, occupy: Leave | None = None) -> Answer:
        """Send one request and return its answer. Raises Fault.

        If it is given up, `occupy` is called, and what it returned when Airbyte is done with it.
        """
        connection = self._take() or await self._connect()
        leave = None if occupy is None else partial(self._leave, connection, occupy)
        received = await connection.exchange(self._request(call, header), max_bytes=call.max_bytes, leave=leave)
        self._idle.append(connection)
        if self._forwarder and received.status == PROXY_AUTHENTICATION_REQUIRED:
            refused = UpstreamUnreachable(detail=f"the proxy {self._forwarder} answers {received.status}")
            raise Fault(refused, transient=False, reached=False)
        fields = received.fields
        self._note_date(fields.get(b"date", ""))
        return Answer(
            status=received.status,
            content_type=fields.get(b"content-type", ""),
            retry_after=fields.get(b"retry-after", ""),
            body=received.body,
            delimited=received.is_delimited,
        )

    def _leave(self, connection: Carrier, occupy: Leave) -> Callable[[], None] | None:
        give_back = occupy()
        if give_back is None:
            return None
        self._left.add(connection)

        def end() -> None:
            self._left.discard(connection)
            give_back()

        return end

    def _take(self) -> Carrier | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.close()
        return None

    def _note_date(self, date: str) -> None:
        # The same text within a second keeps the moment it was first seen.
        if date and date != self.last_date:
            self.last_date = date
            self.dated_at = self._clock.monotonic()

    def _request(self, call: Call[Value], header: str | None) -> bytes:
        """Return the request as it stands on the wire."""
        if header != self._header:
            self._header, self._fields = header, self._fields_with(header)
        target, body, fields = self._path + call.path, call.body, self._fields
        traceparent = self._traceparent()
        if traceparent is not None:
            fields += b"traceparent: %b\r\n" % traceparent
        if body is None:
            return b"%b %b HTTP/1.1\r\n%b\r\n" % (call.method, target, fields)
        content = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        return b"%b %b HTTP/1.1\r\n%b%b" % (call.method, target, fields, content)

    def _fields_with(self, header: str | None) -> bytes:
        """Return the lines that all requests have, kept from call to call: they change with the token only."""
        fields = {
            "Host": self._host,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"airbyte-client-gateway/{__version__}",
            **({} if header is None else {"Authorization": header}),
            **(self._forwarder.fields if self._forwarder else {}),
        }
        return "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode("latin-1")
