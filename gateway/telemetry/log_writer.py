"""Writes the log from a thread of its own: whoever logs never waits for whoever reads.

A pipe whose reader stands still (a stuck journald, a container's log driver, a paused terminal) blocks `write` for as
long as it stands. An event loop that writes itself stands still with it, and does not even notice a SIGTERM.
"""

import os
import select
import threading
import time
from collections import deque
from contextlib import suppress

import structlog

from gateway.telemetry.timings import LogTimings

MOST_BYTES = 4 * 1024 * 1024
"""Kept for a reader that stands still: some 15,000 lines of requests. What comes after them is lost, and counted."""

log = structlog.get_logger()


class LogWriter:
    """A text stream, as far as a log needs one, over the file descriptor of somebody else. For any thread."""

    def __init__(self, descriptor: int, timings: LogTimings, *, most_bytes: int = MOST_BYTES) -> None:
        self._descriptor = descriptor
        self._timings = timings
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        """Not written, those included that are being written."""
        self._lost = 0
        """Lines for which there was no room, and of which the log does not tell yet."""
        self._has_news = threading.Event()
        self._has_written = threading.Condition(self._lock)
        # A daemon: a thread that is held in a write must not hold the process.
        threading.Thread(target=self._write_for_ever, name="log", daemon=True).start()

    def isatty(self) -> bool:
        """Return whether people look on: what they see has colours."""
        return os.isatty(self._descriptor)

    def write(self, text: str) -> int:
        """Take whole lines, or lose them all when there is no room."""
        lines = text.encode("utf-8", "backslashreplace")
        with self._lock:
            if self._bytes + len(lines) > self._most_bytes:
                self._lost += text.count("\n")
                return len(text)
            self._bytes += len(lines)
            self._waiting.append(lines)
        self._has_news.set()
        return len(text)

    def flush(self) -> None:
        """Do nothing: what was taken is written soon, and nobody waits for it."""

    def close(self) -> None:
        """Wait until all is written, as far as there is time."""
        with self._has_written:
            self._has_written.wait_for(lambda: self._bytes == 0, self._timings.close)

    def _write_for_ever(self) -> None:
        while True:
            self._has_news.wait()
            self._has_news.clear()
            with self._lock:
                lines = b"".join(self._waiting)
                self._waiting.clear()
            self._write(lines)
            with self._has_written:
                self._bytes -= len(lines)
                lost, self._lost = self._lost, 0
                self._has_written.notify_all()
            if lost:
                log.warning("log_lines_lost", count=lost)
            time.sleep(self._timings.pause)

    def _write(self, lines: bytes) -> None:
        """Write all, however long it takes. On a full disk, or when the reader is gone, the rest is lost."""
        with suppress(OSError):
            while lines:
                try:
                    lines = lines[os.write(self._descriptor, lines) :]
                except BlockingIOError:
                    # Whoever shares the descriptor made it so.
                    select.select([], [self._descriptor], [], self._timings.retry)
