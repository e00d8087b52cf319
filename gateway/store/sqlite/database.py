"""One SQLite file: creating it, refusing a wrong one, reading, and writing in whole transactions."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import aiosqlite

from gateway.errors import DatabaseRefused
from gateway.resources import resource_text
from gateway.store.database import Dialect, Parameters, Row, Subject, T, Unit
from gateway.store.health import StorageHealth, unavailable
from gateway.store.read_slots import ReadQueue, ReadSlots
from gateway.store.sqlite.change_watch import ChangeWatch
from gateway.store.sqlite.file_format import (
    FILE_MODE,
    SCHEMA_VERSION,
    refusals,
    require_file,
    require_known,
)
from gateway.store.sqlite.owner import give_to_owner
from gateway.store.sqlite.transaction import SqliteTransaction, storage_errors
from gateway.store.timings import STORE_TIMINGS, StoreTimings
from gateway.store.writing import Writing

READS_IN_HAND = 2
"""One that the reader's thread is at, and the next at hand."""
SAFE_WAL_VERSION = (3, 51, 3)
"""Earlier SQLite may corrupt a WAL database when two connections reset the log at once (sqlite.org/wal.html)."""
SQLITE = Dialect(
    now="CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    is_distinct="IS NOT",  # SQLite reads the other form only since 3.39
    json_rows="json_each({})",
    size="(SELECT page_count * page_size FROM pragma_page_count, pragma_page_size)",
    server="'SQLite ' || sqlite_version()",
)


def journal_mode(sqlite_version: tuple[int, int, int]) -> Literal["delete", "wal"]:
    """Return the journal that this version of SQLite keeps safely."""
    return "wal" if sqlite_version >= SAFE_WAL_VERSION else "delete"


async def create_file(path: Path) -> None:
    """Create the file from `schema.sql`. Raises DatabaseRefused if anything is already there."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE)
        give_to_owner(descriptor, path.parent)
        os.close(descriptor)
    except FileExistsError:
        raise DatabaseRefused(f"{path}: already exists; nothing was changed") from None
    except OSError as error:
        raise DatabaseRefused(f"{path}: cannot be created: {error.strerror}") from None
    try:
        async with aiosqlite.connect(path) as connection:
            await connection.executescript(f"BEGIN IMMEDIATE;\n{resource_text('schema.sql')}\nCOMMIT;")
    except sqlite3.Error as error:
        _remove(path)
        raise DatabaseRefused(f"{path}: cannot be created: {error}") from None


def _remove(path: Path) -> None:
    path.unlink()


class SqliteDatabase:
    """One writer connection and one reader connection."""

    dialect = SQLITE
    watch: ChangeWatch

    def __init__(
        self,
        path: Path,
        *,
        timings: StoreTimings = STORE_TIMINGS,
        version: int = SCHEMA_VERSION,
        read_queue: ReadQueue | None = None,
    ) -> None:
        """`version` is the one that the statements are written for; reads wait in the `read_queue`."""
        self.path = path
        self._version = version
        self._timings = timings
        self.health = StorageHealth()
        self._writing = Writing(self._new_transaction, timings=timings, health=self.health)
        self.read_slots = ReadSlots(READS_IN_HAND, read_queue)
        self._connections: list[aiosqlite.Connection] = []
        self._epoch = 0
        self._is_epoch_known = False

    async def open(self) -> None:
        """Open and check the file. Raises DatabaseRefused, with the file untouched, if it is not ours to use."""
        require_file(self.path)
        # Kept: until Python 3.12 asking for the running loop costs a system call.
        self._loop = asyncio.get_running_loop()
        try:
            with refusals(self.path):
                self._writer = await self._connect()
                await self._check()
                journal = journal_mode(sqlite3.sqlite_version_info)
                await self._writer.execute_fetchall(f"PRAGMA journal_mode = {journal}")
                self._reader = await self._connect()
                await self._reader.execute_fetchall("PRAGMA query_only = ON")
                self.watch = ChangeWatch(self.path, journal=journal)
        except BaseException:
            await self._close_connections()
            raise

    async def close(self) -> None:
        """Close the file, after what is being written."""
        await self._writing.close()
        await self._close_connections()
        self.watch.close()

    def epoch(self, _subject: Subject = "keys", /) -> int:
        """Return a number that is new after a commit about whatever subject; looked up once an event-loop iteration.

        Whatever a request asks in that iteration, it had arrived before the look, so it cannot miss a commit that was
        acknowledged before it was sent.
        """
        if not self._is_epoch_known:
            self._epoch = self.watch.epoch()
            self._is_epoch_known = True
            self._loop.call_soon(self._end_iteration)
        return self._epoch

    def _end_iteration(self) -> None:
        self._is_epoch_known = False

    async def is_read_only(self) -> bool:
        """Return whether the file may not be written, as on a disk that was mounted anew after an error."""
        return not os.access(self.path, os.W_OK)

    async def are_notifications_heard(self, *, seconds: float) -> bool:  # noqa: ARG002 - as Database
        """Return True: the file itself tells, at each look."""
        return True

    async def fetch_all(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """Return the rows of one query. Raises StorageUnavailable while the file is locked or the disk fails."""
        with self.health.counting("read"), storage_errors(self.path):
            try:
                async with asyncio.timeout(self._timings.answer):
                    return await self._read(sql, parameters)
            except TimeoutError:
                raise unavailable("timeout", f"no answer within {self._timings.answer} s") from None

    async def _read(self, sql: str, parameters: Parameters | None) -> list[Row]:
        await self.read_slots.take()
        try:
            return list(await self._reader.execute_fetchall(sql, parameters))
        finally:
            self.read_slots.give_back()

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        """Return the first row of one query; None without one. Raises StorageUnavailable."""
        rows = await self.fetch_all(sql, parameters)
        return rows[0] if rows else None

    async def write(
        self, unit: Unit[T], *, housekeeping: bool = False, committed: Callable[[], None] | None = None
    ) -> T:
        """Run `unit` in one transaction, as `Database` says. Raises StorageUnavailable, and ConstraintViolated."""
        return await self._writing.write(unit, housekeeping=housekeeping, committed=committed)

    def _new_transaction(self) -> SqliteTransaction:
        return SqliteTransaction(self.path, self._writer, self.watch)

    async def _connect(self) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=self._timings.write_lock,
        )
        self._connections.append(connection)
        connection.row_factory = sqlite3.Row
        await connection.execute_fetchall("PRAGMA foreign_keys = ON")
        await connection.execute_fetchall("PRAGMA synchronous = FULL")
        return connection

    async def _check(self) -> None:
        application_id = await self._pragma("application_id")
        version = await self._pragma("user_version")
        require_known(self.path, application_id=application_id, version=version, newest=self._version)
        if version < self._version:
            raise DatabaseRefused(
                f"{self.path}: written by an older gateway (schema {version}, this one needs {self._version}); "
                "bring it up to date with: gateway migrate"
            )

    async def _pragma(self, pragma: str) -> Any:
        rows = await self._writer.execute_fetchall(f"PRAGMA {pragma}")
        return next(iter(rows))[0]

    async def _close_connections(self) -> None:
        while self._connections:
            await self._connections.pop().close()
