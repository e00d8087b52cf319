"""Records that tests of several tables put into the store."""

from typing import Any

import msgspec

from gateway.models import ActivityEntry, Client, Connection, Session, User, Webhook
from gateway.settings.secret import Secret
from gateway.store import Link, Store

NOW = "2026-04-01T03:00:00.000Z"
TOMORROW = "2026-04-02T03:00:00.000Z"
ANN = "ann@acme.example"


def a_connection(client: Client, connection_id: str = "conn_1", airbyte_id: str | None = None) -> Connection:
    return Connection(
        id=connection_id,
        client_id=client.id,
        connector_type="shopify",
        label="Shop",
        status="active" if airbyte_id else "pending",
        created_at=NOW,
        airbyte_id=airbyte_id,
        workspace_id="work" if airbyte_id else None,
        status_checked_at=NOW if airbyte_id else None,
    )


def an_entry(action: str = "user.invite") -> ActivityEntry:
    return ActivityEntry(NOW, None, "somebody", action, "somebody else")


def a_user(client: Client | None, user_id: str = "user_1", email: str = ANN) -> User:
    return User(id=user_id, client_id=None if client is None else client.id, email=email, created_at=NOW)


async def a_member(store: Store, client: Client, *, password_hash: str | None = None) -> User:
    user = a_user(client)
    await store.users.add(user, entry=an_entry())
    if password_hash is not None:
        await store.links.put(Link(b"first", "password", user.id, TOMORROW))
        assert await store.links.set_password(user.id, password_hash=password_hash, link=b"first", entry=an_entry())
    return user


async def sign_in(store: Store, user: User, *, digest: bytes = b"session") -> None:
    session = Session(f"session_{digest.hex()}", user.id, NOW, NOW, "192.0.2.1", "Firefox")
    assert await store.sessions.add(
        session,
        digest=digest,
        password_hash=None,
        has_proof=False,
        ended_before=NOW,
        entry=an_entry(),
        noted_since=NOW,
    )


async def actions(store: Store) -> list[str]:
    return [entry.action for entry in reversed(await store.activity.all(limit=100))]


def a_webhook(client: Client, webhook_id: str = "whk_1", created_at: str = NOW, **other: Any) -> Webhook:
    return Webhook(webhook_id, client.id, "https://hooks.example/", created_at, **other)


async def add_webhook(store: Store, client: Client, webhook_id: str = "whk_1", **other: Any) -> None:
    webhook = a_webhook(client, webhook_id, **other)
    await store.webhooks.add(webhook, secret=Secret(f"whsec_{webhook_id}"), most=10, entry=an_entry("webhook.create"))


async def written(store: Store) -> list[tuple[str, Any]]:
    """Every event, in its order: its type and its data."""
    rows = await store.database.fetch_all("SELECT type, data FROM events ORDER BY number")
    return [(row["type"], msgspec.json.decode(row["data"])) for row in rows]
