"""The plan that makes the database match a manifest: the changes in their order, each with its line."""

from collections.abc import Awaitable, Callable

import msgspec

from gateway.errors import InvalidInput
from gateway.models import (
    ActivityEntry,
    Actor,
    ApiKey,
    Client,
    Connection,
    User,
    Webhook,
    activity_entry,
    webhook_subject,
)
from gateway.provisioning.manifest.document import folded, toml_path
from gateway.provisioning.manifest.schema import Manifest
from gateway.store.bulk import Snapshot
from gateway.store.changes import Changes

Make = Callable[[Changes], Awaitable[None]]


class Change(msgspec.Struct, frozen=True):
    """One change of the database. `line` tells of it: + added, ~ updated, - removed."""

    line: str
    make: Make


class Plan(msgspec.Struct, frozen=True):
    """All changes, and what is not changed.

    `kept` is what the file does not have; `notes` tell what a file cannot do, and what is left to do. `preparations`
    come before all changes, of which they are a part. `mapped` are the ids of connections that get another mapping or
    workspace.
    """

    preparations: list[Make]
    changes: list[Change]
    kept: list[str]
    notes: list[str]
    mapped: list[str]


class Comparison:
    """A manifest beside what the database has, by the same names, and the plan that is being made."""

    def __init__(self, file: Manifest, here: Snapshot, *, by: Actor, now: str) -> None:
        self.file = file
        self.now = now
        self.clients = {row.slug: row for row in here.clients}
        self.connections = {row.id: row for row in here.connections}
        self.users = {folded(row.email): row for row in here.users}
        self.keys = {row.id: row for row in here.keys}
        self.webhooks = {row.id: row for row in here.webhooks}
        self.plan = Plan([], [], [], [], [])
        self._slugs = {row.id: row.slug for row in here.clients}
        self._by = by

    def change(self, line: str, make: Make) -> None:
        """Plan a change, with the line that tells of it."""
        self.plan.changes.append(Change(line, make))

    def prepare(self, make: Make) -> None:
        """Plan what must be made before the changes, and is no change by itself."""
        self.plan.preparations.append(make)

    def note(self, line: str) -> None:
        """Tell of something that is left as it is."""
        self.plan.notes.append(line)

    def slug_of(self, row: Connection | ApiKey | Webhook) -> str:
        """Return the slug of the row's client."""
        return self._slugs[row.client_id]

    def slug_of_user(self, user: User) -> str | None:
        """Return the slug of the user's client; None for an admin."""
        return None if user.client_id is None else self._slugs[user.client_id]

    def entry(self, action: str, record: Client | Connection | ApiKey | User | Webhook) -> ActivityEntry:
        """Return the entry of the activity log. The store files it under the client, which may have no number yet."""
        return activity_entry(self._by, action, record, at=self.now)


def connection_name(connection: Connection, slug: str) -> str:
    """Return how lines of a plan name a connection."""
    return f"connection {connection.id} ({connection.label}) of {slug}"


def key_name(key_id: str, name: str, slug: str) -> str:
    """Return how lines of a plan name a key."""
    return f"key {key_id} ({name}) of {slug}"


def user_name(email: str, slug: str | None) -> str:
    """Return how lines of a plan name a user; `slug` is None for an admin."""
    return f"user {email} ({'admin' if slug is None else slug})"


def webhook_name(webhook_id: str, url: str, slug: str) -> str:
    """Return how lines of a plan name a webhook."""
    return f"webhook {webhook_subject(webhook_id, url)} of {slug}"


def check_owners(comparison: Comparison) -> None:
    """Check that nothing changes its owner: one client's secret would become another's. Raises InvalidInput."""
    file = comparison.file
    for name, connection in file.connections.items():
        row = comparison.connections.get(name)
        if row is not None:
            _check_owner("connections", name, comparison.slug_of(row), connection.client)
    for name, user in file.users.items():
        person = comparison.users.get(folded(name))
        if person is not None:
            _check_owner("users", name, comparison.slug_of_user(person), user.client)
    for name, webhook in file.webhooks.items():
        there = comparison.webhooks.get(name)
        if there is not None:
            _check_owner("webhooks", name, comparison.slug_of(there), webhook.client)
    for name, key in file.keys.items():
        known = comparison.keys.get(name)
        if known is not None:
            _check_owner("keys", name, comparison.slug_of(known), key.client)
            if key.start not in {None, known.start}:
                raise InvalidInput(
                    f"{toml_path('keys', name)}.start: the key of this id begins with {known.start} here"
                )


def _check_owner(table: str, name: str, here: str | None, there: str | None) -> None:
    if here != there:
        owner = "an admin" if here is None else f"of {here}"
        raise InvalidInput(
            f"{toml_path(table, name)}.client: is {owner} here, and nothing changes hands: remove it first"
        )
