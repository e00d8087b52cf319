"""The store: one database, a file's or a server's, and the statements about each kind of record."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from gateway.background import Background
from gateway.settings.secret import SecretUrl
from gateway.store.bulk import Bulk
from gateway.store.database import Database, Subject
from gateway.store.health import StorageHealth
from gateway.store.postgres.server import create_on_server, require_driver
from gateway.store.read_slots import ReadQueue
from gateway.store.sqlite.database import SqliteDatabase, create_file
from gateway.store.tables.activity import ActivityLog
from gateway.store.tables.api_keys import ApiKeys
from gateway.store.tables.cancellations import Cancellations
from gateway.store.tables.client_pages import ClientPages
from gateway.store.tables.clients import Clients
from gateway.store.tables.connection_events import ConnectionEvents
from gateway.store.tables.connection_pages import ConnectionPages
from gateway.store.tables.connections import Connections
from gateway.store.tables.deliveries import Deliveries
from gateway.store.tables.delivery_pages import DeliveryPages
from gateway.store.tables.events import Events, EventWriter
from gateway.store.tables.gateways import Gateways
from gateway.store.tables.key_callers import KeyCallers
from gateway.store.tables.key_pages import KeyPages
from gateway.store.tables.key_search import KeySearch
from gateway.store.tables.last_syncs import LastSyncs
from gateway.store.tables.leases import Leases
from gateway.store.tables.links import Links
from gateway.store.tables.notices import Notices
from gateway.store.tables.only_values import OnlyValue
from gateway.store.tables.outages import Outages
from gateway.store.tables.pending_sign_ins import PendingSignIns
from gateway.store.tables.recent_syncs import RecentSyncs
from gateway.store.tables.second_factors import SecondFactors
from gateway.store.tables.sessions import Sessions
from gateway.store.tables.statuses import Statuses
from gateway.store.tables.sync_days import SyncDays
from gateway.store.tables.told_connections import ToldConnections
from gateway.store.tables.totals import TotalsReader
from gateway.store.tables.triggers import Triggers
from gateway.store.tables.usage import Usage
from gateway.store.tables.user_pages import UserPages
from gateway.store.tables.users import Users
from gateway.store.tables.volumes import Volumes
from gateway.store.tables.waiting_deliveries import WaitingDeliveries
from gateway.store.tables.webhooks import Webhooks
from gateway.store.timings import STORE_TIMINGS, StoreTimings
from gateway.times import Clock, SystemClock

DatabaseLocation = Path | SecretUrl
"""The path of an SQLite file, or the address of a PostgreSQL database."""


class Facts(msgspec.Struct, frozen=True):
    """What runs the database, how many bytes it has, and how many gateways serve it now."""

    server: str
    bytes: int
    gateways: int


class Store:
    """One database. Use it as an async context manager, which opens and checks it; building it does nothing.

    Entering raises DatabaseRefused.
    """

    def __init__(
        self,
        location: DatabaseLocation,
        background: Background,
        *,
        clock: Clock | None = None,
        timings: StoreTimings = STORE_TIMINGS,
        read_queue: ReadQueue | None = None,
    ) -> None:
        """`background` owns the task that listens to a server's notifications; reads wait in the `read_queue`."""
        self.database: Database = _database_at(location, background, timings, self._forget_of, read_queue)
        self.connections = Connections(self.database)
        clock = clock or SystemClock()
        self.waiting_deliveries = WaitingDeliveries(self.database)
        writer = EventWriter(self.database.dialect, clock, self.waiting_deliveries)
        told = ToldConnections(self.database, self.connections, ConnectionEvents(writer, self.database.dialect))
        self.last_syncs, self.statuses = LastSyncs(self.database, told), Statuses(self.database, told)
        self.api_keys = ApiKeys(self.database, clock, writer)
        self.clients = Clients(self.database, forget=self._forget)
        self._add_tables(writer, timings)

    def _add_tables(self, writer: EventWriter, timings: StoreTimings) -> None:
        """Add the statements of all tables that nothing is cached of."""
        self.client_pages = ClientPages(self.database)
        self.connection_pages = ConnectionPages(self.database)
        self.key_pages = KeyPages(self.database)
        self.user_pages = UserPages(self.database)
        self.key_search = KeySearch(self.database)
        self.triggers = Triggers(self.database, live_seconds=timings.live)
        self.cancellations = Cancellations(self.database, retry_seconds=timings.wish_retry)
        self.notices, self.outages = Notices(self.database), Outages(self.database)
        self.database_id = OnlyValue(self.database, "database_id", "id")
        self.cursor_key = OnlyValue(self.database, "cursor_key", "key")
        self.gateways = Gateways(self.database, timings)
        self.leases = Leases(self.database)
        self.usage, self.key_callers = Usage(self.database), KeyCallers(self.database)
        self.activity = ActivityLog(self.database)
        self.sync_days = SyncDays(self.database)
        self.volumes, self.recent_syncs = Volumes(self.database), RecentSyncs(self.database)
        self.users = Users(self.database)
        self.links = Links(self.database)
        self.sessions = Sessions(self.database)
        self.second_factors = SecondFactors(self.database)
        self.pending_sign_ins = PendingSignIns(self.database)
        self.totals = TotalsReader(self.database)
        self.webhooks = Webhooks(self.database, self.connections.forget)
        self.events = Events(self.database, writer)
        self.deliveries = Deliveries(self.database)
        self.delivery_pages = DeliveryPages(self.database, self.waiting_deliveries)
        self.bulk = Bulk(self.database, writer)

    def _forget(self, client_id: int) -> None:
        self.api_keys.forget(client_id)
        self.connections.forget(client_id)

    def _forget_of(self, subject: Subject, client_id: int) -> None:
        (self.api_keys if subject == "keys" else self.connections).forget(client_id)

    @property
    def is_shared(self) -> bool:
        """Whether several gateways may serve it at once."""
        return not isinstance(self.database, SqliteDatabase)

    @property
    def health(self) -> StorageHealth:
        """What reads and writes of this process met."""
        return self.database.health

    async def __aenter__(self) -> Self:
        await self.database.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.key_callers.close()
        await self.usage.close()
        await self.database.close()

    async def facts(self) -> Facts:
        """Return what runs the database. Raises StorageUnavailable."""
        dialect = self.database.dialect
        (row,) = await self.database.fetch_all(f"SELECT {dialect.server} AS server, {dialect.size} AS bytes")
        return Facts(row["server"], row["bytes"], len(await self.gateways.live()))

    async def is_read_only(self) -> bool:
        """Return whether nothing can be written now. Raises StorageUnavailable when the database does not answer."""
        await self.database.fetch_one("SELECT id FROM clients LIMIT 1")
        return await self.database.is_read_only()

    async def are_notifications_heard(self, *, seconds: float) -> bool:
        """Return whether what other gateways change is told at once. Raises StorageUnavailable."""
        return await self.database.are_notifications_heard(seconds=seconds)


async def create_database(location: DatabaseLocation, timings: StoreTimings = STORE_TIMINGS) -> None:
    """Make our tables, in a new file or in a server's empty database. Raises DatabaseRefused."""
    if isinstance(location, Path):
        await create_file(location)
        return
    await create_on_server(location, timings)


def _database_at(
    location: DatabaseLocation,
    background: Background,
    timings: StoreTimings,
    forget: Callable[[Subject, int], None],
    read_queue: ReadQueue | None,
) -> Database:
    if isinstance(location, Path):
        return SqliteDatabase(location, timings=timings, read_queue=read_queue)
    require_driver(location)
    from gateway.store.postgres.database import PostgresDatabase  # noqa: PLC0415 - the driver may not be installed

    return PostgresDatabase(location, background=background, forget=forget, timings=timings, read_queue=read_queue)
