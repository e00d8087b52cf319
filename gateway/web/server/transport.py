"""A socket connection's transport, to which nothing is written after its end."""

import array
import asyncio
import fcntl
import termios
from typing import Any


class WatchedTransport:
    """Writes nothing to a socket connection that is gone: uvloop would raise, and it tells the protocol only in the
    next round of the event loop, so a client could fill the log with tracebacks.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        # Asked for with every answer: bound once.
        self.is_closing = transport.is_closing
        self.get_write_buffer_size = transport.get_write_buffer_size
        self._write = transport.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, unless the socket connection is being closed."""
        if data and not self.is_closing():
            self._write(data)

    def write_eof(self) -> None:
        """End our side, unless the socket connection is being closed."""
        if not self.is_closing():
            self._transport.write_eof()

    def has_unread(self) -> bool:
        """Return whether something has come in that the event loop has not read yet."""
        if self.is_closing():
            return False
        size = array.array("i", [0])
        fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.FIONREAD, size)
        return size[0] > 0
