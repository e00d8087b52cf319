"""A database of a PostgreSQL server, which many gateways may share: reading, and writing in whole transactions.

One transaction at a time over all gateways, as with SQLite's file: rules that read before they write hold on both.
"""

import asyncio
from collections.abc import Callable

from gateway.background import Background
from gateway.settings.secret import SecretUrl
from gateway.store.database import Dialect, Parameters, Row, Subject, T, Unit
from gateway.store.health import StorageHealth
from gateway.store.postgres.change_watch import PostgresWatch
from gateway.store.postgres.connection import PostgresConnection
from gateway.store.postgres.notifications import are_notifications_heard
from gateway.store.postgres.schema import OLDEST_SERVER, check_schema, refusals
from gateway.store.postgres.transaction import PostgresTransaction, storage_errors
from gateway.store.read_slots import ReadQueue, ReadSlots
from gateway.store.sqlite.file_format import SCHEMA_VERSION
from gateway.store.timings import STORE_TIMINGS, StoreTimings
from gateway.store.writing import Writing

READERS = 4
POSTGRES = Dialect(
    now="CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
    is_distinct="IS DISTINCT FROM",
    json_rows="jsonb_array_elements_text(CAST({} AS JSONB)) AS listed(value)",
    size="pg_database_size(current_database())",
    server="'PostgreSQL ' || current_setting('server_version')",
)


class PostgresDatabase:
    """Some connections that read, one that writes, and one that listens."""

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
        read_queue: ReadQueue | None = None,
    ) -> None:
        """`version` is the one that the statements are written for; reads wait in the `read_queue`.

        `forget` is told of which subject and whose records are stale, where `epoch` would make all stale.
        """
        self.url = url
        self._timings = timings
        self._version = version
        self._oldest_server = oldest_server
        self._watch = PostgresWatch(PostgresConnection(url.reveal(), timings), background, timings, forget)
        self._readers = [PostgresConnection(url.reveal(), timings) for _ in range(READERS)]
        self.read_slots = ReadSlots(READERS, read_queue)
        self._writer = PostgresConnection(url.reveal(), timings)
        self._idle: asyncio.LifoQueue[PostgresConnection] = asyncio.LifoQueue()
        self.health = StorageHealth()
        self._writing = Writing(self._new_transaction, timings=timings, health=self.health)

    async def open(self) -> None:
        """Connect and check the database. Raises DatabaseRefused if it is not ours to use."""
        try:
            with refusals(self.url):
                await check_schema(self._writer, self.url, self._version, oldest_server=self._oldest_server)
                await self._watch.open()
        except BaseException:
            await self._writer.close_all()
            raise
        for connection in self._readers:
            self._idle.put_nowait(connection)

    async def close(self) -> None:
        """Close every connection, after what is being written."""
        await self._writing.close()
        await self._watch.close()
        for connection in (self._writer, *self._readers):
            await connection.close_all()

    def epoch(self, subject: Subject, /) -> int:
        """Return a number that is new whenever what was read of the subject may be stale. Asks nobody."""
        return self._watch.epoch(subject)

    async def is_read_only(self) -> bool:
        """Return whether the server is a standby or takes no writes by its settings. Raises StorageUnavailable."""
        (row,) = await self.fetch_all("SELECT current_setting('transaction_read_only') = 'on' AS is_so")
        return bool(row["is_so"])

    async def are_notifications_heard(self, *, seconds: float) -> bool:
        """Return whether one connection hears within `seconds` what another tells. Raises StorageUnavailable."""
        with storage_errors(self._timings):
            return await are_notifications_heard(self.url, self._timings, seconds=seconds)

    async def fetch_all(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """Return the rows of one query. Raises StorageUnavailable."""
        with self.health.counting("read"):
            return await self._writing.finish(self._read(sql, parameters))

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        """Return the first row of one query; None without one. Raises StorageUnavailable."""
        rows = await self.fetch_all(sql, parameters)
        return rows[0] if rows else None

    async def _read(self, sql: str, parameters: Parameters | None) -> list[Row]:
        with storage_errors(self._timings):
            async with asyncio.timeout(self._timings.answer):
                connection = await self._free_connection()
            try:
                return await connection.run_first(sql, parameters, seconds=self._timings.answer)
            finally:
                self._idle.put_nowait(connection)
                self.read_slots.give_back()

    async def _free_connection(self) -> PostgresConnection:
        await self.read_slots.take()
        try:
            return await self._idle.get()
        except BaseException:
            self.read_slots.give_back()
            raise

    async def write(
        self,
        unit: Unit[T],
        *,
        housekeeping: bool = False,
        committed: Callable[[], None] | None = None,
    ) -> T:
        """Run `unit` in one transaction, as `Database` says. Raises StorageUnavailable, and ConstraintViolated.

        When the server is lost in the moment of a commit, StorageUnavailable may be raised for what is done.
        """
        return await self._writing.write(unit, housekeeping=housekeeping, committed=committed)

    def _new_transaction(self) -> PostgresTransaction:
        return PostgresTransaction(self._writer, self._watch, self._timings)
