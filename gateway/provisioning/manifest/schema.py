"""The entries of a manifest: a table for each client, connection, user and key, named by slug, id or address."""

import msgspec

from gateway import validation
from gateway.models import ApiKey, Client, Connection, EventType, Scope, User, Webhook
from gateway.store.bulk import Snapshot


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One table of the file."""


class ClientEntry(Entry, frozen=True):
    """A client; its slug is the name of the entry."""

    name: str
    plan: str = "free"
    rate: str | None = None
    rate_total: str | None = None
    most_keys: int | None = None
    disabled: bool = False


class ConnectionEntry(Entry, frozen=True):
    """A connection of the client whose slug is given."""

    client: str
    connector_type: str
    label: str
    airbyte_id: str | None = None
    workspace_id: str | None = None


class UserEntry(Entry, frozen=True):
    """A member of `client`, or an admin."""

    client: str | None = None
    admin: bool = False


class KeyEntry(Entry, frozen=True):
    """A key of the client whose slug is given. The key itself is in no manifest."""

    client: str
    name: str
    scope: Scope = "full"
    start: str | None = None
    rate: str | None = None
    expires_at: str | None = None


class WebhookEntry(Entry, frozen=True):
    """A webhook without its secret. Empty lists: it is told of everything."""

    client: str
    url: str
    events: tuple[EventType, ...] = ()
    connections: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    """Everything, in the order of the file. Keys that were revoked are not in it."""

    clients: dict[str, ClientEntry]
    connections: dict[str, ConnectionEntry]
    users: dict[str, UserEntry]
    keys: dict[str, KeyEntry]
    webhooks: dict[str, WebhookEntry]


def client_entry(client: Client) -> ClientEntry:
    """Return a stored client as its entry."""
    return ClientEntry(
        name=client.name,
        plan=client.plan,
        rate=validation.rate_text(client.rate),
        rate_total=validation.rate_text(client.rate_total),
        most_keys=client.most_keys,
        disabled=client.disabled_at is not None,
    )


def connection_entry(connection: Connection, slug: str) -> ConnectionEntry:
    """Return a stored connection as its entry."""
    return ConnectionEntry(
        client=slug,
        connector_type=connection.connector_type,
        label=connection.label,
        airbyte_id=connection.airbyte_id,
        workspace_id=connection.workspace_id,
    )


def user_entry(user: User, slug: str | None) -> UserEntry:
    """Return a stored user as the entry."""
    return UserEntry(client=slug, admin=user.is_admin)


def key_entry(key: ApiKey, slug: str) -> KeyEntry:
    """Return a stored key as its entry."""
    return KeyEntry(
        client=slug,
        name=key.name,
        scope=key.scope,
        start=key.start,
        rate=validation.rate_text(key.rate),
        expires_at=key.expires_at,
    )


def webhook_entry(webhook: Webhook, slug: str) -> WebhookEntry:
    """Return a stored webhook as its entry."""
    return WebhookEntry(client=slug, url=webhook.url, events=webhook.events, connections=webhook.connections)


def manifest_of(snapshot: Snapshot) -> Manifest:
    """Return the manifest of what the database has: by client, oldest first, so that new entries come last."""
    slugs = {client.id: client.slug for client in snapshot.clients}
    connections = sorted(snapshot.connections, key=lambda row: slugs[row.client_id])
    users = sorted(snapshot.users, key=lambda row: "" if row.client_id is None else slugs[row.client_id])
    keys = sorted(
        (key for key in snapshot.keys if key.revoked_at is None),
        key=lambda row: slugs[row.client_id],
    )
    return Manifest(
        clients={row.slug: client_entry(row) for row in sorted(snapshot.clients, key=lambda row: row.slug)},
        connections={row.id: connection_entry(row, slugs[row.client_id]) for row in connections},
        users={row.email: user_entry(row, None if row.client_id is None else slugs[row.client_id]) for row in users},
        keys={row.id: key_entry(row, slugs[row.client_id]) for row in keys},
        webhooks={
            row.id: webhook_entry(row, slugs[row.client_id])
            for row in sorted(snapshot.webhooks, key=lambda row: slugs[row.client_id])
        },
    )
