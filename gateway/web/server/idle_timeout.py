"""Ends a socket connection that nobody uses, or whose client does not read what it is sent."""

import asyncio
from collections.abc import Callable

from gateway.web.server.limits import ConnectionLimits
from gateway.web.server.timer import Timer


class IdleTimeout:
    """One socket connection's. The timer after an answer is not begun anew for the next: it is asked how late it is."""

    __slots__ = (
        *("_ending", "_idle", "_idle_seconds", "_idle_since", "_is_busy", "_limits", "_look_seconds", "_loop"),
        *("_transport", "_unread_bytes"),
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        idle_seconds: float,
        limits: ConnectionLimits,
        is_busy: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._idle_seconds = idle_seconds
        self._limits = limits
        self._look_seconds = min(limits.unread_seconds, idle_seconds)
        self._is_busy = is_busy
        self._idle = Timer(loop)
        self._ending = Timer(loop)
        self._idle_since = 0.0
        self._unread_bytes = 0

    def begin(self, transport: asyncio.Transport) -> None:
        """Watch a socket connection that was just made."""
        self._transport = transport

    def stop(self) -> None:
        """Watch it no more."""
        self._idle.stop()
        self._ending.stop()

    def note_answer(self, unread_bytes: int) -> None:
        """Begin to count after an answer, of which the client has yet to read `unread_bytes` at most."""
        self._idle_since = self._loop.time()
        self._unread_bytes = unread_bytes
        if not self._idle.is_set:
            self._idle.start(self._look_seconds, self._on_idle)

    def linger(self) -> None:
        """Give the client a little time to read the last answer, then close."""
        self._idle.stop()
        self._ending.start(self._limits.linger_seconds, self._transport.abort)

    def expect_reading(self) -> None:
        """Close unless the client reads from now on."""
        self._unread_bytes = self._transport.get_write_buffer_size()
        self._ending.start(self._limits.unread_seconds, self._on_unread)

    def forgive(self) -> None:
        """Leave it open: the client has read."""
        self._ending.stop()

    def _on_idle(self) -> None:
        """Close what is idle or not read. An idle socket connection is no request: it is closed without an answer."""
        self._idle.stop()
        if self._transport.is_closing() or self._is_busy():
            return
        idle_seconds = self._loop.time() - self._idle_since
        unread = self._transport.get_write_buffer_size()
        if idle_seconds < self._look_seconds:
            self._idle.start(self._look_seconds - idle_seconds, self._on_idle)
        elif unread >= self._unread_bytes > 0:
            self._transport.abort()
        elif unread or idle_seconds < self._idle_seconds:
            self._unread_bytes = unread
            left = self._idle_seconds - idle_seconds
            self._idle.start(self._look_seconds if unread else min(left, self._look_seconds), self._on_idle)
        else:
            self._transport.close()

    def _on_unread(self) -> None:
        unread = self._transport.get_write_buffer_size()
        if unread and unread >= self._unread_bytes:
            self._transport.abort()
        elif unread:
            self.expect_reading()
