"""Plan the upserts: what a manifest has and the database has not, or has otherwise."""

import shlex
from collections.abc import Callable

import msgspec

from gateway import validation
from gateway.errors import InvalidInput
from gateway.models import AWAITING_MAPPING, ApiKey, Client, Connection, RatePolicy, User, Webhook
from gateway.provisioning.manifest.document import folded, toml_path
from gateway.provisioning.manifest.plan import Comparison, connection_name, key_name, user_name, webhook_name
from gateway.provisioning.manifest.schema import (
    ClientEntry,
    ConnectionEntry,
    Entry,
    KeyEntry,
    WebhookEntry,
    client_entry,
    connection_entry,
    key_entry,
)


class Upserts:
    """Plans what is to be added or updated, by kind, in the order of the file."""

    def __init__(
        self, comparison: Comparison, mint_user_id: Callable[[], str], require_url: Callable[[str], None]
    ) -> None:
        """`mint_user_id` makes ids for users; `require_url` raises InvalidInput for a URL that no webhook may have."""
        self._comparison = comparison
        self._mint_user_id = mint_user_id
        self._require_url = require_url

    def plan(self) -> None:
        """Add each upsert to the plan. Raises InvalidInput for a webhook that no command would make."""
        file = self._comparison.file
        for slug, client in file.clients.items():
            self._client(slug, client)
        for connection_id, connection in file.connections.items():
            self._unmap(connection_id, connection)
        for connection_id, connection in file.connections.items():
            self._connection(connection_id, connection)
        for email, user in file.users.items():
            self._user(email, user.client)
        for key_id, key in file.keys.items():
            self._key(key_id, key)
        for webhook_id, webhook in file.webhooks.items():
            self._webhook(webhook_id, webhook)

    def _client(self, slug: str, entry: ClientEntry) -> None:
        comparison = self._comparison
        known = comparison.clients.get(slug)
        disabled_at = (known and known.disabled_at) or comparison.now if entry.disabled else None
        client = Client(
            id=known.id if known else 0,
            slug=slug,
            name=entry.name,
            plan=entry.plan,
            created_at=known.created_at if known else comparison.now,
            rate=_rate(entry.rate),
            rate_total=_rate(entry.rate_total),
            most_keys=entry.most_keys,
            disabled_at=disabled_at,
        )
        if known is None:
            activity = comparison.entry("client.create", client)
            comparison.change(f"+ client {slug}", lambda changes: changes.add_client(client, activity))
        elif client != known:
            activity = comparison.entry(_client_action(known, client), client)
            line = f"~ client {slug}: {_difference(client_entry(known), entry)}"
            comparison.change(line, lambda changes: changes.update_client(client, activity))

    def _unmap(self, connection_id: str, entry: ConnectionEntry) -> None:
        """Unmap what will be mapped anew, before any mapping: two may swap. The line comes with the mapping."""
        known = self._comparison.connections.get(connection_id)
        if known is not None and known.airbyte_id not in {None, entry.airbyte_id}:
            self._comparison.prepare(lambda changes: changes.unmap(known.id))

    def _connection(self, connection_id: str, entry: ConnectionEntry) -> None:
        comparison = self._comparison
        known = comparison.connections.get(connection_id)
        wanted = Connection(
            id=connection_id,
            client_id=0,
            connector_type=entry.connector_type,
            label=entry.label,
            status=AWAITING_MAPPING,
            created_at=comparison.now,
            airbyte_id=entry.airbyte_id,
            workspace_id=entry.workspace_id,
        )
        name = connection_name(wanted, entry.client)
        if known is None:
            comparison.plan.mapped.append(connection_id)
            activity = comparison.entry("connection.create", wanted)
            comparison.change(f"+ {name}", lambda changes: changes.add_connection(entry.client, wanted, activity))
            return
        is_mapped_anew = entry.airbyte_id != known.airbyte_id
        if entry.workspace_id is None and not is_mapped_anew:
            # The gateway finds the workspace out by itself.
            wanted = msgspec.structs.replace(wanted, workspace_id=known.workspace_id)
        if (wanted.airbyte_id, wanted.workspace_id) != (known.airbyte_id, known.workspace_id):
            comparison.plan.mapped.append(connection_id)
        here, there = connection_entry(known, entry.client), connection_entry(wanted, entry.client)
        if here != there:
            activity = comparison.entry("connection.map" if is_mapped_anew else "connection.update", wanted)
            comparison.change(
                f"~ {name}: {_difference(here, there)}",
                lambda changes: changes.update_connection(entry.client, wanted, activity, anew=is_mapped_anew),
            )

    def _user(self, email: str, slug: str | None) -> None:
        comparison = self._comparison
        if folded(email) in comparison.users:
            return
        user = User(id=self._mint_user_id(), client_id=None, email=email, created_at=comparison.now)
        activity = comparison.entry("user.create", user)
        comparison.change(f"+ {user_name(email, slug)}", lambda changes: changes.add_user(slug, user, activity))
        comparison.note(f"{email} cannot sign in yet; make a link with: gateway user reset {shlex.quote(email)}")

    def _key(self, key_id: str, entry: KeyEntry) -> None:
        """Update a key, never to allow more. A manifest holds no key's text, so it cannot create one."""
        comparison = self._comparison
        known = comparison.keys.get(key_id)
        name = key_name(key_id, entry.name, entry.client)
        if known is None or known.revoked_at is not None:
            how = f"gateway key create --client {entry.client} --name {shlex.quote(entry.name)}"
            comparison.note(f"{name} is {'not' if known is None else 'revoked'} here; make a new one with: {how}")
            return
        changed = msgspec.structs.replace(
            known,
            name=entry.name,
            scope="read" if entry.scope == "read" else known.scope,
            rate=_rate(entry.rate),
            expires_at=_sooner(known.expires_at, entry.expires_at),
        )
        if (changed.scope, changed.expires_at) != (entry.scope, entry.expires_at):
            comparison.note(f"{name} may do less here, or ends sooner, which no file undoes; make a new key if need be")
        if changed != known:
            self._change_key(known, changed, entry.client)

    def _change_key(self, known: ApiKey, changed: ApiKey, slug: str) -> None:
        difference = _difference(key_entry(known, slug), key_entry(changed, slug))
        line = f"~ {key_name(known.id, changed.name, slug)}: {difference}"
        activity = self._comparison.entry("key.update", changed)
        self._comparison.change(line, lambda changes: changes.update_key(slug, changed, activity))

    def _webhook(self, webhook_id: str, entry: WebhookEntry) -> None:
        """Update a webhook. A manifest holds no secret, so it cannot create one that works."""
        comparison = self._comparison
        known = comparison.webhooks.get(webhook_id)
        name = webhook_name(webhook_id, entry.url, entry.client)
        if known is None:
            comparison.note(f"{name} is not here; make a new one with: {_how_to_add(entry)}")
            return
        wanted = msgspec.structs.replace(known, url=entry.url, events=entry.events, connections=entry.connections)
        if wanted != known:
            self._check_webhook(known, entry)
            names = ("url", "events", "connections")
            changed = ", ".join(each for each in names if getattr(wanted, each) != getattr(known, each))
            activity = comparison.entry("webhook.update", wanted)
            comparison.change(
                f"~ {name}: {changed}", lambda changes: changes.update_webhook(entry.client, wanted, activity)
            )

    def _check_webhook(self, known: Webhook, entry: WebhookEntry) -> None:
        """Check what is new about a webhook. Raises InvalidInput."""
        path = toml_path("webhooks", known.id)
        if entry.url != known.url:
            try:
                self._require_url(entry.url)
            except InvalidInput as error:
                raise InvalidInput(f"{path}.url: {error}") from None
        connections = self._comparison.file.connections
        # One that it names already may have been removed since.
        for connection_id in set(entry.connections) - set(known.connections):
            owned = connections.get(connection_id)
            if owned is None or owned.client != entry.client:
                raise InvalidInput(
                    f"{path}.connections: the client {entry.client} has no connection {connection_id} in this file"
                )


