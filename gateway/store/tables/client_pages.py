"""What pages show of clients: a page of them, however many there are, also in the order of their figures."""

from gateway.models import Client
from gateway.store.database import Database
from gateway.store.tables.clients import client_from
from gateway.store.tables.excerpts import Excerpt, LongList
from gateway.store.tables.totals import CALLS_COUNT, CONNECTIONS_COUNT, KEYS_COUNT, USERS_COUNT

CLIENT_LIST = LongList(
    columns="*",
    rows="clients",
    text="name || ' ' || slug || ' ' || plan",
    usual="lower(name), id",
    number="id",
    orders={
        "name": "lower(name)",
        "plan": "lower(plan)",
        "connections": CONNECTIONS_COUNT,
        "keys": f"({KEYS_COUNT})",
        "users": USERS_COUNT,
        "calls": CALLS_COUNT,
        "state": "coalesce(disabled_at, '')",
    },
)


class ClientPages:
    """Clients, for the operator. Every method raises StorageUnavailable.

    The orders are `name`, `plan`, `state`, and `connections`, `keys`, `users` and `calls` as TotalsReader counts them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self, excerpt: Excerpt, *, now: str, calls_since: str) -> tuple[list[Client], int]:
        """Return a page of those with the query in name, slug or plan, by name, and how many there are."""
        rows, total = await CLIENT_LIST.read(
            self._database, excerpt, parameters={"now": now, "calls_since": calls_since}
        )
        return [client_from(row) for row in rows], total
