"""Load shedding by the connections: refusals before the application is asked, and back-pressure on who got one."""

import asyncio
from collections import deque
from typing import Any, Protocol

from gateway.errors import Overloaded
from gateway.web.early_responses import EarlyResponses, Headers
from gateway.web.server.protocol import GatewayProtocol, Phase
from gateway.web.server.request_head import PLAIN_GET, has_content

TICK_SECONDS = 0.01
REFUSALS_EACH_TICK = 50
"""Without holding anybody; and released, when some are held. At some 15 µs for each a twelfth of a core."""
LONGEST_PAUSE_SECONDS = 0.1
ANSWERED_WITH_CONTENT = frozenset({b"GET", b"POST"})
"""Of the methods in use. A refused HEAD is left to the application, which has an answer without content."""


class RequestGate(Protocol):
    """Says which requests are refused because there are too many."""

    @property
    def is_pressed(self) -> bool:
        """Whether any may be; quickly told, as every request asks."""

    def expect(self) -> None:
        """A request is on its way to the application."""

    def guards(self, path: str) -> bool: ...

    def sheds(self, method: str, path: str) -> bool: ...


class Connection(Protocol):
    """What can be told that it may read again."""

    def release(self) -> None: ...


class BackPressure:
    """Connections that are not read from for a moment: their callers wait in TCP, at no cost to us.

    A refusal costs a hundredth of a request, but who comes back at once has it again at once: a thousand such callers
    would keep the core busy with refusals. So when there are many, those refused are read from again at a bounded
    pace. What it may cost others:
    - Nobody waits longer than a tenth of what Retry-After asks for: who obeys it never feels it. A proxy may send
      another caller's request over the connection; it is delayed by that at most, as one that waits for its turn is.
    - First held is first released. Who opens more connections has more of them held.
    - A caller who leaves is noticed when his connection is released. No deadline runs out meanwhile.
    """

    def __init__(self) -> None:
        self._held: deque[tuple[float, Connection]] = deque()
        self._refused = 0
        self._ticked_at = 0.0

    def holds(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether the connection just refused is to stop reading until it is told to go on."""
        now = loop.time()
        if not self._held:
            if now - self._ticked_at >= TICK_SECONDS:
                self._ticked_at = now
                self._refused = 0
            self._refused += 1
            if self._refused <= REFUSALS_EACH_TICK:
                return False
            loop.call_later(TICK_SECONDS, self._tick, loop)
        self._held.append((now + LONGEST_PAUSE_SECONDS, connection))
        return True

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        # The ticks of a busy loop come late; the pace is kept all the same.
        ticks = (now - self._ticked_at) / TICK_SECONDS
        self._ticked_at = now
        allowed = REFUSALS_EACH_TICK * ticks
        while self._held and (allowed >= 1 or self._held[0][0] <= now):
            _, connection = self._held.popleft()
            connection.release()
            allowed -= 1
        if self._held:
            loop.call_later(TICK_SECONDS, self._tick, loop)


class Shedding:
    """All of one process. For one event loop."""

    def __init__(self, gate: RequestGate, refusals: EarlyResponses) -> None:
        self._gate = gate
        self._refusals = refusals
        self._back_pressure = BackPressure()

    def refusal(self, method: bytes, target: bytes, headers: Headers, default_headers: Headers) -> bytes:
        """The whole answer to a request that is one too many; empty for one that is not, or is not told here."""
        if method not in ANSWERED_WITH_CONTENT or has_content(headers):
            return b""
        return self._shed(method, target, default_headers)

    def refusal_unparsed(self, data: bytes, default_headers: Headers) -> bytes:
        """The same, at half the price, for what is one plain request and nothing else."""
        if (match := PLAIN_GET.fullmatch(data)) is None:
            return b""
        return self._shed(b"GET", match[1], default_headers)

    def _shed(self, method: bytes, target: bytes, default_headers: Headers) -> bytes:
        path = target.partition(b"?")[0].decode("latin-1")
        if not self._gate.guards(path) or not self._gate.sheds(method.decode("ascii"), path):
            return b""
        return self._refusals.shed(default_headers)

    @property
    def is_pressed(self) -> bool:
        """Whether to ask for refusals at all."""
        return self._gate.is_pressed

    def expect(self) -> None:
        self._gate.expect()

    def holds(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> bool:
        return self._back_pressure.holds(connection, loop)


class SheddingProtocol(GatewayProtocol):
    """One connection, which answers what is too much by itself. Nothing may be owed before such an answer."""

    __slots__ = ("_has_shed", "_is_pressed", "_refused_together", "_shedding")

    def __init__(self, *args: Any, shedding: Shedding, **options: Any) -> None:
        super().__init__(*args, **options)
        self._shedding = shedding
        self._is_pressed = False
        """Looked up once for what comes in together."""
        self._has_shed = False
        self._refused_together = 0
        """Of the requests that came in one read."""

    def data_received(self, data: bytes) -> None:
        self._is_pressed = self._shedding.is_pressed
        if self._is_pressed and not self._is_busy and not (self._is_deaf or self._is_stopping):
            answer = self._shedding.refusal_unparsed(data, self.server_state.default_headers)
            if answer:
                self.transport.write(answer)
                self._end_refusal()
                return
        self._refused_together = 0
        super().data_received(data)

    def _is_shed(self) -> bool:
        if not self._is_pressed:
            self._shedding.expect()
            return False
        if self._owed or self._is_stopping or not self.parser.should_keep_alive():
            return False
        headers = self.server_state.default_headers
        answer = self._shedding.refusal(self.parser.get_method(), self.url, self.headers, headers)
        if answer:
            self._has_shed = True
            self.transport.write(answer)
        else:
            self._shedding.expect()
        return self._has_shed

    def on_message_complete(self) -> None:
        if not self._has_shed:
            super().on_message_complete()
            return
        self._has_shed = False
        self._phase = Phase.BETWEEN
        self._refused_together += 1
        if self._refused_together > self._limits.pipelined:
            # Each is longer than what caused it, and who sends so many need not read any.
            raise Overloaded
        self._end_refusal()

    def _end_refusal(self) -> None:
        self._deadline.stop()
        self._watch.note_answer(0)
        if not self.flow.read_paused and self._shedding.holds(self, self.loop):
            self.flow.pause_reading()

    def release(self) -> None:
        """Read on after having been shed; if an answer is owed by now, its end is soon enough."""
        if not self._owed and not self.transport.is_closing():
            self.flow.resume_reading()
