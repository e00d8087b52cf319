"""One request and its answer: uvicorn's cycle, with an answer's head made in one pass and sent with its body.

uvicorn looks at each name and value with an expression and sends the head by itself: more than all of our own work.
"""

import asyncio
import re
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.web.server.request_head import split_target

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope

NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROLS = bytes(code for code in (*range(0x20), 0x7F) if code != ord("\t"))
PLAIN = frozenset(
    (
        *(b"cache-control", b"content-type", b"link", b"ratelimit", b"ratelimit-policy", b"retry-after"),
        *(b"warning", b"www-authenticate", b"x-request-id"),
    )
)
"""Names that are well formed and say nothing about the socket connection, so that no more need be looked at."""
BODILESS = frozenset({204, 304})


class ServerLines:
    """The header lines every answer of the server's has; made once for each new set: once a second."""

    __slots__ = ("_headers", "_lines")

    def __init__(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._lines = b""

    def of(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        if headers is not self._headers:
            self._headers = headers
            self._lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return self._lines


class ResponseCycle(RequestResponseCycle):
    """What the application is called with."""

    # The values of all new cycles; where one changes, it becomes the cycle's own.
    disconnected = False
    more_body = True
    response_started: bool = False
    response_complete: bool = False
    chunked_encoding: bool | None = None
    expected_content_length = 0

    def __init__(self, connection: HttpToolsProtocol, scope: "HTTPScope", server_lines: bytes, *, stays: bool) -> None:
        """Instead of uvicorn's, which sets each value. `stays`: the connection may serve another request."""
        self.scope = scope
        self.transport = connection.transport
        self.flow = connection.flow
        self.logger = connection.logger
        self.on_response = connection.on_response_complete
        self.keep_alive = stays
        self.waiting_for_100_continue = connection.expect_100_continue
        self.message_event = asyncio.Event()
        self.body = bytearray()
        self._server_lines = server_lines
        self._head = b""

    @property
    def has_sent(self) -> bool:
        """Whether the client may have seen a part of the answer."""
        return self.response_started and not self._head

    async def send(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.body" and self.response_started and not self.response_complete:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start" and not self.response_started:
            self._head = self._render(message["status"], message.get("headers", ()))
            self.response_started = True
            self.waiting_for_100_continue = False
        else:
            raise RuntimeError(f"{kind} is out of its turn")

    def _render(self, status: int, headers: Any) -> bytes:
        """Return the head. Raises RuntimeError if one of `headers` could forge another."""
        made = []
        for name, value in headers:
            if name not in PLAIN:
                self._heed(name.lower(), value)
            made.append(b"%b: %b\r\n" % (name, value))
        lines = b"".join(made)
        if len(lines.translate(None, CONTROLS)) != len(lines) - 2 * len(made):
            raise RuntimeError("A header's value has control characters")
        if not self.keep_alive and b"connection: close\r\n" not in lines:
            lines += b"connection: close\r\n"
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in BODILESS:
            self.chunked_encoding = True
            lines += b"transfer-encoding: chunked\r\n"
        return b"%b%b%b\r\n" % (STATUS_LINE[status], self._server_lines, lines)

    def _heed(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            self.expected_content_length = int(value)
            self.chunked_encoding = False
        elif name == b"transfer-encoding":
            self.chunked_encoding = True
        elif name == b"connection":
            self.keep_alive = self.keep_alive and value != b"close"
        elif NAME.fullmatch(name) is None:
            raise RuntimeError("A header's name is malformed")

    def _send_body(self, body: bytes, *, more: bool) -> None:
        head, self._head = self._head, b""
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            body = b""
        elif self.chunked_encoding:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("The answer is longer than its Content-Length")
        self.transport.write(head + body)
        if not more:
            if self.expected_content_length:
                raise RuntimeError("The answer is shorter than its Content-Length")
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()


def scope_of(connection: HttpToolsProtocol, version: str) -> "HTTPScope":
    """Return the scope of the request whose head has come in. Raises BadRequest."""
    path, raw_path, query = split_target(connection.url)
    return {
        "type": "http",
        "asgi": {"version": connection.asgi_version, "spec_version": "2.3"},
        "http_version": version,
        "server": connection.server,
        "client": connection.client,
        "scheme": connection.scheme or "http",
        "root_path": "",
        "headers": connection.headers,
        "state": connection.app_state.copy(),
        "method": connection.parser.get_method().decode("ascii"),
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
    }
