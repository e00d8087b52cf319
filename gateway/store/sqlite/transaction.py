"""One transaction of a SQLite file, for several units, and what SQLite's errors are called outside."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import aiosqlite

from gateway.store.database import ConstraintViolated, T, Unit
from gateway.store.health import Reason, unavailable
from gateway.store.sqlite.change_watch import ChangeWatch
from gateway.store.sqlite.soundness import REMEDY

REASON_OF_CODE: dict[int, Reason] = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_FULL: "full",
}


class SqliteTransaction:
    """A `SharedTransaction` of the writer connection."""

    def __init__(self, path: Path, writer: aiosqlite.Connection, watch: ChangeWatch) -> None:
        self._path = path
        self._writer = writer
        self._watch = watch
        self._commits_before = 0
        self._kinds: set[bool] = set()
        """Whether what was changed was housekeeping."""

    @property
    def is_open(self) -> bool:
        """Whether it still holds what was done in it: SQLite undoes all of it after some errors."""
        return self._writer.in_transaction

    @property
    def has_changes(self) -> bool:
        """Whether anything is to be written."""
        return bool(self._kinds)

    async def begin(self, seconds: float) -> None:
        """Begin. SQLite polls for other processes' locks in the writer's thread, for `seconds`."""
        with storage_errors(self._path):
            await self._writer.execute_fetchall(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
            await self._writer.execute_fetchall("BEGIN IMMEDIATE")
            self._commits_before = self._watch.count()

    async def run(self, unit: Unit[T], *, housekeeping: bool, is_first: bool) -> T:
        """Run a unit. One that raises is undone, but for the first: then there is nothing else to keep."""
        changes = self._writer.total_changes
        with storage_errors(self._path):
            if not is_first:
                # Not released: the commit does that, and undoing goes back to the newest of that name.
                await self._writer.execute_fetchall("SAVEPOINT unit")
            try:
                return await unit(self._writer)
            except Exception:
                if not is_first and self.is_open:
                    await self._writer.execute_fetchall("ROLLBACK TO unit")
                raise
            finally:
                if self._writer.total_changes > changes:
                    self._kinds.add(housekeeping)

    async def commit(self) -> None:
        """Commit all units. If all that changed anything were housekeeping, what is cached stays good."""
        is_harmless = self._kinds == {True}
        with storage_errors(self._path):
            if is_harmless:
                self._watch.expect(self._commits_before)
            await self._writer.commit()
        if is_harmless:
            self._watch.absorb(self._commits_before, self._watch.count())

    async def rollback(self) -> None:
        """Undo all units. What cannot be undone now is undone when the connection is closed."""
        self._watch.renounce()
        with suppress(sqlite3.Error):
            await self._writer.rollback()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Translate SQLite's errors. Raises StorageUnavailable, and ConstraintViolated for what is against a rule."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ConstraintViolated(str(error), constraint=str(error).rpartition(": ")[2]) from error
    except sqlite3.Error as error:
        detail, code = f"{error.sqlite_errorname}: {error}", error.sqlite_errorcode & 0xFF
        if code == sqlite3.SQLITE_CORRUPT:
            detail = f"{path}: damaged: {error}; {REMEDY}"
        raise unavailable(REASON_OF_CODE.get(code, "unavailable"), detail) from error
