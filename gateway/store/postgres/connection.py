"""One connection to a PostgreSQL server, made when it is needed and made again when it is lost.

Nothing here waits longer than it was told to: a server that is paused is left, and with it the connection.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import RowMaker

from gateway.store.database import Parameters, Row
from gateway.store.postgres.placeholders import with_psycopg_placeholders
from gateway.store.timings import StoreTimings

SHUT_DOWN = frozenset({"57P01", "57P02", "57P03"})
"""The server shuts down: this connection is of no more use, another may be."""

T = TypeVar("T")


class NamedRow:
    """A row whose columns are read by name or number, as SQLite's are."""

    __slots__ = ("_names", "_values")

    def __init__(self, names: dict[str, int], values: Sequence[Any]) -> None:
        self._names = names
        self._values = values

    def __getitem__(self, key: Any, /) -> Any:
        return self._values[self._names[key] if isinstance(key, str) else key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def keys(self) -> list[str]:
        """Return the names of the columns."""
        return list(self._names)


def row_maker(cursor: psycopg.AsyncCursor[Any]) -> RowMaker[NamedRow]:
    """Return what makes a `NamedRow` of each row of the cursor's answer, as psycopg's `row_factory`."""
    names = {column.name: number for number, column in enumerate(cursor.description or ())}
    return lambda values: NamedRow(names, tuple(values))


class PostgresConnection:
    """A connection for one user at a time. Raises psycopg.Error and TimeoutError; after either it is as good as new."""

    def __init__(self, url: str, timings: StoreTimings) -> None:
        self._url = url
        self._timings = timings
        self._driver_connection: AsyncConnection[NamedRow] | None = None
        self._abandoned: set[asyncio.Task[Any]] = set()

    @property
    def driver_connection(self) -> AsyncConnection[NamedRow]:
        """The driver's open connection. Raises psycopg.OperationalError when there is none."""
        if self._driver_connection is None or self._driver_connection.closed:
            raise psycopg.OperationalError("the connection is closed")
        return self._driver_connection

    @property
    def is_open(self) -> bool:
        """Whether there is a connection to the server, as far as is known."""
        return self._driver_connection is not None and not self._driver_connection.closed

    async def connect(self) -> None:
        """Connect, if it is not connected. Prepares no statements: behind PgBouncer they would be another's."""
        if not self.is_open:
            self._driver_connection = await self._within(
                self._timings.connect,
                AsyncConnection.connect(
                    self._url,
                    autocommit=True,
                    prepare_threshold=None,
                    row_factory=row_maker,
                    application_name="airbyte-client-gateway",
                ),
            )

    async def run_first(self, sql: str, parameters: Parameters | None = None, *, seconds: float) -> list[Row]:
        """Run a statement that may be sent twice: again, over a new connection, if the one there was is found lost."""
        was_open = self.is_open
        await self.connect()
        try:
            return await self.run(sql, parameters, seconds=seconds)
        except psycopg.OperationalError as error:
            if not was_open or (self.is_open and error.sqlstate not in SHUT_DOWN):
                raise
        await self.close()
        await self.connect()
        return await self.run(sql, parameters, seconds=seconds)

    async def run(self, sql: str, parameters: Parameters | None = None, *, seconds: float | None = None) -> list[Row]:
        """Run one statement, or without parameters several; return the rows of the last that has any to give."""
        text = with_psycopg_placeholders(sql) if parameters else sql
        longest = self._timings.statement if seconds is None else seconds
        return await self._within(longest, self._run(text, _storable(parameters) if parameters else None))

    async def _run(self, text: str, values: Parameters | None) -> list[Row]:
        cursor = await self.driver_connection.execute(text.encode(), values)
        rows: list[Row] = []
        is_more: bool | None = True
        while is_more:
            if cursor.description:
                rows = list(await cursor.fetchall())
            is_more = cursor.nextset()
        return rows

    async def run_many(self, sql: str, rows: Iterable[Parameters]) -> None:
        """Run one statement for each of `rows`."""
        values = [_storable(row) for row in rows]
        if values:
            text = with_psycopg_placeholders(sql).encode()
            await self._within(self._timings.statement, self.driver_connection.cursor().executemany(text, values))

    async def _within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """Give up after `seconds`. Not by `asyncio.timeout`: psycopg, cancelled, waits for the server to agree."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait({task}, timeout=seconds)
        finally:
            if not task.done():
                self._abandon(task)
        if not task.done():
            raise TimeoutError
        return task.result()

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        """Cancel the task; its connection goes with it."""
        connection, self._driver_connection = self._driver_connection, None
        self._abandoned.add(task)
        task.add_done_callback(lambda _: self._reap(task, connection))
        task.cancel()

    def _reap(self, task: asyncio.Task[Any], connection: AsyncConnection[NamedRow] | None) -> None:
        self._abandoned.discard(task)
        # Asking here keeps asyncio from complaining about a failure that nobody waits for.
        result = None if task.cancelled() or task.exception() else task.result()
        # Python 3.11 loses a cancellation that comes together with an answer: then a new connection is the result.
        for each in (connection, result):
            if isinstance(each, AsyncConnection):
                each.pgconn.finish()

    async def close(self) -> None:
        """Close the connection; it may be made again."""
        connection, self._driver_connection = self._driver_connection, None
        if connection is not None:
            await connection.close()

    async def close_all(self) -> None:
        """Close the connection and wait for what was abandoned."""
        await self.close()
        if self._abandoned:
            await asyncio.wait(self._abandoned)


def _storable(parameters: Parameters) -> Parameters:
    """Replace NUL, which PostgreSQL's text has not. Whoever looks for one finds nothing, and it is no error."""
    return {name: _without_nul(value) for name, value in parameters.items()}


def _without_nul(value: Any) -> Any:
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) and "\0" in value else value
