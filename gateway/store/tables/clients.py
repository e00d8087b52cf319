"""Every statement about the table `clients`.

Whatever changes a client takes the `entry` that tells of it and writes both or neither; no change, no entry.
"""

import msgspec

from gateway.errors import Duplicate, Unknown
from gateway.models import ActivityEntry, Client, RatePolicy
from gateway.store.database import ConstraintViolated, Database, Parameters, Row, Transaction
from gateway.store.tables import activity


def rate_from(requests: int | None, per_seconds: int | None) -> RatePolicy | None:
    if requests is None or per_seconds is None:
        return None
    return RatePolicy(requests, per_seconds)


def client_from(row: Row) -> Client:
    return Client(
        id=row["id"],
        slug=row["slug"],
        name=row["name"],
        plan=row["plan"],
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
        rate=rate_from(row["rate_requests"], row["rate_seconds"]),
    )


class Clients:
    """Tenants, by slug."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, *, slug: str, name: str, plan: str, created_at: str, entry: ActivityEntry | None = None
    ) -> Client:
        """A new client; Duplicate if the slug is taken. `entry` is filed under the number it is given."""

        async def insert(connection: Transaction) -> Client:
            (row,) = await connection.execute_fetchall(
                "INSERT INTO clients (slug, name, plan, created_at) VALUES (?, ?, ?, ?) RETURNING *",
                (slug, name, plan, created_at),
            )
            client = client_from(row)
            if entry is not None:
                await activity.insert(connection, msgspec.structs.replace(entry, client_id=client.id))
            return client

        try:
            return await self._database.write(insert)
        except ConstraintViolated:
            raise Duplicate(f"there already is a client with the slug {slug!r}") from None

    async def all(self) -> list[Client]:
        rows = await self._database.fetch_all("SELECT * FROM clients ORDER BY id")
        return [client_from(row) for row in rows]

    async def by_slug(self, slug: str) -> Client:
        """Raises Unknown."""
        row = await self._database.fetch_one("SELECT * FROM clients WHERE slug = ?", (slug,))
        if row is None:
            raise Unknown(f"there is no client with the slug {slug!r}; see: gateway client list")
        return client_from(row)

    async def update(
        self, client_id: int, *, name: str, plan: str, rate: RatePolicy | None, entry: ActivityEntry | None = None
    ) -> None:
        """`rate` None: what the settings say."""
        await self._change(
            "UPDATE clients SET name = ?, plan = ?, rate_requests = ?, rate_seconds = ? WHERE id = ? RETURNING 1",
            (name, plan, rate.requests if rate else None, rate.per_seconds if rate else None, client_id),
            entry,
        )

    async def disable(self, client_id: int, *, at: str, entry: ActivityEntry | None = None) -> None:
        """From the next request on its keys are refused. A client disabled before keeps its first time."""
        await self._change(
            "UPDATE clients SET disabled_at = ? WHERE id = ? AND disabled_at IS NULL RETURNING 1",
            (at, client_id),
            entry,
        )

    async def enable(self, client_id: int, *, entry: ActivityEntry | None = None) -> None:
        await self._change(
            "UPDATE clients SET disabled_at = NULL WHERE id = ? AND disabled_at IS NOT NULL RETURNING 1",
            (client_id,),
            entry,
        )

    async def remove(self, client_id: int, *, entry: ActivityEntry | None = None) -> None:
        """Forget the client, its connections and its keys; Airbyte keeps what it has."""
        await self._change("DELETE FROM clients WHERE id = ? RETURNING 1", (client_id,), entry)

    async def _change(self, sql: str, parameters: Parameters, entry: ActivityEntry | None) -> None:
        await self._database.write(lambda connection: activity.change(connection, sql, parameters, entry))
