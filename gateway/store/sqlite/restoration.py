"""Putting a backup in the place of the database, so that a crash leaves the old one or the new."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from gateway.errors import DatabaseRefused
from gateway.store.backup import compact_time
from gateway.store.endings import CLEARED, Endings
from gateway.store.progress import Progress, ignore_progress
from gateway.store.sqlite.carry_over import carry_over
from gateway.store.sqlite.file_format import refusals
from gateway.store.sqlite.online_copy import Contents, opened, verify
from gateway.store.sqlite.part_file import PartFile, part_file
from gateway.times import format_time

COMPANIONS = ("-journal", "-wal", "-shm")
"""Files beside a database that belong to it. One left beside another database would corrupt that."""
STEP_BYTES = 1 << 24
"""Copied between two words on the progress."""


class Restoration:
    """A verified copy of a backup, beside the database that it is to replace; `endings` are what it would undo."""

    def __init__(self, database: Path, part: PartFile, contents: Contents, endings: Endings) -> None:
        self.contents = contents
        self.endings = endings
        self._database = database
        self._part = part

    def install(self, now: datetime, _progress: Progress = ignore_progress, /) -> Path | None:
        """Replace the database; return where the old one is kept, if there was one. Raises DatabaseRefused."""
        kept = Path(f"{self._database}.replaced-{compact_time(now)}")
        try:
            was_there = self._database.exists()
            if was_there:
                self._part.take_after(self._database)
                # A second name, so that there is a database at every moment.
                os.link(self._database, kept)
            for suffix in COMPANIONS:
                if os.path.lexists(f"{self._database}{suffix}"):
                    Path(f"{self._database}{suffix}").rename(f"{kept}{suffix}")
            self._part.publish(self._database)
        except OSError as error:
            raise DatabaseRefused(f"{self._database}: cannot be replaced: {error.strerror}") from None
        return kept if was_there else None


@contextmanager
def restoration(
    database: Path,
    backup: Path,
    *,
    now: datetime,
    revive_keys: bool = False,
    progress: Progress = ignore_progress,
) -> Iterator[Restoration]:
    """Copy the backup in, verify the copy, and end in it what was ended in the database since. Raises DatabaseRefused.

    `revive_keys`: keys that were ended since work again. Nobody writes to the database during the block. The caller
    holds the instance lock.
    """
    database = database.resolve()
    _require_backup(backup, database)
    with part_file(Path(f"{database}.part")) as part:
        try:
            _copy(backup, part.path, progress)
        except OSError as error:
            raise DatabaseRefused(f"{backup}: cannot be copied to {part.path}: {error.strerror}") from None
        contents = verify(part.path, name=backup, progress=progress)
        with _nobody_writing(database):
            endings = carry_over(database, part.path, format_time(now), revive_keys=revive_keys)
            rows = {**contents.rows, **dict.fromkeys(CLEARED, 0)}
            yield Restoration(database, part, msgspec.structs.replace(contents, rows=rows), endings)


def _copy(source: Path, target: Path, progress: Progress) -> None:
    with source.open("rb", buffering=0) as reader, target.open("wb", buffering=0) as writer:
        size = os.fstat(reader.fileno()).st_size
        done = 0
        while sent := os.sendfile(writer.fileno(), reader.fileno(), None, STEP_BYTES):
            done += sent
            progress("Copying", done, size)


def _require_backup(backup: Path, database: Path) -> None:
    if not backup.exists():
        raise DatabaseRefused(f"{backup}: no such backup")
    if not backup.is_file():
        raise DatabaseRefused(f"{backup}: not a file")
    if database.is_dir():
        raise DatabaseRefused(f"{database}: not a file")
    if database.exists() and backup.samefile(database):
        raise DatabaseRefused(f"{backup}: is the database itself")
    for suffix in COMPANIONS:
        companion = Path(f"{backup}{suffix}")
        if companion.exists() and companion.stat().st_size > 0:
            raise DatabaseRefused(f"{backup}: a database in use, not a backup: {companion.name} belongs to it")


@contextmanager
def _nobody_writing(database: Path) -> Iterator[None]:
    """Hold the database's write lock, when it is sound enough to have one; what a crash left half done is undone first.

    A command that waits for the lock meanwhile is refused afterwards: SQLite sees that its file was moved.
    """
    if not database.exists():
        yield
        return
    with ExitStack() as stack:
        with refusals(database):
            connection = stack.enter_context(opened(database))
        try:
            # Out of write-ahead mode, which writes the log back and removes it.
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise DatabaseRefused(f"{database}: in use by another process; nothing was changed") from None
        yield
