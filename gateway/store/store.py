"""The store: one database file and the statements about each kind of record."""

from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.store.activity import ActivityLog
from gateway.store.api_keys import ApiKeys
from gateway.store.bulk import Bulk
from gateway.store.clients import Clients
from gateway.store.connections import Connections
from gateway.store.database import Database
from gateway.store.gateways import Gateways
from gateway.store.leases import Leases
from gateway.store.sessions import Sessions
from gateway.store.sqlite_database import SqliteDatabase
from gateway.store.sync_days import SyncDays
from gateway.store.totals import TotalsReader
from gateway.store.triggers import Triggers
from gateway.store.usage import Usage
from gateway.store.users import Users


class Store:
    """Cheap to build; use as an async context manager, which opens and checks the file (DatabaseRefused)."""

    def __init__(self, path: Path) -> None:
        self.database: Database = SqliteDatabase(path)
        self.clients = Clients(self.database)
        self.connections = Connections(self.database)
        self.api_keys = ApiKeys(self.database)
        self.triggers = Triggers(self.database)
        self.gateways = Gateways(self.database)
        self.leases = Leases(self.database)
        self.usage = Usage(self.database)
        self.activity = ActivityLog(self.database)
        self.sync_days = SyncDays(self.database)
        self.users = Users(self.database)
        self.sessions = Sessions(self.database)
        self.totals = TotalsReader(self.database)
        self.bulk = Bulk(self.database)

    async def __aenter__(self) -> Self:
        await self.database.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.database.close()

    async def check(self) -> None:
        """Raises StorageUnavailable when the database does not answer."""
        await self.database.fetch_one("SELECT id FROM clients LIMIT 1")
