"""HTTP/1.1 on a socket connection: uvicorn's protocol with the deadlines, limits and early responses it lacks.

uvicorn has no deadline for receiving a request and, with httptools, no limit on headers (Kludex/uvicorn#157, #2019).
"""

import asyncio
from typing import TYPE_CHECKING, Any, cast

import httptools

from gateway.errors import ApiError, BadRequest, Overloaded, RequestTimeout
from gateway.web.early_responses import EarlyResponses
from gateway.web.server.answering import AnsweringProtocol
from gateway.web.server.incoming import BETWEEN, BODY
from gateway.web.server.limits import PIECE_BYTES
from gateway.web.server.request_head import check_head, check_no_body, parser_refusal, refused_target
from gateway.web.server.scope import scope_of
from gateway.web.server.timer import Timer
from gateway.web.server.transport import WatchedTransport

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope


class GatewayProtocol(AnsweringProtocol):
    """One socket connection. After an early response nothing that still comes in is looked at."""

    __slots__ = ("_early_responses", "_receive_deadline")

    def __init__(self, *args: Any, early_responses: EarlyResponses, **options: Any) -> None:
        super().__init__(*args, **options)
        self._early_responses = early_responses
        self._receive_deadline = Timer(self.loop)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a request; close at once what is one too many. Called by asyncio."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            # Fewer than there are descriptors: at none left, the server could not even answer.
            self._ignores_input = True
            self._early_responses.note_closed()
            transport.abort()
            return
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for no request any more. Called by asyncio."""
        self._receive_deadline.stop()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn never keeps its side open
        """Return whether our side stays open: who sends no more may still read (RFC 9112 §9.6)."""
        is_between = self._message.phase is BETWEEN
        if self._ignores_input or (is_between and not self._unanswered):
            return False
        if is_between:
            self.cycle.note_half_closed()
            self._end_with_answers()
        else:
            self._respond_early(BadRequest("The request is incomplete"))
        return True

    def data_received(self, data: bytes) -> None:
        """Parse what came, piece by piece, and answer early what is no request. Called by asyncio."""
        if self._ignores_input:
            return
        try:
            if len(data) <= PIECE_BYTES:
                self._feed(data)
            else:
                for start in range(0, len(data), PIECE_BYTES):
                    self._feed(data[start : start + PIECE_BYTES])
        except httptools.HttpParserUpgrade:
            # RFC 9110 §7.8: an upgrade may be ignored. What follows may be of another protocol: it is not read.
            self._end_with_answers()
        except ApiError as error:
            self._respond_early(error)
        except httptools.HttpParserError as error:
            self._respond_early(parser_refusal(error, data), target=self.url or refused_target(data))
        else:
            if self._message.phase is not BETWEEN and not self._receive_deadline.is_set:
                self._start_deadline()

    def _feed(self, piece: bytes) -> None:
        message = self._message
        message.add(len(piece))
        self.parser.feed_data(piece)
        if message.phase is not BETWEEN:
            message.check_unfinished(self.url)

    def on_message_begin(self) -> None:
        """Begin a request. Called by httptools."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._message.begin()

    def on_headers_complete(self) -> None:
        """Check the head and take the request. Raises an ApiError, which the caller of the parser answers."""
        parser, version = self.parser, self.parser.get_http_version()
        self._message.check_head_size(self.url, self.headers)
        check_head(version, self.url, self.headers)
        if parser.should_upgrade():
            check_no_body(self.headers)
        if len(self._waiting) >= self._limits.pipelined:
            raise Overloaded
        self._take(scope_of(self, version))

    def _take(self, scope: "HTTPScope") -> None:
        """Hand the request whose head has come in to the application."""
        self._answer(scope)
        self._message.phase = BODY
        # Trailers come through the same callback and must not become headers (RFC 9110 §6.5.1).
        self.headers = []

    def on_message_complete(self) -> None:
        """Tell the request that its body is whole. Called by httptools."""
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.note_news()
        self._message.phase = BETWEEN
        self._receive_deadline.stop()

    def _start_deadline(self) -> None:
        self._receive_deadline.start(self._limits.receive_seconds, self._on_deadline)

    def _on_deadline(self) -> None:
        is_unused = self._message.phase is BETWEEN
        if self.flow.read_paused or (is_unused and cast("WatchedTransport", self.transport).has_unread()):
            # It is we who do not read: earlier requests are still being answered, or the machine stood still.
            self._start_deadline()
        elif is_unused:
            # Opened and never used. A 408 could be taken for the answer to a request sent at this moment.
            self.transport.close()
        else:
            self._respond_early(RequestTimeout())

    def _end_with_answers(self) -> None:
        """Close after the answers still due, of which the last one says so."""
        if self._unanswered:
            self.cycle.keep_alive = False
        self._stop_reading()

    def _stop_reading(self) -> None:
        self._receive_deadline.stop()
        super()._stop_reading()

    def _respond_early(self, error: ApiError, *, target: bytes = b"") -> None:
        """Answer without the application and close, after the answers still due: they come in the order of requests.

        `target` is the request's, if it is known otherwise than as its URL.
        """
        phase = self._message.phase
        # The parser's own word, never a caller's.
        method = self.parser.get_method().decode("ascii") if phase is not BETWEEN and self.url else "-"
        has_begun = phase is BODY and self._withdraw()
        if not has_begun:
            self._early_response = self._early_responses.final_answer(
                error,
                method,
                self.server_state.default_headers,
                target=target or self.url,
                address=self.client[0] if self.client else "",
            )
        self._stop_reading()
