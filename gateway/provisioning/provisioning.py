"""What operators do: clients, connections and keys are made, changed and removed here, and the activity log told."""

from collections.abc import AsyncIterator, Callable

import msgspec

from gateway import validation
from gateway.airbyte import Airbyte, ConnectionRecord
from gateway.auth import keys
from gateway.errors import InvalidInput, UnknownRecord
from gateway.models import COMMAND_LINE, PENDING, ActivityEntry, Actor, ApiKey, Client, Connection, RatePolicy, Scope
from gateway.provisioning.mapping import ConnectionMapping
from gateway.store import Store
from gateway.syncs.backfill import Backfill
from gateway.times import Clock, format_time, parse_time


class NewKey(msgspec.Struct, frozen=True):
    """A key at the only moment its text is known."""

    record: ApiKey
    text: str

    def __repr__(self) -> str:
        return f"NewKey({self.record.id})"


class Imported(msgspec.Struct, frozen=True):
    """What became of one of Airbyte's connections: `connection` is None if it was mapped already."""

    airbyte_id: str
    connection: Connection | None


class Provisioning:
    """The operator's hands. `choice` picks a random character; `by` is who the activity log says it was."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        backfill: Backfill,
        clock: Clock,
        choice: Callable[[str], str],
    ) -> None:
        self._store = store
        self._airbyte = airbyte
        self._mapping = ConnectionMapping(store, airbyte, backfill, clock)
        self._clock = clock
        self._choice = choice

    async def add_client(self, *, slug: str, name: str, plan: str, by: Actor = COMMAND_LINE) -> Client:
        """Raises InvalidInput, Duplicate."""
        slug = validation.slug("the slug", slug)
        name = validation.text("the name", name)
        return await self._store.clients.add(
            slug=slug,
            name=name,
            plan=validation.text("the plan", plan),
            created_at=self._now(),
            entry=by.did("client.create", f"{name} ({slug})", client_id=None, at=self._now()),
        )

    async def update_client(
        self, slug: str, *, name: str, plan: str, rate: str | None, by: Actor = COMMAND_LINE
    ) -> Client:
        """`rate` None or empty: what the settings say. Raises InvalidInput, UnknownRecord."""
        client = await self._store.clients.by_slug(slug)
        changed = msgspec.structs.replace(
            client,
            name=validation.text("the name", name),
            plan=validation.text("the plan", plan),
            rate=validation.rate(rate) if rate else None,
        )
        await self._store.clients.update(
            client.id,
            name=changed.name,
            plan=changed.plan,
            rate=changed.rate,
            entry=self._about_client(by, "client.update", changed),
        )
        return await self._store.clients.by_slug(slug)

    async def disable_client(self, slug: str, *, by: Actor = COMMAND_LINE) -> Client:
        """From the next request on its keys are refused. Raises UnknownRecord."""
        client = await self._store.clients.by_slug(slug)
        entry = self._about_client(by, "client.disable", client)
        await self._store.clients.disable(client.id, at=self._now(), entry=entry)
        return await self._store.clients.by_slug(slug)

    async def enable_client(self, slug: str, *, by: Actor = COMMAND_LINE) -> Client:
        """From the next request on its keys are accepted again. Raises UnknownRecord."""
        client = await self._store.clients.by_slug(slug)
        await self._store.clients.enable(client.id, entry=self._about_client(by, "client.enable", client))
        return await self._store.clients.by_slug(slug)

    async def remove_client(self, slug: str, *, by: Actor = COMMAND_LINE) -> Client:
        """With its connections and keys; Airbyte keeps what it has. Raises UnknownRecord."""
        client = await self._store.clients.by_slug(slug)
        await self._store.clients.remove(client.id, entry=self._about_client(by, "client.remove", client))
        return client

    async def add_connection(
        self,
        client_slug: str,
        *,
        connector_type: str,
        label: str,
        airbyte_id: str | None,
        connection_id: str | None = None,
        by: Actor = COMMAND_LINE,
    ) -> tuple[Connection, str]:
        """A connection, mapped if `airbyte_id` is given, and a warning, empty if there is nothing to warn of.

        Raises InvalidInput, UnknownRecord, Duplicate, that also if `connection_id` is given and taken.
        """
        client = await self._store.clients.by_slug(client_slug)
        connection = Connection(
            id=connection_id or keys.mint_id("conn", self._choice),
            client_id=client.id,
            connector_type=validation.slug("the connector type", connector_type),
            label=validation.text("the label", label),
            status=PENDING,
            created_at=self._now(),
        )
        warning = ""
        if airbyte_id is not None:
            connection, warning = await self._mapping.mapped(connection, airbyte_id)
        await self._add(connection, by, "connection.create")
        return connection, warning

    async def map_connection(
        self, connection_id: str, airbyte_id: str, *, by: Actor = COMMAND_LINE
    ) -> tuple[Connection, str]:
        """As `add_connection`."""
        known = await self._store.connections.any_by_id(connection_id)
        connection, warning = await self._mapping.mapped(known, airbyte_id)
        await self._store.connections.map(connection, entry=self._about_connection(by, "connection.map", connection))
        await self._mapping.backfill(connection)
        return connection, warning

    async def rename_connection(self, connection_id: str, *, label: str, by: Actor = COMMAND_LINE) -> Connection:
        """Raises InvalidInput, UnknownRecord."""
        known = await self._store.connections.any_by_id(connection_id)
        connection = msgspec.structs.replace(known, label=validation.text("the label", label))
        await self._store.connections.rename(
            connection.client_id,
            connection.id,
            label=connection.label,
            entry=self._about_connection(by, "connection.rename", connection),
        )
        return await self._store.connections.any_by_id(connection_id)

    async def remove_connection(self, connection_id: str, *, by: Actor = COMMAND_LINE) -> Connection:
        """Airbyte keeps the connection and its syncs. Raises UnknownRecord."""
        connection = await self._store.connections.any_by_id(connection_id)
        await self._store.connections.remove(
            connection.client_id,
            connection.id,
            entry=self._about_connection(by, "connection.remove", connection),
        )
        return connection

    async def import_connections(
        self, client_slug: str, workspace_id: str, *, by: Actor = COMMAND_LINE
    ) -> AsyncIterator[Imported]:
        """Make a connection of each of the workspace's that nobody has, telling of each as it is done.

        Raises InvalidInput, UnknownRecord, UpstreamError; what was imported before that stays.
        """
        client = await self._store.clients.by_slug(client_slug)
        workspace_id = validation.uuid("the workspace", workspace_id)
        mapped = await self._store.connections.mapped_airbyte_ids()
        async for record in self._airbyte.all_connections(workspace_id):
            new = None if record.connection_id in mapped else await self._import(client, record, by)
            yield Imported(record.connection_id, new)

    async def _import(self, client: Client, record: ConnectionRecord, by: Actor) -> Connection:
        connection_id = keys.mint_id("conn", self._choice)
        connection = await self._mapping.taken_over(record, connection_id=connection_id, client_id=client.id)
        await self._add(connection, by, "connection.import")
        return connection

    async def _add(self, connection: Connection, by: Actor, action: str) -> None:
        await self._store.connections.add(connection, entry=self._about_connection(by, action, connection))
        await self._mapping.backfill(connection)

    async def create_key(
        self,
        client_slug: str,
        *,
        name: str,
        scope: Scope,
        expires: str | None,
        rate: str | None,
        client_id: int | None = None,
        key_id: str | None = None,
        by: Actor = COMMAND_LINE,
    ) -> NewKey:
        """Raises InvalidInput, UnknownRecord, also if `client_id` is given and the slug is no longer that client's.

        Duplicate if `key_id` is given and taken.
        """
        client = await self._store.clients.by_slug(client_slug)
        if client_id not in {None, client.id}:
            raise UnknownRecord(f"the client {client_slug!r} was removed")
        new = self._mint(
            key_id,
            client.id,
            name=validation.text("the name", name),
            scope=scope,
            rate=None if rate is None else validation.rate(rate),
            expires_at=None if expires is None else validation.expiry(expires, self._clock.now()),
        )
        entry = self._about_key(by, "key.create", new.record)
        await self._store.api_keys.add(new.record, digest=keys.digest(new.text), entry=entry)
        return new

    async def rotate_key(
        self,
        key_id: str,
        *,
        overlap: str,
        client_id: int | None = None,
        new_id: str | None = None,
        by: Actor = COMMAND_LINE,
    ) -> NewKey:
        """A new key like the old one, which ends after `overlap`. Raises InvalidInput, UnknownRecord.

        A key that had an end gets a successor that lives as long from now.
        """
        old = await self._key(key_id, client_id)
        now = self._clock.now()
        if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= format_time(now)):
            raise InvalidInput(f"the key {key_id} is revoked or expired; create a new one")
        if old.successor_id is not None:
            raise InvalidInput(f"the key {key_id} was rotated already; its successor is {old.successor_id}")
        life = None if old.expires_at is None else parse_time(old.expires_at) - parse_time(old.created_at)
        expires_at = None if life is None else format_time(now + life)
        new = self._mint(new_id, old.client_id, name=old.name, scope=old.scope, rate=old.rate, expires_at=expires_at)
        await self._store.api_keys.replace(
            old,
            new.record,
            digest=keys.digest(new.text),
            old_expires_at=validation.overlap(overlap, now),
            entry=self._about_key(by, "key.rotate", old, f" → {new.record.start}"),
        )
        return new

    async def revoke_key(self, key_id: str, *, client_id: int | None = None, by: Actor = COMMAND_LINE) -> ApiKey:
        """From the next request on it is refused. Raises UnknownRecord, also of another client's than `client_id`."""
        key = await self._key(key_id, client_id)
        entry = self._about_key(by, "key.revoke", key)
        await self._store.api_keys.revoke(key.client_id, key.id, at=self._now(), entry=entry)
        return await self._store.api_keys.by_id(key.client_id, key.id)

    async def _key(self, key_id: str, client_id: int | None) -> ApiKey:
        if client_id is None:
            return await self._store.api_keys.any_by_id(key_id)
        return await self._store.api_keys.by_id(client_id, key_id)

    def _mint(
        self,
        key_id: str | None,
        client_id: int,
        *,
        name: str,
        scope: Scope,
        rate: RatePolicy | None,
        expires_at: str | None,
    ) -> NewKey:
        text = keys.mint(self._choice)
        record = ApiKey(
            id=key_id or keys.mint_id("key", self._choice),
            client_id=client_id,
            start=keys.display_start(text),
            name=name,
            scope=scope,
            created_at=self._now(),
            rate=rate,
            expires_at=expires_at,
        )
        return NewKey(record, text)

    def _about_client(self, by: Actor, action: str, client: Client) -> ActivityEntry:
        return by.did(action, f"{client.name} ({client.slug})", client_id=client.id, at=self._now())

    def _about_connection(self, by: Actor, action: str, connection: Connection) -> ActivityEntry:
        subject = f"{connection.label} ({connection.id})"
        return by.did(action, subject, client_id=connection.client_id, at=self._now())

    def _about_key(self, by: Actor, action: str, key: ApiKey, successor: str = "") -> ActivityEntry:
        return by.did(action, f"{key.start}{successor} ({key.name})", client_id=key.client_id, at=self._now())

    def _now(self) -> str:
        return format_time(self._clock.now())
