"""Changes to what operators set up, each a statement in a transaction that is under way."""

from typing import Any

import msgspec

from gateway.errors import InvalidInput
from gateway.models import ActivityEntry, ApiKey, Client, Connection, User, Webhook
from gateway.store.database import Row, Transaction
from gateway.store.tables import activity, recent_syncs, webhooks
from gateway.store.tables.clients import columns_of, rate_columns
from gateway.store.tables.events import EventWriter
from gateway.store.tables.key_events import key_event


class Changes:
    """The changes one transaction may make. `work` of `Bulk.change` is given them.

    Each takes the `entry` that tells of it, and the slug of the client it belongs to, whose number the entry gets.
    """

    def __init__(self, transaction: Transaction, events: EventWriter) -> None:
        self._connection = transaction
        self._events = events

    async def add_client(self, client: Client, entry: ActivityEntry) -> None:
        """Add the client; its number is the database's to give."""
        await self._run(
            """
            INSERT INTO clients (slug, name, plan, rate_requests, rate_seconds, rate_total_requests,
                rate_total_seconds, most_keys, created_at, disabled_at)
            VALUES (:slug, :name, :plan, :rate_requests, :rate_seconds, :rate_total_requests,
                :rate_total_seconds, :most_keys, :created_at, :disabled_at)
            """,
            **columns_of(client),
        )
        await self._record(client.slug, entry)

    async def update_client(self, client: Client, entry: ActivityEntry) -> None:
        """Change all that is told of the client with this slug."""
        await self._run(
            """
            UPDATE clients SET name = :name, plan = :plan, rate_requests = :rate_requests,
                rate_seconds = :rate_seconds, rate_total_requests = :rate_total_requests,
                rate_total_seconds = :rate_total_seconds, most_keys = :most_keys, disabled_at = :disabled_at
            WHERE slug = :slug
            """,
            **columns_of(client),
        )
        await self._record(client.slug, entry)

    async def remove_client(self, slug: str, entry: ActivityEntry) -> None:
        """Remove the client and all it has."""
        await self._record(slug, entry)
        await self._run("DELETE FROM clients WHERE slug = :slug", slug=slug)

    async def add_connection(self, slug: str, connection: Connection, entry: ActivityEntry) -> None:
        """Add the connection, mapped or not."""
        await self._run(
            """
            INSERT INTO connections (id, client_id, connector_type, label, status, created_at, airbyte_id, workspace_id)
            VALUES (:id, (SELECT id FROM clients WHERE slug = :slug), :connector_type, :label, :status, :created_at,
                :airbyte_id, :workspace_id)
            """,
            **msgspec.structs.asdict(connection),
            slug=slug,
        )
        await self._record(slug, entry)

    async def unmap(self, connection_id: str) -> None:
        """Free the connection's mapping, before mappings are given out anew: two connections may change places."""
        await self._run("UPDATE connections SET airbyte_id = NULL WHERE id = :id", id=connection_id)

    async def update_connection(self, slug: str, connection: Connection, entry: ActivityEntry, *, anew: bool) -> None:
        """Change what is told of the connection.

        `anew`: it is mapped to another Airbyte connection, and all that was known of the former is forgotten.
        """
        await self._run(
            """
            UPDATE connections SET connector_type = :connector_type, label = :label, airbyte_id = :airbyte_id,
                workspace_id = :workspace_id WHERE id = :id
            """,
            **msgspec.structs.asdict(connection),
        )
        if anew:
            await recent_syncs.forget(self._connection, connection.id)
            await self._run(
                """
                UPDATE connections SET status = :status, status_checked_at = NULL, last_job_id = NULL,
                    last_sync_at = NULL, last_sync_status = NULL, backfilled_at = NULL,
                    schedule = NULL, schedule_since = NULL, last_ended_at = NULL, warning = NULL,
                    watched_since = NULL
                WHERE id = :id
                """,
                status=connection.status,
                id=connection.id,
            )
        await self._record(slug, entry)

    async def remove_connection(self, slug: str, connection_id: str, entry: ActivityEntry) -> None:
        """Remove the connection; Airbyte keeps its own."""
        await self._run("DELETE FROM connections WHERE id = :id", id=connection_id)
        await self._record(slug, entry)

    async def add_user(self, slug: str | None, user: User, entry: ActivityEntry) -> None:
        """Add a member of the client or, without a slug, an admin."""
        await self._run(
            """
            INSERT INTO users (id, client_id, email, created_at)
            VALUES (:id, (SELECT id FROM clients WHERE slug = :slug), :email, :created_at)
            """,
            **msgspec.structs.asdict(user),
            slug=slug,
        )
        await self._record(slug, entry)

    async def remove_user(self, slug: str | None, user: User, entry: ActivityEntry) -> None:
        """Remove the user. Raises InvalidInput when nobody would be left who can sign in as an admin."""
        await self._run("DELETE FROM users WHERE id = :id", id=user.id)
        if (
            user.is_admin
            and user.has_password
            and not await self._run("SELECT 1 FROM users WHERE client_id IS NULL AND password_hash IS NOT NULL LIMIT 1")
        ):
            raise InvalidInput(f"{user.email} is the last admin who can sign in: nothing was changed")
        await self._record(slug, entry)

    async def update_key(self, slug: str, key: ApiKey, entry: ActivityEntry) -> None:
        """Change what may be changed of a key."""
        await self._run(
            """
            UPDATE api_keys SET name = :name, scope = :scope, rate_requests = :rate_requests,
                rate_seconds = :rate_seconds, expires_at = :expires_at WHERE id = :id
            """,
            **msgspec.structs.asdict(key),
            **rate_columns(key.rate),
        )
        await self._record(slug, entry)

    async def revoke_key(self, slug: str, key: ApiKey, entry: ActivityEntry) -> None:
        """Revoke the key at the entry's time."""
        await self._run("UPDATE api_keys SET revoked_at = :at WHERE id = :id", at=entry.at, id=key.id)
        revoked = msgspec.structs.replace(key, revoked_at=entry.at)
        await self._events.write(self._connection, [key_event("key.revoked", revoked, at=entry.at)])
        await self._record(slug, entry)

    async def update_webhook(self, slug: str, webhook: Webhook, entry: ActivityEntry) -> None:
        """Change where a webhook leads and what it is told of."""
        await webhooks.change(self._connection, webhook, at=entry.at)
        await self._record(slug, entry)

    async def remove_webhook(self, slug: str, webhook: Webhook, entry: ActivityEntry) -> None:
        """Remove the webhook, with its deliveries."""
        await self._run("DELETE FROM webhooks WHERE id = :id", id=webhook.id)
        await self._record(slug, entry)

    async def _run(self, sql: str, **parameters: Any) -> list[Row]:
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def _record(self, slug: str | None, entry: ActivityEntry) -> None:
        rows = await self._run("SELECT id FROM clients WHERE slug = :slug", slug=slug)
        client_id = rows[0]["id"] if rows else None
        await activity.insert(self._connection, msgspec.structs.replace(entry, client_id=client_id))
