"""Counts over several tables, for the operator's pages."""

import json
from collections.abc import Iterable

import msgspec

from gateway.models import TERMINAL_STATUSES, ClientTotals, Totals
from gateway.store.database import Database

CONNECTIONS_COUNT = "(SELECT count(*) FROM connections WHERE client_id = clients.id)"
KEYS_COUNT = """
    (SELECT count(*) FROM api_keys WHERE client_id = clients.id AND revoked_at IS NULL AND expires_at IS NULL)
    + (SELECT count(*) FROM api_keys WHERE client_id = clients.id AND revoked_at IS NULL AND expires_at > :now)
"""
USERS_COUNT = "(SELECT count(*) FROM users WHERE client_id = clients.id)"
CALLS_COUNT = """
    (SELECT CAST(coalesce(sum(calls), 0) AS BIGINT) FROM key_usage
        WHERE client_id = clients.id AND hour >= :calls_since)
"""
"""What a client has, counted for a row of the table `clients`."""

_ENDED = ", ".join(f"'{status}'" for status in sorted(TERMINAL_STATUSES))
_HAS_FAILED = f"""
    CASE WHEN last_sync_status IN ({_ENDED}) THEN last_sync_status ELSE (
        SELECT recent_syncs.status FROM recent_syncs WHERE connection_number = connections.number
        ORDER BY at DESC, job_id DESC LIMIT 1
    ) END = 'failed'
"""  # noqa: S608 - ours
"""Of a connection: while a sync runs, nobody knows yet whether it is over that syncs fail."""


class FailingClient(msgspec.Struct, frozen=True):
    """A client with active connections whose last sync failed: how many, and the label of the oldest."""

    slug: str
    name: str
    connections: int
    label: str


class TotalsReader:
    """How many there are of what. Every method raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_clients(self, client_ids: Iterable[int], *, now: str, calls_since: str) -> dict[int, ClientTotals]:
        """Return the totals by client id. Keys are those not revoked or expired; calls, those from `calls_since` on.

        `calls_since` is when an hour began.
        """
        listed = self._database.dialect.numbers("ids")
        rows = await self._database.fetch_all(
            f"""
            SELECT id, {CONNECTIONS_COUNT} AS connections, {KEYS_COUNT} AS keys,
                {USERS_COUNT} AS users, {CALLS_COUNT} AS calls
            FROM clients WHERE id IN ({listed})
            """,  # noqa: S608 - ours
            {"ids": json.dumps(list(client_ids)), "now": now, "calls_since": calls_since},
        )
        return {row["id"]: ClientTotals(row["connections"], row["keys"], row["users"], row["calls"]) for row in rows}

    async def of_installation(self, *, now: str) -> Totals:
        """Return the totals of every client together."""
        (row,) = await self._database.fetch_all(
            f"""
            SELECT
                (SELECT count(*) FROM clients) AS clients,
                (SELECT count(*) FROM clients WHERE disabled_at IS NOT NULL) AS disabled_clients,
                (SELECT count(*) FROM connections) AS connections,
                (SELECT count(*) FROM connections WHERE airbyte_id IS NULL) AS unmapped_connections,
                (SELECT count(*) FROM api_keys WHERE revoked_at IS NULL
                    AND (expires_at IS NULL OR expires_at > :now)) AS keys,
                (SELECT count(*) FROM users) AS users,
                {self._database.dialect.size} AS database_bytes
            """,  # noqa: S608 - ours
            {"now": now},
        )
        return Totals(**dict(row))

    async def failing_clients(self) -> list[FailingClient]:
        """Return the clients of whose active connections the last sync that ended has failed, by slug."""
        listed = self._database.dialect.numbers("ids")
        rows = await self._database.fetch_all(
            f"""
            SELECT slug, name, count(*) AS connections, min(number) AS oldest FROM connections
            JOIN clients ON clients.id = client_id
            WHERE {_HAS_FAILED} AND connections.status = 'active' AND disabled_at IS NULL
            GROUP BY slug, name ORDER BY slug
            """  # noqa: S608 - ours
        )
        oldest = await self._database.fetch_all(
            f"SELECT number, label FROM connections WHERE number IN ({listed})",  # noqa: S608 - ours
            {"ids": json.dumps([row["oldest"] for row in rows])},
        )
        labels = {row["number"]: row["label"] for row in oldest}
        return [FailingClient(row["slug"], row["name"], row["connections"], labels[row["oldest"]]) for row in rows]
