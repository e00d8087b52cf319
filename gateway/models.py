"""The records that all rooms pass around. Frozen; times are text in the product's one format.

`Job` and `TriggeredJob` name exactly the keys of the public API, in its order: what is not here cannot leak.
"""

from datetime import datetime
from typing import Literal

import msgspec

Scope = Literal["full", "read"]
SCOPES: tuple[Scope, ...] = ("full", "read")

PENDING = "pending"
"""The status of a connection that has no Airbyte mapping, or whose status Airbyte has not told yet."""
DEPRECATED = "deprecated"
"""Airbyte's word for a connection that it has deleted, and ours for one that it no longer has at all."""

TERMINAL_STATUSES = frozenset({"failed", "succeeded", "cancelled"})
"""Airbyte may add words; an unknown status counts as not yet finished. `incomplete` means a retry is due."""

JOB_STATUSES = ("pending", "queued", "running", "incomplete", "failed", "succeeded", "cancelled")


class RatePolicy(msgspec.Struct, frozen=True, cache_hash=True):
    """A token bucket's shape: `requests` tokens at most, refilled evenly over `per_seconds`.

    Its hash is cached, as a client's limit's is: each call looks up by both.
    """

    requests: int
    per_seconds: int

    @property
    def tokens_per_second(self) -> float:
        return self.requests / self.per_seconds


class Client(msgspec.Struct, frozen=True):
    """A tenant: one of the operator's customers."""

    id: int
    slug: str
    name: str
    plan: str
    created_at: str
    rate: RatePolicy | None = None
    """Of each of its keys that has none of its own; None: what the settings say."""
    disabled_at: str | None = None
    rate_total: RatePolicy | None = None
    """Of all its keys together; None: what its keys need (`gateway.limiter.total_rate`)."""
    most_keys: int | None = None
    """How many of its keys may work at once; None: what the settings say."""


class Connection(msgspec.Struct, frozen=True):
    """A client's connection, mapped to at most one Airbyte connection (`airbyte_id`, a UUID)."""

    id: str
    client_id: int
    connector_type: str
    label: str
    status: str
    created_at: str
    airbyte_id: str | None = None
    workspace_id: str | None = None
    status_checked_at: str | None = None
    last_job_id: int | None = None
    last_sync_at: str | None = None
    last_sync_status: str | None = None
    backfilled_at: str | None = None

    @property
    def mapping(self) -> Literal["unmapped", "mapped", "vanished"]:
        """Whether it leads to a connection of Airbyte's; `vanished`: Airbyte has deleted that one."""
        if self.airbyte_id is None:
            return "unmapped"
        return "vanished" if self.status == DEPRECATED else "mapped"


class ApiKey(msgspec.Struct, frozen=True):
    """What is known of a key after it was shown once: never the key itself."""

    id: str
    client_id: int
    start: str
    name: str
    scope: Scope
    created_at: str
    rate: RatePolicy | None = None
    expires_at: str | None = None
    revoked_at: str | None = None
    last_used_at: str | None = None
    last_used_address: str | None = None
    last_used_agent: str | None = None
    successor_id: str | None = None
    bucket_id: str | None = None
    """The key whose tokens it goes on with; None: its own."""


class WorkingKeys(msgspec.Struct, frozen=True):
    """How many working keys of a client have the same rate; None: the client's. Keys that share tokens count once."""

    rate: RatePolicy | None
    count: int


class ClientLimit(msgspec.Struct, frozen=True, cache_hash=True):
    """What the rate of all calls of a client follows from. None: what the settings say."""

    total: RatePolicy | None = None
    rate: RatePolicy | None = None
    most_keys: int | None = None
    working: tuple[WorkingKeys, ...] = ()


class Principal(msgspec.Struct, frozen=True):
    """Who is calling: a client through one of its keys."""

    client: Client
    key_id: str
    scope: Scope
    rate: RatePolicy | None = None
    expires_at: datetime | None = None
    """Compared on every request, so kept as a moment."""
    bucket_id: str | None = None
    """The key whose tokens it takes; None: its own."""
    limit: ClientLimit = ClientLimit()


class User(msgspec.Struct, frozen=True):
    """A person who signs in to the dashboard: a client's member or, of no client, the operator's admin."""

    id: str
    client_id: int | None
    email: str
    created_at: str
    has_password: bool = False
    last_sign_in_at: str | None = None

    @property
    def is_admin(self) -> bool:
        return self.client_id is None


class Session(msgspec.Struct, frozen=True):
    """A browser that is signed in; its secret is not here."""

    id: str
    user_id: str
    created_at: str
    last_seen_at: str
    address: str
    agent: str


class Visitor(msgspec.Struct, frozen=True):
    """Who looks at a page: a user through one of his sessions. `client` is a member's, None for an admin."""

    user: User
    client: Client | None
    session: Session


class KeyUsage(msgspec.Struct, frozen=True):
    """Calls of one key over a period: `limited` were answered 429, `errors` are all other answers from 400 on."""

    key_id: str
    calls: int
    limited: int
    errors: int


class HourUsage(msgspec.Struct, frozen=True):
    """Calls of all keys of a client in the hour that began at `hour`."""

    hour: str
    calls: int
    limited: int
    errors: int


class ClientTotals(msgspec.Struct, frozen=True):
    """How much a client has and does. `keys` are those that work."""

    connections: int
    keys: int
    users: int
    calls: int


class Totals(msgspec.Struct, frozen=True):
    """How much the whole installation has. `keys` are those that work, of disabled clients too."""

    clients: int
    disabled_clients: int
    connections: int
    unmapped_connections: int
    keys: int
    users: int
    database_bytes: int


class SyncDay(msgspec.Struct, frozen=True):
    """How the syncs of one Airbyte connection that began on a UTC day went. `other` are cancelled or not finished."""

    airbyte_id: str
    day: str
    succeeded: int
    failed: int
    other: int
    rows: int
    bytes: int


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
    by: Actor, action: str, record: Client | Connection | ApiKey | User, *, at: str, successor: ApiKey | None = None
) -> ActivityEntry:
    """Return the entry that says that `by` did `action`, such as `client.create`, to `record` at `at`.

    `successor` is the new key of a rotation.
    """
    client_id = record.id if isinstance(record, Client) else record.client_id
    return by.did(action, _subject(record, successor), client_id=client_id, at=at)


def _subject(record: Client | Connection | ApiKey | User, successor: ApiKey | None) -> str:
    """Name the record for people, never by a secret."""
    if isinstance(record, Client):
        return f"{record.name} ({record.slug})"
    if isinstance(record, Connection):
        return f"{record.label} ({record.id})"
    if isinstance(record, User):
        return record.email
    start = record.start if successor is None else f"{record.start} → {successor.start}"
    return f"{start} ({record.name})"


class Job(msgspec.Struct, frozen=True, rename="camel"):
    """A sync as the API shows it; `duration` is ISO 8601 text."""

    job_id: int
    connection_id: str
    status: str
    job_type: str
    start_time: str | None
    bytes_synced: int | None
    rows_synced: int | None
    duration: str | None

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL_STATUSES


class TriggeredJob(msgspec.Struct, frozen=True, rename="camel"):
    """A sync as the answer to its trigger shows it."""

    job_id: int
    connection_id: str
    status: str
    job_type: str
