"""One request and its answer: what the application is called with, and how its answer goes over the wire.

uvicorn's own cycle looks at each name and each value of a header with an expression, writes the head by itself, and
makes an event and a callback of the loop for each request.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.errors import InternalError
from gateway.web.compatible_paths import form_of
from gateway.web.responses import Headers, error_answer

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

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
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

log = structlog.get_logger()


class ResponseCycle:
    """A request whose head has come in. The protocol sets what it learns of the rest, and of the caller."""

    __slots__ = (
        *("_default_headers", "_expected_bytes", "_flow", "_has_news", "_has_told_all", "_head", "_is_chunked"),
        *("_is_half_closed", "_news", "_on_response", "_tasks", "_transport"),
        *("body", "disconnected", "keep_alive", "more_body", "response_complete", "response_started", "scope"),
        *("task", "waiting_for_100_continue"),
    )

    def __init__(
        self,
        scope: Any,
        transport: asyncio.Transport,
        flow: FlowControl,
        default_headers: Headers,
        tasks: set[Any],
        *,
        expects_continue: bool,
        keep_alive: bool,
        on_response: Callable[[], None],
    ) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.disconnected = False
        self.waiting_for_100_continue = expects_continue
        self.body = bytearray()
        """What has come in of the body and was not received yet."""
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self._transport = transport
        self._flow = flow
        self._default_headers = default_headers
        self.task: asyncio.Task[None] | None = None
        """What runs it, once it is begun; one of the server's `tasks` until its end."""
        self._tasks = tasks
        self._on_response: Callable[[], None] | None = on_response
        self._has_news = False
        self._news: asyncio.Event | None = None
        """Made for whoever waits. Few applications do, and it takes 900 bytes."""
        self._has_told_all = False
        self._is_half_closed = False
        self._head = b""
        """Made, and not yet written."""
        self._is_chunked: bool | None = None
        self._expected_bytes = 0
        """Of the answer's body, as its head announced them."""

    async def run(self, app: "ASGI3Application") -> None:
        """Have the application answer; answer for one that fails, or that does not.

        The last thing its task does is to leave the server's tasks: a callback would be one more for the loop to call.
        """
        try:
            await app(self.scope, self.receive, self.send)
            self._check_answered()
        except BaseException as error:
            log.exception("unhandled_error", error=type(error).__name__)
            await self._end_unanswered()
        finally:
            self._on_response = None
            self._tasks.discard(self.task)
            self.task = None

    def _check_answered(self) -> None:
        if not (self.response_complete or self.disconnected):
            raise RuntimeError("The application gave no whole answer")

    async def _end_unanswered(self) -> None:
        """Answer for the application, in JSON as everywhere; close if it began an answer."""
        if self.response_started:
            self._transport.close()
        else:
            self.keep_alive = False
            form = form_of(self.scope["method"], self.scope["path"])
            await error_answer(InternalError(), form)(self.scope, self.receive, self.send)

    async def receive(self) -> Any:
        """Return the next message: a disconnect, too, for who has sent all and closed his side.

        That is all that is seen of a caller who left, until something is written to him. One who still reads, which is
        rare, gets his answer all the same, unless the application ends for a disconnect.
        """
        if self.waiting_for_100_continue and not self._transport.is_closing():
            self._transport.write(CONTINUE)
            self.waiting_for_100_continue = False
        if not self._is_over:
            self._flow.resume_reading()
            await self._wait_for_news()
        if self._is_over:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        self._has_told_all = not self.more_body
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    @property
    def _is_over(self) -> bool:
        """Whether there is nothing to receive any more."""
        return self.disconnected or self.response_complete or (self._has_told_all and self._is_half_closed)

    async def _wait_for_news(self) -> None:
        if not self._has_news:
            self._news = self._news or asyncio.Event()
            await self._news.wait()
            self._news.clear()
        self._has_news = False

    def note_news(self) -> None:
        """Wake who waits to receive: there is more of the body, or there will be no more."""
        self._has_news = True
        if self._news is not None:
            self._news.set()

    def note_half_closed(self) -> None:
        """Note that the client sends no more."""
        self._is_half_closed = True
        self.note_news()

    def disconnect(self) -> None:
        """Note that nobody is left to answer, if the answer is not complete."""
        self.disconnected = not self.response_complete
        self.note_news()

    @property
    def has_sent(self) -> bool:
        """Whether the client may have seen a part of the answer."""
        return self.response_started and not self._head

    async def send(self, message: Any) -> None:
        """Write a part of the answer, once there is room for it. The application's `send`, as ASGI has it."""
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
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

    def _render(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Return the head. Raises RuntimeError if one of `headers` could forge another."""
        for name, value in headers:
            if name not in PLAIN:
                self._note(name.lower(), value)
        made = [*map(b": ".join, self._default_headers), *map(b": ".join, headers), b""]
        lines = b"\r\n".join(made)
        if len(lines.translate(None, CONTROLS)) != len(lines) - 2 * (len(made) - 1):
            raise RuntimeError("A header's value has control characters")
        if not self.keep_alive and b"connection: close\r\n" not in lines:
            lines += b"connection: close\r\n"
        if self._is_chunked is None and self.scope["method"] != "HEAD" and status not in BODILESS:
            self._is_chunked = True
            lines += b"transfer-encoding: chunked\r\n"
        return b"%b%b\r\n" % (STATUS_LINE[status], lines)

    def _note(self, name: bytes, value: bytes) -> None:
        """Note what a header says of the body's framing or of the socket connection."""
        if name == b"content-length":
            self._expected_bytes = int(value)
            self._is_chunked = False
        elif name == b"transfer-encoding":
            self._is_chunked = True
        elif name == b"connection":
            self.keep_alive = self.keep_alive and value != b"close"
        elif NAME.fullmatch(name) is None:
            raise RuntimeError("A header's name is malformed")

    def _send_body(self, body: bytes, *, more: bool) -> None:
        head, self._head = self._head, b""
        if self.scope["method"] == "HEAD":
            self._expected_bytes = 0
            body = b""
        elif self._is_chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        else:
            self._expected_bytes -= len(body)
            if self._expected_bytes < 0:
                raise RuntimeError("The answer is longer than its Content-Length")
        self._transport.write(head + body)
        if not more:
            if self._expected_bytes:
                raise RuntimeError("The answer is shorter than its Content-Length")
            self.response_complete = True
            self.note_news()
            if not self.keep_alive:
                self._transport.close()
            if self._on_response is not None:
                self._on_response()
