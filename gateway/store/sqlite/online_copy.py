"""Copying a database that others are writing, and proving that a copy is one.

In a rollback journal a reader holds up every commit, so a copy is made in small steps, between which others write. A
commit makes SQLite begin again; where that goes on, as with dozens of commits a second, one large step follows, and
commits wait until it is done. It reads from memory: a second or less for 200 MB, of the two they can wait.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import msgspec

from gateway.errors import DatabaseRefused
from gateway.store.progress import Progress, ignore_progress
from gateway.store.sqlite.file_format import SCHEMA_VERSION, refusals, require_known
from gateway.store.timings import STORE_TIMINGS

STEP_PAGES = 1000
ALL_PAGES = -1
MOST_RESTARTS = 3
MOST_PAUSES = 5
"""In a row, each after waiting as long as a writer does: ten seconds, longer than anybody holds a lock in earnest."""
READ_BYTES = 1 << 20


class Contents(msgspec.Struct, frozen=True):
    """What a sound database holds: how many rows of each table."""

    version: int
    bytes: int
    rows: dict[str, int]


@contextmanager
def opened(
    path: Path, *, mode: str = "rw", lock_seconds: float = STORE_TIMINGS.write_lock
) -> Iterator[sqlite3.Connection]:
    """Open a connection outside of any transaction, closed after the block. `mode` as in SQLite's URIs.

    It waits `lock_seconds` at most for other processes.
    """
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=lock_seconds)) as connection:
        yield connection


def identify(connection: sqlite3.Connection, path: Path, *, newest: int = SCHEMA_VERSION) -> int:
    """Return the version of the database. Raises DatabaseRefused if it is not ours or newer than `newest`."""
    ((application_id,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    require_known(path, application_id=application_id, version=version, newest=newest)
    return int(version)


def copy_database(
    source: Path,
    target: Path,
    progress: Progress = ignore_progress,
    *,
    pause_seconds: float = STORE_TIMINGS.copy_pause,
) -> None:
    """Fill the empty file `target` with the database as it is at one moment. Raises DatabaseRefused, sqlite3.Error.

    Others write in the pauses between its steps.
    """
    copy = partial(_copy, target=target, pause_seconds=pause_seconds)
    _read_into_memory(source)
    with opened(source) as connection:
        try:
            copy(connection, pages=STEP_PAGES, watch=_Watch(source, progress))
        except _TooManyRestarts:
            os.truncate(target, 0)
            copy(connection, pages=ALL_PAGES, watch=_Watch(source, progress))


def _copy(connection: sqlite3.Connection, *, target: Path, pages: int, watch: "_Watch", pause_seconds: float) -> None:
    with opened(target) as copy:
        # What ends in a crash is thrown away, and what does not is made safe afterwards: no lock is held for that.
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        connection.backup(copy, pages=pages, progress=watch, sleep=pause_seconds)
        # A write-ahead log would be a second file, which whoever carries the copy away would forget.
        copy.execute("PRAGMA journal_mode = DELETE")


def _read_into_memory(source: Path) -> None:
    """Read the file once, so that no lock waits for the disk. Before SQLite opens it: closing drops its locks."""
    with source.open("rb", buffering=0) as file:
        while file.read(READ_BYTES):
            pass


class _TooManyRestarts(Exception):
    """Writers are too busy for small steps."""


class _Watch:
    """Told of each step: passes progress on, and ends what would go on for ever."""

    def __init__(self, source: Path, progress: Progress) -> None:
        self._source = source
        self._progress = progress
        self._remaining = 0
        self._restarts = 0
        self._pauses = 0

    def __call__(self, status: int, remaining: int, total: int) -> None:
        if status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            self._pauses += 1
            if self._pauses > MOST_PAUSES:
                raise DatabaseRefused(f"{self._source}: locked by another process")
            return
        self._pauses = 0
        # No fewer than before: it began again.
        self._restarts += remaining >= self._remaining > 0
        self._remaining = remaining
        if self._restarts > MOST_RESTARTS:
            raise _TooManyRestarts
        self._progress("Copying", total - remaining, total)


def verify(path: Path, *, name: Path, newest: int = SCHEMA_VERSION, progress: Progress = ignore_progress) -> Contents:
    """Read the whole file, which nobody writes. Raises DatabaseRefused, with `name`, unless it is sound and ours."""
    progress("Checking", 0, 1)
    with refusals(name), opened(path, mode="ro&immutable=1") as connection:
        version = identify(connection, name, newest=newest)
        problems = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(1)")]
        if problems != ["ok"]:
            raise DatabaseRefused(f"{name}: damaged: {' '.join(' '.join(problems).split())}")
        dangling = connection.execute("PRAGMA foreign_key_check").fetchone()
        if dangling is not None:
            raise DatabaseRefused(f"{name}: damaged: a row of {dangling[0]} refers to none of {dangling[2]}")
        contents = Contents(version, path.stat().st_size, count_rows(connection))
    progress("Checking", 1, 1)
    return contents


def count_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Count rows: `{table: rows}`, without SQLite's own tables."""
    tables = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    )
    return {name: _count(connection, name) for (name,) in tables.fetchall()}


def _count(connection: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    ((number,),) = connection.execute(f'SELECT count(*) FROM "{quoted}"')  # noqa: S608 - quoted, and of its own schema
    return int(number)
