"""Plan the deletions: what the database has and the manifest has not. Without `prune` it is kept and listed."""

from gateway.errors import InvalidInput
from gateway.models import ApiKey, Client, Connection, User, Webhook
from gateway.provisioning.manifest.document import folded, toml_path
from gateway.provisioning.manifest.plan import Comparison, Make, connection_name, key_name, user_name, webhook_name


class Deletions:
    """Plans what is to be removed. What belongs to a removed client goes with it, without a line of its own."""

    def __init__(self, comparison: Comparison, *, prune: bool) -> None:
        self._comparison = comparison
        self._prune = prune
        self._removed_clients = {slug for slug in comparison.clients if slug not in comparison.file.clients}

    def plan(self) -> None:
        """Add each deletion to the plan. Raises InvalidInput."""
        comparison = self._comparison
        file = comparison.file
        addresses = {folded(email) for email in file.users}
        for email, user in comparison.users.items():
            if email not in addresses and comparison.slug_of_user(user) not in self._removed_clients:
                self._user(user)
        for key in comparison.keys.values():
            if (
                key.id not in file.keys
                and key.revoked_at is None
                and comparison.slug_of(key) not in self._removed_clients
            ):
                self._key(key)
        for webhook in comparison.webhooks.values():
            if webhook.id not in file.webhooks and comparison.slug_of(webhook) not in self._removed_clients:
                self._webhook(webhook)
        for row in comparison.connections.values():
            if row.id not in file.connections:
                self._connection(row)
        for slug in self._removed_clients:
            self._client(comparison.clients[slug])

    def _user(self, user: User) -> None:
        slug = self._comparison.slug_of_user(user)
        entry = self._comparison.entry("user.remove", user)
        self._remove(user_name(user.email, slug), lambda changes: changes.remove_user(slug, user, entry))

    def _key(self, key: ApiKey) -> None:
        slug = self._comparison.slug_of(key)
        entry = self._comparison.entry("key.revoke", key)
        self._remove(key_name(key.id, key.name, slug), lambda changes: changes.revoke_key(slug, key, entry))

    def _webhook(self, webhook: Webhook) -> None:
        slug = self._comparison.slug_of(webhook)
        entry = self._comparison.entry("webhook.remove", webhook)
        name = webhook_name(webhook.id, webhook.url, slug)
        self._remove(name, lambda changes: changes.remove_webhook(slug, webhook, entry))

    def _connection(self, row: Connection) -> None:
        slug = self._comparison.slug_of(row)
        if not self._prune:
            self._check_mapping(row)
        if slug not in self._removed_clients:
            entry = self._comparison.entry("connection.remove", row)
            self._remove(connection_name(row, slug), lambda changes: changes.remove_connection(slug, row.id, entry))

    def _check_mapping(self, kept: Connection) -> None:
        """Raise InvalidInput if the manifest maps what `kept` is mapped to: one Airbyte connection is one client's."""
        for name, entry in self._comparison.file.connections.items():
            if entry.airbyte_id is not None and entry.airbyte_id == kept.airbyte_id:
                where = f"{toml_path('connections', name)}.airbyte_id"
                raise InvalidInput(f"{where}: is mapped to {kept.id} here, which is not in this file")

    def _client(self, client: Client) -> None:
        comparison = self._comparison
        counts = {
            "connections": sum(row.client_id == client.id for row in comparison.connections.values()),
            "keys": sum(row.client_id == client.id for row in comparison.keys.values()),
            "users": sum(row.client_id == client.id for row in comparison.users.values()),
        }
        extent = ", ".join(f"{name} ({count})" for name, count in counts.items())
        entry = comparison.entry("client.remove", client)
        self._remove(
            f"client {client.slug} with its {extent}", lambda changes: changes.remove_client(client.slug, entry)
        )

    def _remove(self, what: str, make: Make) -> None:
        if self._prune:
            self._comparison.change(f"- {what}", make)
        else:
            self._comparison.plan.kept.append(what)
