"""Every statement about the table `clients`.

Whatever changes a client takes the `entry` that tells of it and writes both or neither; no change, no entry.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from gateway.errors import Duplicate, UnknownRecord
from gateway.models import ActivityEntry, Client, RatePolicy
from gateway.store.database import ConstraintViolated, Database, Parameters, Row, Transaction
from gateway.store.tables import activity


class Clients:
    """Tenants, by slug. Every method raises StorageUnavailable."""

    def __init__(self, database: Database, *, forget: Callable[[int], None]) -> None:
        """`forget` has caches read again what they hold of a client: all else stays cached."""
        self._database = database
        self._forget = forget

    async def add(
        self, *, slug: str, name: str, plan: str, created_at: str, entry: ActivityEntry | None = None
    ) -> Client:
        """Add a client and file `entry` under the number it is given. Raises Duplicate if the slug is taken."""

        async def insert(transaction: Transaction) -> Client:
            (row,) = await transaction.execute_fetchall(
                """
                INSERT INTO clients (slug, name, plan, created_at)
                VALUES (:slug, :name, :plan, :created_at) RETURNING *
                """,
                {"slug": slug, "name": name, "plan": plan, "created_at": created_at},
            )
            client = client_from(row)
            if entry is not None:
                await activity.insert(transaction, msgspec.structs.replace(entry, client_id=client.id))
            return client

        try:
            return await self._database.write(insert, housekeeping=True)
        except ConstraintViolated:
            raise slug_taken(slug) from None

    async def all(self) -> list[Client]:
        """Return every client, oldest first."""
        rows = await self._database.fetch_all("SELECT * FROM clients ORDER BY id")
        return [client_from(row) for row in rows]

    async def by_slug(self, slug: str) -> Client:
        """Return the client. Raises UnknownRecord."""
        row = await self._database.fetch_one("SELECT * FROM clients WHERE slug = :slug", {"slug": slug})
        if row is None:
            raise UnknownRecord(f"there is no client with the slug {slug!r}; see: gateway client list")
        return client_from(row)

    async def update(self, client: Client, *, entry: ActivityEntry | None = None) -> None:
        """Change what is told of the client of this id, and what its keys may do."""
        await self._change(
            client.id,
            """
            UPDATE clients SET name = :name, plan = :plan, rate_requests = :rate_requests,
                rate_seconds = :rate_seconds, rate_total_requests = :rate_total_requests,
                rate_total_seconds = :rate_total_seconds, most_keys = :most_keys
            WHERE id = :id RETURNING 1
            """,
            columns_of(client),
            entry,
        )

    async def rename(self, client_id: int, *, slug: str, entry: ActivityEntry | None = None) -> None:
        """Give the client another slug. Raises Duplicate if it is taken."""
        try:
            await self._change(
                client_id,
                "UPDATE clients SET slug = :slug WHERE id = :id RETURNING 1",
                {"slug": slug, "id": client_id},
                entry,
            )
        except ConstraintViolated:
            raise slug_taken(slug) from None

    async def disable(self, client_id: int, *, at: str, entry: ActivityEntry | None = None) -> None:
        """Refuse the client's keys from the next request on. A client disabled before keeps its first time."""
        await self._change(
            client_id,
            "UPDATE clients SET disabled_at = :at WHERE id = :id AND disabled_at IS NULL RETURNING 1",
            {"at": at, "id": client_id},
            entry,
        )

    async def enable(self, client_id: int, *, entry: ActivityEntry | None = None) -> None:
        """Accept the client's keys again."""
        await self._change(
            client_id,
            "UPDATE clients SET disabled_at = NULL WHERE id = :id AND disabled_at IS NOT NULL RETURNING 1",
            {"id": client_id},
            entry,
        )

    async def remove(self, client_id: int, *, entry: ActivityEntry | None = None) -> None:
        """Forget the client, its connections and its keys; Airbyte keeps what it has."""
        await self._change(client_id, "DELETE FROM clients WHERE id = :id RETURNING 1", {"id": client_id}, entry)

    async def _change(self, client_id: int, sql: str, parameters: Parameters, entry: ActivityEntry | None) -> None:
        await self._database.write(
            lambda transaction: activity.change(transaction, sql, parameters, entry),
            housekeeping=True,
            committed=lambda: self._forget(client_id),
        )


def slug_taken(slug: str) -> Duplicate:
    """Return the error for a slug that another client has."""
    return Duplicate(f"there already is a client with the slug {slug!r}")


def client_from(row: Row) -> Client:
    """Return the client of a row of the table."""
    return Client(
        id=row["id"],
        slug=row["slug"],
        name=row["name"],
        plan=row["plan"],
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
        rate=rate_from(row["rate_requests"], row["rate_seconds"]),
        rate_total=rate_from(row["rate_total_requests"], row["rate_total_seconds"]),
        most_keys=row["most_keys"],
    )


def columns_of(client: Client) -> dict[str, Any]:
    """Return the columns of a client's row."""
    total = client.rate_total
    return {
        **msgspec.structs.asdict(client),
        **rate_columns(client.rate),
        "rate_total_requests": total and total.requests,
        "rate_total_seconds": total and total.per_seconds,
    }


def rate_from(requests: int | None, per_seconds: int | None) -> RatePolicy | None:
    """Return the rate of its two columns, of which both are NULL or none is."""
    if requests is None or per_seconds is None:
        return None
    return RatePolicy(requests, per_seconds)


def rate_columns(rate: RatePolicy | None) -> dict[str, int | None]:
    """Return the two columns of a rate."""
    return {
        "rate_requests": rate.requests if rate else None,
        "rate_seconds": rate.per_seconds if rate else None,
    }
