"""One transaction on a PostgreSQL server, for several units, and what the server's errors are called outside."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus

from gateway.store.database import ConstraintViolated, Parameters, Row, T, Unit
from gateway.store.health import Reason, unavailable
from gateway.store.postgres.change_watch import COUNTS, PostgresWatch
from gateway.store.postgres.connection import PostgresConnection
from gateway.store.sqlite.file_format import APPLICATION_ID
from gateway.store.timings import StoreTimings

BEGIN = """
BEGIN;
SET LOCAL lock_timeout = {wait_ms};
SET LOCAL statement_timeout = {statement_ms};
SET LOCAL idle_in_transaction_session_timeout = {stalled_ms};
SELECT pg_advisory_xact_lock({lock});
{counts}
"""
"""How each write begins: with the write lock, and with the counts of what others changed before it."""

REASON_OF_STATE: dict[str, Reason] = {
    "25006": "read-only",
    "53100": "full",
    "55P03": "locked",
    "57014": "timeout",
    "XX001": "damaged",
    "XX002": "damaged",
}
"""By SQLSTATE (postgresql.org/docs/current/errcodes-appendix.html)."""


class PostgresTransaction:
    """A `SharedTransaction` of the connection that writes, and what a unit may do in it."""

    def __init__(self, connection: PostgresConnection, watch: PostgresWatch, timings: StoreTimings) -> None:
        self._connection = connection
        self._watch = watch
        self._timings = timings
        self._is_committing = False

    @property
    def is_open(self) -> bool:
        """Whether it still holds what was done in it: not after the connection was lost."""
        return (
            self._connection.is_open
            and self._connection.driver_connection.info.transaction_status is TransactionStatus.INTRANS
        )

    has_changes = True
    """Taken for granted: to ask would cost a statement."""

    async def begin(self, seconds: float) -> None:
        """Begin, with the write lock of all gateways, for which it waits `seconds`."""
        begin = BEGIN.format(
            wait_ms=int(seconds * 1000),
            statement_ms=int(self._timings.statement * 1000),
            stalled_ms=int(self._timings.stalled_transaction * 1000),
            lock=APPLICATION_ID,
            counts=COUNTS,
        )
        with storage_errors(self._timings):
            # What others did before us is learned apart from what we do.
            self._watch.learn(await self._connection.run_first(begin, seconds=self._timings.answer))

    async def run(self, unit: Unit[T], *, housekeeping: bool, is_first: bool) -> T:  # noqa: ARG002 - the triggers know it
        """Run a unit. One that raises is undone, but for the first: then there is nothing else to keep."""
        with storage_errors(self._timings):
            if not is_first:
                # Not released: the commit does that, and undoing goes back to the newest of that name.
                await self._connection.run("SAVEPOINT unit")
            try:
                return await unit(self)
            except psycopg.errors.ReadOnlySqlTransaction:
                # Another server is the primary by now, and a new connection may find it.
                await self._connection.close()
                raise
            except Exception:
                if not is_first and self._connection.is_open:
                    await self._connection.run("ROLLBACK TO unit")
                raise

    async def execute_fetchall(self, sql: str, parameters: Parameters | None = None, /) -> list[Row]:
        """Run one statement and return its rows. Raises psycopg.Error and TimeoutError."""
        return await self._connection.run(sql, parameters)

    async def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> None:
        """Run one statement for each of `parameters`. Raises psycopg.Error and TimeoutError."""
        await self._connection.run_many(sql, parameters)

    async def commit(self) -> None:
        """Commit all units. StorageUnavailable may be raised for what is done, if the server is lost in that moment."""
        with storage_errors(self._timings):
            self._is_committing = True
            # Housekeeping too: another program may have committed in the middle of it.
            self._watch.learn(await self._connection.run(f"{COUNTS}; COMMIT"))

    async def rollback(self) -> None:
        """Undo all units. A connection that cannot even do that is closed, and the server rolls back by itself."""
        if self._is_committing:
            # It may be done all the same, when the server was lost in that moment.
            self._watch.bump()
        if self._connection.is_open:
            try:
                await self._connection.run("ROLLBACK")
            except (psycopg.Error, TimeoutError):
                await self._connection.close()


@contextmanager
def storage_errors(timings: StoreTimings) -> Iterator[None]:
    """Translate the server's errors. Raises StorageUnavailable, and ConstraintViolated for what is against a rule."""
    try:
        yield
    except psycopg.IntegrityError as error:
        constraint = _constraint_of(error)
        raise ConstraintViolated(f"{_first_line(error)} ({constraint})", constraint=constraint) from error
    except TimeoutError:
        raise unavailable("timeout", f"no answer or no write lock within {timings.write_lock} s") from None
    except psycopg.Error as error:
        reason = REASON_OF_STATE.get(error.sqlstate or "", "unavailable")
        raise unavailable(reason, f"{error.sqlstate or 'connection'}: {_first_line(error)}") from error


def _constraint_of(error: psycopg.Error) -> str:
    """Return `connections.airbyte_id` for PostgreSQL's `connections_airbyte_id_key`."""
    table, name = error.diag.table_name or "", error.diag.constraint_name or ""
    return f"{table}.{name.removeprefix(f'{table}_').removesuffix('_key')}"


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0]
