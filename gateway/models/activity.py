"""Who did what: the entries of the activity."""

from urllib.parse import urlsplit

import msgspec

from gateway.models.clients import ApiKey, Client
from gateway.models.connections import Connection
from gateway.models.people import User
from gateway.models.webhooks import Webhook


class ActivityEntry(msgspec.Struct, frozen=True):
    """Who did what. `subject` names the thing for people, never a secret.

    `client_id` is None when the entry concerns no client. A client sees that the operator did something
    (`by_operator`), not which of his people and from where. `number` is given when the entry is written; entries are
    paged by it.
    """

    at: str
    client_id: int | None
    actor: str
    action: str
    subject: str
    address: str | None = None
    request_id: str | None = None
    by_operator: bool = False
    number: int = 0


class Actor(msgspec.Struct, frozen=True):
    """Who does something, and from where. `name` is an e-mail address, or COMMAND_LINE's."""

    name: str
    address: str | None = None
    request_id: str | None = None
    is_operator: bool = False

    def did(self, action: str, subject: str, *, client_id: int | None, at: str) -> ActivityEntry:
        """Return the entry that says so."""
        return ActivityEntry(at, client_id, self.name, action, subject, self.address, self.request_id, self.is_operator)


COMMAND_LINE = Actor("command line", is_operator=True)


def activity_entry(
    by: Actor,
    action: str,
    record: Client | Connection | ApiKey | User | Webhook,
    *,
    at: str,
    successor: ApiKey | None = None,
    former_slug: str = "",
) -> ActivityEntry:
    """Return the entry that says that `by` did `action`, such as `client.create`, to `record` at `at`.

    `successor` is the new key of a rotation; `former_slug` the slug of a client before it was renamed. What was ended
    since a backup is found by these subjects (`gateway.store.endings`).
    """
    client_id = record.id if isinstance(record, Client) else record.client_id
    return by.did(action, _subject(record, successor, former_slug), client_id=client_id, at=at)


def _subject(record: Client | Connection | ApiKey | User | Webhook, successor: ApiKey | None, former_slug: str) -> str:
    """Name the record for people, never by a secret."""
    if isinstance(record, Client):
        slugs = f"{former_slug} → {record.slug}" if former_slug else record.slug
        return f"{record.name} ({slugs})"
    if isinstance(record, Connection):
        return f"{record.label} ({record.id})"
    if isinstance(record, User):
        return record.email
    if isinstance(record, Webhook):
        return webhook_subject(record.id, record.url)
    start = record.start if successor is None else f"{record.start} → {successor.start}"
    return f"{start} ({record.name})"


def webhook_subject(webhook_id: str, url: str) -> str:
    """Name a webhook for people by its host: the rest of an address is often a secret."""
    return f"{urlsplit(url).hostname} ({webhook_id})"
