"""A database of a PostgreSQL server, which many gateways may share: reading, and writing in whole transactions.

One transaction at a time over all gateways, as with SQLite's file: rules that read before they write hold on both.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import psycopg

from gateway.background import Background
from gateway.errors import StorageUnavailable
from gateway.settings.secret import SecretUrl
from gateway.store.database import ConstraintViolated, Dialect, Parameters, Row, Subject, T, Unit
from gateway.store.postgres.change_watch import COUNTS, PostgresWatch
from gateway.store.postgres.notifications import are_notifications_heard
from gateway.store.postgres.schema import OLDEST_SERVER, check_schema, refusals
from gateway.store.postgres.session import DatabaseSession
from gateway.store.sqlite.file_format import APPLICATION_ID, SCHEMA_VERSION
from gateway.store.timings import STORE_TIMINGS, StoreTimings
from gateway.store.writing import Writing

READERS = 4
BEGIN = """
BEGIN;
SET LOCAL lock_timeout = {wait_ms};
SET LOCAL statement_timeout = {statement_ms};
SET LOCAL idle_in_transaction_session_timeout = {stalled_ms};
SELECT pg_advisory_xact_lock({lock});
{counts}
"""
"""How each write begins: with the write lock, and with the counts of what others changed before it."""
POSTGRES = Dialect(
    now="CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
    is_distinct="IS DISTINCT FROM",
    json_rows="jsonb_array_elements_text(CAST({} AS JSONB)) AS listed(value)",
    size="pg_database_size(current_database())",
    server="'PostgreSQL ' || current_setting('server_version')",
)


class PostgresTransaction:
    """What a unit may do in its transaction. Raises psycopg.Error and TimeoutError, for the database to translate."""

    def __init__(self, session: DatabaseSession) -> None:
        self._session = session

    async def execute_fetchall(self, sql: str, parameters: Parameters | None = None, /) -> list[Row]:
        """Run one statement and return its rows."""
        return await self._session.run(sql, parameters)

    async def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> None:
        """Run one statement for each of `parameters`."""
        await self._session.run_many(sql, parameters)


class PostgresDatabase:
    """Some sessions that read, one that writes, and one that listens."""

    dialect = POSTGRES

    def __init__(
        self,
        url: SecretUrl,
        *,
        background: Background,
        forget: Callable[[Subject, int], None],
        timings: StoreTimings = STORE_TIMINGS,
        version: int = SCHEMA_VERSION,
        oldest_server: int = OLDEST_SERVER,
    ) -> None:
        """`version` is the one that the statements are written for.

        `forget` is told of which subject and whose records are stale, where `epoch` would make all stale.
        """
        self.url = url
        self._timings = timings
        self._version = version
        self._oldest_server = oldest_server
        self._watch = PostgresWatch(DatabaseSession(url.reveal(), timings), background, timings, forget)
        self._readers = [DatabaseSession(url.reveal(), timings) for _ in range(READERS)]
        self._writer = DatabaseSession(url.reveal(), timings)
        self._idle: asyncio.LifoQueue[DatabaseSession] = asyncio.LifoQueue()
        self._writing = Writing(timings.write_lock)

    async def open(self) -> None:
        """Connect and check the database. Raises DatabaseRefused if it is not ours to use."""
        try:
            with refusals(self.url):
                await check_schema(self._writer, self.url, self._version, oldest_server=self._oldest_server)
                await self._watch.open()
        except BaseException:
            await self._writer.close_all()
            raise
        for session in self._readers:
            self._idle.put_nowait(session)

    async def close(self) -> None:
        """Close every session, after what is being written."""
        await self._writing.close()
        await self._watch.close()
        for session in (self._writer, *self._readers):
            await session.close_all()

    def epoch(self, subject: Subject, /) -> int:
        """Return a number that is new whenever what was read of the subject may be stale. Asks nobody."""
        return self._watch.epoch(subject)

    async def is_read_only(self) -> bool:
        """Return whether the server is a standby or takes no writes by its settings. Raises StorageUnavailable."""
        (row,) = await self.fetch_all("SELECT current_setting('transaction_read_only') = 'on' AS is_so")
        return bool(row["is_so"])

    async def are_notifications_heard(self, *, seconds: float) -> bool:
        """Return whether one session hears within `seconds` what another tells. Raises StorageUnavailable."""
        with _storage_errors(self._timings):
            return await are_notifications_heard(self.url, self._timings, seconds=seconds)

    async def fetch_all(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """Return the rows of one query. Raises StorageUnavailable."""
        return await self._writing.finish(self._read(sql, parameters))

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        """Return the first row of one query; None without one. Raises StorageUnavailable."""
        rows = await self.fetch_all(sql, parameters)
        return rows[0] if rows else None

    async def _read(self, sql: str, parameters: Parameters | None) -> list[Row]:
        with _storage_errors(self._timings):
            async with asyncio.timeout(self._timings.answer):
                session = await self._idle.get()
            try:
                return await session.run_first(sql, parameters, seconds=self._timings.answer)
            finally:
                self._idle.put_nowait(session)

    async def write(
        self,
        unit: Unit[T],
        *,
        housekeeping: bool = False,  # noqa: ARG002 - as Database; the triggers know what makes records stale
        committed: Callable[[], None] | None = None,
    ) -> T:
        """Run `unit` in one transaction, as `Database` says. Raises StorageUnavailable, and ConstraintViolated.

        When the server is lost in the moment of a commit, StorageUnavailable may be raised for what is done.
        """
        return await self._writing.finish(self._transaction(unit, committed=committed))

    async def _transaction(self, unit: Unit[T], *, committed: Callable[[], None] | None) -> T:
        with _storage_errors(self._timings):
            async with self._writing.write_lock() as seconds_left:
                begin = BEGIN.format(
                    wait_ms=int(seconds_left * 1000),
                    statement_ms=int(self._timings.statement * 1000),
                    stalled_ms=int(self._timings.stalled_transaction * 1000),
                    lock=APPLICATION_ID,
                    counts=COUNTS,
                )
                is_committing = False
                try:
                    # What others did before us is learned apart from what we do.
                    self._watch.learn(await self._writer.run_first(begin, seconds=self._timings.answer))
                    result = await unit(PostgresTransaction(self._writer))
                    is_committing = True
                    counts = await self._writer.run(f"{COUNTS}; COMMIT")
                except psycopg.errors.ReadOnlySqlTransaction:
                    # Another server is the primary by now, and a new connection may find it.
                    await self._writer.close()
                    raise
                except BaseException:
                    if is_committing:
                        # It may be done all the same, when the server was lost in that moment.
                        self._watch.bump()
                    await self._roll_back()
                    raise
                # Housekeeping too: another program may have committed in the middle of it.
                self._watch.learn(counts)
                if committed is not None:
                    committed()
                return result

    async def _roll_back(self) -> None:
        """Undo the transaction. A session that cannot even do that is closed, and the server rolls back by itself."""
        if self._writer.is_open:
            try:
                await self._writer.run("ROLLBACK")
            except (psycopg.Error, TimeoutError):
                await self._writer.close()


@contextmanager
def _storage_errors(timings: StoreTimings) -> Iterator[None]:
    try:
        yield
    except psycopg.IntegrityError as error:
        constraint = _constraint_of(error)
        raise ConstraintViolated(f"{_first_line(error)} ({constraint})", constraint=constraint) from error
    except TimeoutError:
        raise StorageUnavailable(detail=f"no answer or no write lock within {timings.write_lock} s") from None
    except psycopg.Error as error:
        raise StorageUnavailable(detail=f"{error.sqlstate or 'connection'}: {_first_line(error)}") from error


def _constraint_of(error: psycopg.Error) -> str:
    """Return `connections.airbyte_id` for PostgreSQL's `connections_airbyte_id_key`."""
    table, name = error.diag.table_name or "", error.diag.constraint_name or ""
    return f"{table}.{name.removeprefix(f'{table}_').removesuffix('_key')}"


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0]
