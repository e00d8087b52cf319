"""A connection's writes, gathered: one turn of the event loop makes one system call of them."""

import array
import asyncio
import fcntl
import termios
from typing import Any


class BufferedTransport:
    """Sends at the end of the turn what was written in it, and nothing after the connection's end.

    uvicorn writes an answer's head and body apart, and on a small answer the second `send` costs as much as all of
    our own work. Writing to a connection that is gone makes uvloop raise; it tells the protocol only a turn later,
    so that a client could fill the log with tracebacks.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pending = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._pending:
            self._pending += data
        elif data:
            self._pending = data
            self._loop.call_soon(self._flush)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + len(self._pending)

    def has_unread(self) -> bool:
        """Whether something has come in that the event loop has not read yet."""
        if self._transport.is_closing():
            return False
        size = array.array("i", [0])
        fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.FIONREAD, size)
        return size[0] > 0

    def write_eof(self) -> None:
        self._flush()
        if not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        pending, self._pending = self._pending, b""
        if pending and not self._transport.is_closing():
            self._transport.write(pending)
