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
        if count != self._seen:
            self._seen = count
            self._epoch += 1
        return self._epoch

    def absorb(self, before: int, after: int) -> None:
        """Declare that the one commit from `before` to `after` was ours and made nothing cached stale."""
        if self._seen == before and after == (before + 1) % COUNTER_RANGE:
            self._seen = after
