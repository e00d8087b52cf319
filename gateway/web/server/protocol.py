"""HTTP/1.1 on a connection: uvicorn's protocol with the deadlines, limits and JSON refusals it lacks.

uvicorn has no deadline for receiving a request and, with httptools, no limit on headers (Kludex/uvicorn#157, #2019).
"""

import asyncio
from enum import Enum
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.errors import ApiError, BadRequest, ContentTooLarge, HeadersTooLarge, Overloaded, RequestTimeout
from gateway.web.draining import is_draining
from gateway.web.early_responses import EarlyResponses
from gateway.web.server.idle_timeout import IdleTimeout
from gateway.web.server.limits import (
    MAX_MESSAGE_BYTES,
    MAX_UNFINISHED_HEAD_BYTES,
    PIECE_BYTES,
    ConnectionLimits,
)
from gateway.web.server.request_head import MAX_TARGET_BYTES, check_head, check_no_body, check_size
from gateway.web.server.response_cycle import ResponseCycle, ServerLines, scope_of
from gateway.web.server.timer import Timer
from gateway.web.server.transport import WatchedTransport


class Phase(Enum):
    """Where in a message the parser stands."""

    BETWEEN = 0
    HEAD = 1
    BODY = 2


class GatewayProtocol(HttpToolsProtocol):
    """One connection. After a refusal nothing that still comes in is looked at."""

    # There are thousands: with more attributes than Python keeps in the object itself, each would take 1.5 KB more.
    __slots__ = (
        "_deadline",
        "_is_deaf",
        "_is_stopping",
        "_limits",
        "_message_bytes",
        "_owed",
        "_phase",
        "_piece_bytes",
        "_refusal",
        "_refusals",
        "_server_lines",
        "_watch",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ConnectionLimits,
        refusals: EarlyResponses,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # Even an empty deque takes 760 bytes.
        self.pipeline = []  # type: ignore[assignment]  # what is used of it, a list has too
        self._limits = limits
        self._refusals = refusals
        self._phase = Phase.BETWEEN
        self._piece_bytes = 0
        self._message_bytes = 0
        self._owed = 0
        """Answers to requests whose head was accepted."""
        self._server_lines = ServerLines()
        self._is_deaf = False
        self._is_stopping = is_draining(app_state)
        self._refusal = b""
        self._deadline = Timer(self.loop)
        self._watch = IdleTimeout(
            self.loop, idle_seconds=self.timeout_keep_alive, limits=limits, is_busy=lambda: self._is_busy
        )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(WatchedTransport(transport))  # type: ignore[arg-type]  # delegates what it does not define
        self._watch.begin(self.transport)
        transport.set_write_buffer_limits(high=self._limits.unread_bytes)
        if len(self.connections) > self._limits.connections:
            # Fewer than there are descriptors: at none left, the server could not even refuse.
            self._is_deaf = True
            transport.abort()
            return
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_deaf = True
        self._deadline.stop()
        self._watch.stop()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn never keeps its side open
        """The client sends no more but may still read (RFC 9112 §9.6): True keeps our side open."""
        if self._is_deaf or (self._phase is Phase.BETWEEN and not self._owed):
            return False
        if self._phase is Phase.BETWEEN:
            self._close_after_answer()
        else:
            self._refuse(BadRequest("The request is incomplete"))
        return True

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        try:
            if len(data) <= PIECE_BYTES:
                self._feed(data)
            else:
                for start in range(0, len(data), PIECE_BYTES):
                    self._feed(data[start : start + PIECE_BYTES])
        except httptools.HttpParserUpgrade:
            # RFC 9110 §7.8: an upgrade may be ignored. What follows may be of another protocol: it is not read.
            self._close_after_answer()
        except ApiError as refusal:
            self._refuse(refusal)
        except httptools.HttpParserError as error:
            reason = error.__context__
            self._refuse(reason if isinstance(reason, ApiError) else BadRequest("Malformed HTTP request"))
        else:
            if self._phase is not Phase.BETWEEN and not self._deadline.is_set:
                self._start_deadline()

    def _feed(self, piece: bytes) -> None:
        self._piece_bytes = len(piece)
        self._message_bytes += len(piece)
        self.parser.feed_data(piece)
        if self._phase is Phase.HEAD and self._message_bytes > MAX_UNFINISHED_HEAD_BYTES:
            check_size(self.url, [])
            raise HeadersTooLarge
        if self._phase is Phase.BODY and self._message_bytes > MAX_MESSAGE_BYTES:
            raise ContentTooLarge

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._phase = Phase.HEAD
        # At most: a piece may begin with the end of the message before.
        self._message_bytes = self._piece_bytes

    def on_headers_complete(self) -> None:
        parser, version = self.parser, self.parser.get_http_version()
        if self._message_bytes > MAX_TARGET_BYTES:
            check_size(self.url, self.headers)
        check_head(version, self.url, self.headers)
        if parser.should_upgrade():
            check_no_body(self.headers)
        if len(self.pipeline) >= self._limits.pipelined:
            raise Overloaded
        if self._is_shed():
            return
        self._begin(version)
        self._owed += 1
        self._phase = Phase.BODY
        # Trailers come through the same callback and must not become headers (RFC 9110 §6.5.1).
        self.headers = []

    def _begin(self, version: str) -> None:
        """As uvicorn does, without what this server has no use for: WebSocket, a root path, a cap on tasks."""
        # A client that is answered instead of told to continue may or may not send its body: no next request could be
        # told from it.
        may_stay = version != "1.0" and not self._is_stopping and not self.expect_100_continue
        stays = may_stay and self.parser.should_keep_alive()
        server_lines = self._server_lines.of(self.server_state.default_headers)
        self.cycle = ResponseCycle(self, scope_of(self, version), server_lines, stays=stays)
        if not (self._owed or self.flow.write_paused):
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.insert(0, (self.cycle, self.app))

    def _is_shed(self) -> bool:
        """Whether the request whose head is complete has been answered, and the application is not to see it."""
        return False

    def on_message_complete(self) -> None:
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()
        self._phase = Phase.BETWEEN
        self._deadline.stop()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        self._owed -= 1
        transport = self.transport
        if transport.is_closing():
            # A close waits for all to be written: for ever, if the client does not read.
            self._watch.expect_reading()
            return
        self.flow.resume_reading()
        self._begin_next()
        if self._is_deaf and not self._owed:
            self._say_goodbye()
        else:
            self._watch.note_answer(transport.get_write_buffer_size())

    @property
    def _is_busy(self) -> bool:
        return self._owed > 0 or self._phase is not Phase.BETWEEN

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch.expect_reading()

    def _begin_next(self) -> None:
        """Unless an answer before it is still to be read: each costs memory while it waits."""
        if self.pipeline and not self.flow.write_paused:
            self._start_asgi_task(*self.pipeline.pop())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._owed == len(self.pipeline):
            self._begin_next()
        if not (self._is_deaf or self.transport.is_closing()):
            self._watch.forgive()

    def drain(self) -> None:
        """Close after the next answer, or after the one that is owed and has not begun."""
        self._is_stopping = True
        if self._owed and self._phase is not Phase.HEAD and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Finish what is being received or answered, then close."""
        self._is_stopping = True
        # A request may have come while others were told to go; a proxy would not repeat it if it is a trigger.
        if self._phase is not Phase.HEAD and (self._owed or not self.transport.has_unread()):  # type: ignore[attr-defined]  # ours
            super().shutdown()

    def _start_deadline(self) -> None:
        self._deadline.start(self._limits.receive_seconds, self._on_deadline)

    def _on_deadline(self) -> None:
        if self.flow.read_paused:
            # It is we who do not read: earlier requests are still being answered.
            self._start_deadline()
        elif self._phase is Phase.BETWEEN:
            # Opened and never used. A 408 could be taken for the answer to a request sent at this moment.
            self.transport.close()
        else:
            self._refuse(RequestTimeout())

    def _refuse(self, error: ApiError) -> None:
        """Answer and close, after the answers still owed: they come in the order of the requests."""
        self._is_deaf = True
        self._deadline.stop()
        # The parser's own word, never a caller's.
        method = self.parser.get_method().decode("ascii") if self._phase is not Phase.BETWEEN and self.url else "-"
        has_begun = self._phase is Phase.BODY and self._withdraw()
        if not has_begun:
            self._refusal = self._refusals.refuse(error, method, self.server_state.default_headers)
        if not self._owed:
            self._say_goodbye()

    def _withdraw(self) -> bool:
        """Take back the request whose body is broken; True if its answer has begun."""
        cycle = self.cycle
        if cycle.response_complete:
            return True
        self._owed -= 1
        if self.pipeline:
            # Newest first. Not begun: it waits for the answers before it.
            del self.pipeline[0]
        cycle.disconnected = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        return cast("ResponseCycle", cycle).has_sent

    def _close_after_answer(self) -> None:
        self._is_deaf = True
        self._deadline.stop()
        if not self._owed:
            self._say_goodbye()
        else:
            self.cycle.keep_alive = False

    def _say_goodbye(self) -> None:
        self.flow.resume_reading()
        self.transport.write(self._refusal)
        self.transport.write_eof()
        self._watch.linger()