def _how_to_add(entry: WebhookEntry) -> str:
    """Return the command that adds such a webhook."""
    events = (part for event in entry.events for part in ("--event", event))
    connections = (part for connection_id in entry.connections for part in ("--connection", connection_id))
    return shlex.join(
        ["gateway", "webhook", "add", "--client", entry.client, "--url", entry.url, *events, *connections]
    )


def _client_action(known: Client, client: Client) -> str:
    if (known.disabled_at is None) == (client.disabled_at is None):
        return "client.update"
    return "client.enable" if client.disabled_at is None else "client.disable"


def _rate(text: str | None) -> RatePolicy | None:
    return None if text is None else validation.rate(text)


def _sooner(here: str | None, there: str | None) -> str | None:
    return min((moment for moment in (here, there) if moment is not None), default=None)


def _difference(here: Entry, there: Entry) -> str:
    """Return the differences as `plan free -> pro, rate none -> 600/60`."""
    names = [field.name for field in msgspec.structs.fields(here)]
    pairs = [(name, getattr(here, name), getattr(there, name)) for name in names]
    return ", ".join(f"{name} {_word(old)} -> {_word(new)}" for name, old, new in pairs if old != new)


def _word(value: object) -> str:
    """Return the value as TOML writes it, and `none`, for which TOML has no word."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
