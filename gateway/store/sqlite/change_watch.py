"""How a cache learns, without a query, that any process has committed to the database.

SQLite counts commits in the file itself: a rollback-journal database in bytes 24-27 of its header, a WAL
database in bytes 8-11 of its shared-memory index (sqlite.org/fileformat2.html, sqlite.org/walformat.html).
Reading four bytes costs under a microsecond, so a revocation by another process bites on the next request.
"""

import os
import sys
from pathlib import Path
from typing import Literal

HEADER_OFFSET = 24
INDEX_OFFSET = 8
COUNTER_BYTES = 4
COUNTER_RANGE = 1 << 32


class ChangeWatch:
    """A reader of the file's commit count, open from after the first SQLite connection until after the last.

    Closing any descriptor of a file drops the process's POSIX locks on it, so this one must outlive SQLite's.
    """

    def __init__(self, database: Path, *, journal: Literal["delete", "wal"]) -> None:
        self._wal = journal == "wal"
        path = f"{database}-shm" if self._wal else str(database)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._epoch = 0
        self._seen = self.count()
        self._expected: int | None = None

    def close(self) -> None:
        """Close the descriptor, after SQLite's own."""
        os.close(self._descriptor)

    def count(self) -> int:
        """Return SQLite's own count of commits."""
        raw = os.pread(self._descriptor, COUNTER_BYTES, INDEX_OFFSET if self._wal else HEADER_OFFSET)
        return int.from_bytes(raw, sys.byteorder if self._wal else "big")

    def epoch(self) -> int:
        """Return a number that is new whenever what was read before may be stale."""
        count = self.count()
        if count not in {self._seen, self._expected}:
            self._seen = count
            self._expected = None
            self._epoch += 1
        return self._epoch

    def expect(self, before: int) -> None:
        """Declare that the next commit after `before` will be ours, until `absorb` or `renounce`.

        The file tells of a commit well before the one who commits is told that it is done: until then, what was read
        before it may be used still. The write lock is held, so that nobody else commits first.
        """
        if self._seen == before:
            self._expected = (before + 1) % COUNTER_RANGE

    def renounce(self) -> None:
        """Declare that the commit that was expected is not ours: it failed, and others may commit."""
        self._expected = None

    def absorb(self, before: int, after: int) -> None:
        """Declare that the one commit from `before` to `after` was ours and made nothing cached stale."""
        self._expected = None
        if self._seen == before and after == (before + 1) % COUNTER_RANGE:
            self._seen = after
