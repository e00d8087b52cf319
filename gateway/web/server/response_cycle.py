"""One request and its answer: uvicorn's cycle, which sends an answer's head together with its body.

uvicorn looks at each name and each value of a header with an expression, and writes the head by itself.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from gateway.errors import InternalError
from gateway.web.compatible_paths import form_of
from gateway.web.responses import error_answer

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

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


class ResponseCycle(RequestResponseCycle):
    """What the application is called with."""

    _head = b""
    """Made, and not yet written."""
    _has_told_all = False
    _is_half_closed = False

    async def receive(self) -> Any:
        """Return the next message: a disconnect, too, for who has sent all and closed his side.

        That is all that is seen of a caller who left, until something is written to him. One who still reads, which is
        rare, gets his answer all the same, unless the application ends for a disconnect.
        """
        if self._has_told_all and self._is_half_closed:
            return {"type": "http.disconnect"}
        message: Any = await super().receive()
        if self._has_told_all and self._is_half_closed:
            return {"type": "http.disconnect"}
        self._has_told_all = message["type"] == "http.request" and not message["more_body"]
        return message

    def note_half_closed(self) -> None:
        """Note that the client sends no more."""
        self._is_half_closed = True
        self.message_event.set()

    @property
    def has_sent(self) -> bool:
        """Whether the client may have seen a part of the answer."""
        return self.response_started and not self._head

    async def send_500_response(self) -> None:
        """Answer for an application that failed outside of what renders failures: in JSON, as everywhere."""
        self.keep_alive = False
        form = form_of(self.scope["method"], self.scope["path"])
        await error_answer(InternalError(), form)(cast("Scope", self.scope), cast("Receive", self.receive), self.send)

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
            raise RuntimeError(f"{kind} is out of its order")

    def _render(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return the head. Raises RuntimeError if one of `headers` could forge another."""
        made = [b"%b: %b\r\n" % header for header in self.default_headers]
        for name, value in headers:
            if name not in PLAIN:
                self._note(name.lower(), value)
            made.append(b"%b: %b\r\n" % (name, value))
        lines = b"".join(made)
        if len(lines.translate(None, CONTROLS)) != len(lines) - 2 * len(made):
            raise RuntimeError("A header's value has control characters")
        if not self.keep_alive and b"connection: close\r\n" not in lines:
            lines += b"connection: close\r\n"
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in BODILESS:
            self.chunked_encoding = True
            lines += b"transfer-encoding: chunked\r\n"
        return b"%b%b\r\n" % (STATUS_LINE[status], lines)

    def _note(self, name: bytes, value: bytes) -> None:
        """Note what a header says of the body's framing or of the socket connection."""
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
