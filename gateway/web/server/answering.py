"""The answers on a socket connection: in the order of the requests, no faster than they are read, and the last one."""

import asyncio
from typing import TYPE_CHECKING, Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.web.draining import is_draining
from gateway.web.server.idle_timeout import IdleTimeout
from gateway.web.server.incoming import BETWEEN, HEAD, IncomingMessage
from gateway.web.server.limits import ConnectionLimits
from gateway.web.server.response_cycle import ResponseCycle
from gateway.web.server.transport import WatchedTransport

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope


class AnsweringProtocol(HttpToolsProtocol):
    """One socket connection, as far as it answers."""

    # There are thousands: with more attributes than Python keeps in the object itself, each would take 1.5 KB more.
    __slots__ = (
        *("_early_response", "_idle_timeout", "_ignores_input", "_is_stopping", "_limits", "_message", "_unanswered"),
        "_waiting",
    )

    cycle: ResponseCycle  # type: ignore[assignment]  # of what uvicorn's own is asked here, it has all

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ConnectionLimits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # uvicorn's is not used: even an empty deque takes 760 bytes.
        del self.pipeline
        self._waiting: list[ResponseCycle] = []
        """Requests that have come in and are not begun."""
        self._limits = limits
        self._message = IncomingMessage()
        self._unanswered = 0
        """Requests that the application has, or will have."""
        self._early_response = b""
        """Written after all other answers, as the last one."""
        self._ignores_input = False
        self._is_stopping = is_draining(app_state)
        self._idle_timeout = IdleTimeout(
            self.loop, idle_seconds=self.timeout_keep_alive, limits=limits, is_busy=lambda: self._is_busy
        )

    @property
    def _is_busy(self) -> bool:
        return self._unanswered > 0 or self._message.phase is not BETWEEN

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Watch what the client reads. Called by asyncio."""
        super().connection_made(WatchedTransport(transport))  # type: ignore[arg-type]  # delegates what it does not define
        self._idle_timeout.begin(self.transport)
        transport.set_write_buffer_limits(high=self._limits.unread_bytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request under way, and let go of all. Called by asyncio."""
        self._ignores_input = True
        self._idle_timeout.stop()
        self.connections.discard(self)
        if self.cycle is not None:
            self.cycle.disconnect()
        if self.flow is not None:
            self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser = None  # type: ignore[assignment]  # it knows this object, which would live on

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body to the request, and stop reading while too much is unread."""
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.note_news()

    def _answer(self, scope: "HTTPScope") -> None:
        """Have the application answer; later, if an answer before is not finished or not read.

        As uvicorn does, without what this server has no use for: WebSocket, a root path, a cap on tasks.
        """
        # A client that is answered instead of told to continue may or may not send its body: no next request could be
        # told from it.
        may_stay = scope["http_version"] != "1.0" and not self._is_stopping and not self.expect_100_continue
        self.cycle = ResponseCycle(
            scope,
            self.transport,
            self.flow,
            self.server_state.default_headers,
            self.tasks,
            expects_continue=self.expect_100_continue,
            keep_alive=may_stay and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if not (self._unanswered or self.flow.write_paused):
            self._begin(self.cycle)
        else:
            self.flow.pause_reading()
            self._waiting.append(self.cycle)
        self._unanswered += 1

    def _begin_next(self) -> None:
        """Begin the next answer, unless one before it is still to be read: each costs memory while it waits."""
        if self._waiting and not self.flow.write_paused:
            self._begin(self._waiting.pop(0))

    def _begin(self, cycle: ResponseCycle) -> None:
        cycle.task = self.loop.create_task(cycle.run(self.app))
        self.tasks.add(cycle.task)

    def on_response_complete(self) -> None:
        """Begin the next request that waits, or wait for one. Called by the response cycle."""
        self.server_state.total_requests += 1
        self._unanswered -= 1
        transport = self.transport
        if transport.is_closing():
            # A close waits for all to be written: for ever, if the client does not read.
            self._idle_timeout.expect_reading()
            return
        self.flow.resume_reading()
        self._begin_next()
        if self._ignores_input and not self._unanswered:
            self._close_after_write()
        else:
            self._idle_timeout.note_answer(transport.get_write_buffer_size())

    def pause_writing(self) -> None:
        """Expect the client to read. Called by asyncio when too much is unread."""
        super().pause_writing()
        self._idle_timeout.expect_reading()

    def resume_writing(self) -> None:
        """Go on with what waited for the client to read. Called by asyncio."""
        super().resume_writing()
        if self._unanswered == len(self._waiting):
            self._begin_next()
        if not (self._ignores_input or self.transport.is_closing()):
            self._idle_timeout.forgive()

    def drain(self) -> None:
        """Close after the next answer, or after the one that is due and has not begun."""
        self._is_stopping = True
        if self._unanswered and self._message.phase is not HEAD and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Finish what is being received or answered, then close."""
        self._is_stopping = True
        # A request may have come while others were told to go; a proxy would not repeat it if it is a trigger.
        has_all = self._unanswered or not cast("WatchedTransport", self.transport).has_unread()
        if self._message.phase is not HEAD and has_all:
            super().shutdown()

    def _withdraw(self) -> bool:
        """Take back the request whose body is broken; return whether its answer has begun."""
        cycle = self.cycle
        if cycle.response_complete:
            return True
        self._unanswered -= 1
        if self._waiting:
            # Not begun: it waits for the answers before it.
            self._waiting.pop()
        cycle.waiting_for_100_continue = False
        cycle.disconnect()
        return cycle.has_sent

    def _stop_reading(self) -> None:
        """Ignore what still comes in, and close when all requests so far are answered."""
        self._ignores_input = True
        if not self._unanswered:
            self._close_after_write()

    def _close_after_write(self) -> None:
        """Write the early response, if there is one, and close when the client has had time to read."""
        self.flow.resume_reading()
        self.transport.write(self._early_response)
        self.transport.write_eof()
        self._idle_timeout.linger()
