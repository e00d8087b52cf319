"""Load shedding by the socket connections: early responses before the application is asked, and back-pressure."""

import asyncio
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

from gateway.errors import Overloaded
from gateway.web.compatible_paths import ErrorForm
from gateway.web.early_responses import EarlyResponses
from gateway.web.responses import Headers
from gateway.web.server.back_pressure import BackPressure, BackPressures
from gateway.web.server.incoming import BETWEEN
from gateway.web.server.peers import Peers
from gateway.web.server.protocol import GatewayProtocol
from gateway.web.server.request_head import has_content

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope

ANSWERED_WITH_CONTENT = frozenset({"GET", "POST"})
"""Of the methods in use. A shed HEAD is left to the application, which has an answer without content."""


class RequestGate(Protocol):
    """Says which requests are refused because there are too many."""

    early_responses: EarlyResponses

    def sheds(self, scope: MutableMapping[str, Any]) -> bool: ...

    def form_of(self, scope: MutableMapping[str, Any]) -> ErrorForm: ...

    def is_known(self, scope: MutableMapping[str, Any]) -> bool: ...

    def has_ready_answer(self, scope: MutableMapping[str, Any]) -> bool: ...

    def is_refusal_likely(self, scope: MutableMapping[str, Any]) -> bool: ...

    def early_refusal(self, scope: MutableMapping[str, Any], default_headers: Headers) -> bytes | None: ...


class SheddingProtocol(GatewayProtocol):
    """One socket connection, which answers what is too much by itself if nothing is to be answered before it."""

    __slots__ = (
        "_address",
        "_answered_together",
        "_back_pressure",
        "_gate",
        "_hasty_until",
        "_held_by",
        "_is_answered",
        "_peers",
        "_sheds_later",
    )

    def __init__(
        self, *args: Any, gate: RequestGate, back_pressure: BackPressures, peers: Peers, **options: Any
    ) -> None:
        super().__init__(*args, early_responses=gate.early_responses, **options)
        self._gate = gate
        self._back_pressure = back_pressure
        self._peers = peers
        self._address: str | None = None
        """Where this socket connection is counted; None while it is not."""
        self._is_shed_known = False
        """Whether the caller who was shed, or another behind the same proxy, may have a good key."""
        self._is_answered = False
        """Whether the request that is coming in is answered already, and"""
        self._held_by: BackPressure | None = None
        """where its caller is held back, if many are."""
        self._hasty_until = 0.0
        """By the event loop's clock: who asks before it did not pause after his answer."""
        self._answered_together = 0
        """Here, of the requests that came in one read."""
        self._sheds_later = False
        """Whether the application answers a request that was shed: one with content, for instance."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Close what is more than its address's share. Called by asyncio."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if self._peers.enter(address, open_connections=len(self.connections), most=self._limits.connections):
            self._address = address
        else:
            self._ignores_input = True
            self._early_responses.note_closed()
            # It ends in the next round of the event loop; what is accepted in this one has the room already.
            self.connections.discard(self)
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the address its place back. Called by asyncio."""
        if self._address is not None:
            self._peers.leave(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Begin to count anew how many answers go out together. Called by asyncio."""
        self._answered_together = 0
        super().data_received(data)

    def _take(self, scope: "HTTPScope") -> None:
        self._peers.read_forwarded(scope)
        request: MutableMapping[str, Any] = scope  # type: ignore[assignment]  # a TypedDict is a dict
        if self._gate.has_ready_answer(request) and self._can_answer(scope):
            is_hasty = self.loop.time() < self._hasty_until
            self._held_by = self._back_pressure.others if is_hasty else self._back_pressure.probes
            self._answer_early(self._early_responses.healthy(request, self.server_state.default_headers))
            return
        is_shed = self._gate.sheds(request)
        if is_shed:
            self._is_shed_known = self._may_stay(request)
        if is_shed and scope["method"] in ANSWERED_WITH_CONTENT and self._can_answer(scope):
            self._held_by = self._pressure_of_shed(self._back_pressure.others)
            form = self._gate.form_of(request)
            self._answer_early(self._early_responses.shed(self.server_state.default_headers, form))
        elif not is_shed and (refusal := self._early_refusal(scope, request)) is not None:
            self._answer_early(refusal)
        else:
            self._sheds_later |= is_shed
            super()._take(scope)
            if self._is_crowded and not self._may_stay(request):
                self.cycle.keep_alive = False

    def _early_refusal(self, scope: "HTTPScope", request: MutableMapping[str, Any]) -> bytes | None:
        """Return the answer to who was refused before and is again; None where the application has to be asked."""
        gate = self._gate
        if not gate.is_refusal_likely(request) or scope["method"] not in ANSWERED_WITH_CONTENT or self._is_crowded:
            return None
        return gate.early_refusal(request, self.server_state.default_headers) if self._can_answer(scope) else None

    def _answer_early(self, answer: bytes) -> None:
        self._is_answered = True
        self.transport.write(answer)

    @property
    def _is_crowded(self) -> bool:
        """Whether there is little room left for socket connections."""
        return len(self.connections) > self._limits.crowd

    def _may_stay(self, scope: MutableMapping[str, Any]) -> bool:
        """Return whether a socket connection is kept after its answer while the room is needed for others."""
        return self._gate.is_known(scope) or (self._address is not None and self._peers.is_proxy(self._address))

    def _can_answer(self, scope: "HTTPScope") -> bool:
        """Return whether an answer may be written at once, and the next request told from this one.

        A client of HTTP/1.0 that is not told otherwise reads until we close (RFC 9112 §9.3).
        """
        parser = self.parser
        is_last = self._is_stopping or not parser.should_keep_alive() or parser.should_upgrade()
        is_last = is_last or scope["http_version"] == "1.0"
        return not (self._unanswered or self.flow.write_paused or is_last or has_content(self.headers))

    def on_message_complete(self) -> None:
        """Be ready for the next message. Raises Overloaded if too many came at once."""
        if not self._is_answered:
            super().on_message_complete()
            return
        self._is_answered = False
        back_pressure, self._held_by = self._held_by, None
        self._message.phase = BETWEEN
        self._receive_deadline.stop()
        self._idle_timeout.note_answer(0)
        self._answered_together += 1
        if self._answered_together > self._limits.pipelined:
            # Each is longer than what caused it, and who sends so many need not read any.
            raise Overloaded
        if back_pressure is not None:
            self._hold_back(back_pressure)

    def on_response_complete(self) -> None:
        """Note that the application answered. Who was shed waits no less for having been refused by it."""
        super().on_response_complete()
        if self._sheds_later and not self._unanswered and not self.transport.is_closing():
            self._sheds_later = False
            self._hold_back(self._pressure_of_shed(self._back_pressure.costly))

    def _pressure_of_shed(self, others: BackPressure) -> BackPressure:
        """Return what holds back a caller who was shed; `others` is for who has no known key."""
        return self._back_pressure.known if self._is_shed_known else others

    def _hold_back(self, back_pressure: BackPressure) -> None:
        """Read on later, if many are answered here."""
        self._hasty_until = self.loop.time() + self._limits.pause_seconds
        if not self.flow.read_paused and back_pressure.holds(self, self.loop):
            self.flow.pause_reading()

    def release(self) -> None:
        """Read on after having been held back; if an answer is due by now, its end is soon enough."""
        self._hasty_until = self.loop.time() + self._limits.pause_seconds
        if not self._unanswered and not self.transport.is_closing():
            self.flow.resume_reading()
