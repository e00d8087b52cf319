"""Events of a client's, the webhooks that are told of them, and the deliveries that do so."""

from typing import Final, Literal, get_args

import msgspec

from gateway.models.clients import Scope
from gateway.models.connections import ConnectionRow

EventType = Literal[
    "sync.started",
    "sync.succeeded",
    "sync.failed",
    "sync.cancelled",
    "connection.late",
    "connection.no_data",
    "connection.status_changed",
    "key.created",
    "key.expiring",
    "key.revoked",
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
TEST_EVENT: Final = "webhook.test"
"""Sent when somebody asks for it, to one webhook, whatever its filter."""

DisabledReason = Literal["gone", "failing"]
"""Why a webhook is told of nothing more: it answered 410, or it failed for days without a success."""
DeliveryOutcome = Literal["delivered", "failed"]


class Webhook(msgspec.Struct, frozen=True):
    """An address of a client's that is told of events. Its secret is not here."""

    id: str
    client_id: int
    url: str
    created_at: str
    events: tuple[EventType, ...] = ()
    """What it is told of; empty: everything."""
    connections: tuple[str, ...] = ()
    """Our ids of the connections that it is told of; empty: all. Of keys it is then told where `events` names that."""
    previous_until: str | None = None
    """Until when the secret before a rotation signs too."""
    last_success_at: str | None = None
    failing_since: str | None = None
    """The first failure after the last success."""
    overflowed_at: str | None = None
    """When the oldest events were given up last, because too many waited."""
    disabled_at: str | None = None
    disabled_reason: DisabledReason | None = None

    def wants(self, event_type: str, connection_id: str | None) -> bool:
        """Return whether it is told of such an event, of this connection or of none."""
        if not self.connections or connection_id in self.connections:
            return not self.events or event_type in self.events
        # Whoever names an event that concerns no connection wants it, whichever connections he chooses.
        return connection_id is None and event_type in self.events


class Delivery(msgspec.Struct, frozen=True):
    """An event that was sent to a webhook, or is to be; no `outcome`: it is still to be delivered."""

    number: int
    event_id: str
    event_type: str
    connection_id: str | None
    event_at: str
    outcome: DeliveryOutcome | None
    attempts: int
    next_at: str | None
    """When it is sent next; None: it waits for the one before it, or has its outcome."""
    attempted_at: str | None
    status: int | None
    """Of the last answer; None: there was none."""
    excerpt: str | None
    """The first characters of the last answer."""
    error: str | None
    """Why there was no answer, or no further attempt."""


class KeyRow(msgspec.Struct, frozen=True):
    """A key as events show it."""

    id: str
    start: str
    name: str
    scope: Scope
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class LateConnectionRow(ConnectionRow, frozen=True):
    """A connection whose sync has not begun at its time."""

    next_sync_at: str


class TestRow(msgspec.Struct, frozen=True):
    """What a test event tells: the webhook that is tested."""

    webhook: str
