"""Connections of clients, and what their syncs came to day by day."""

from datetime import datetime
from typing import Literal

import msgspec

from gateway.models.schedules import Schedule

AWAITING_MAPPING = "pending"
"""The status of a connection that has no Airbyte mapping, or whose status Airbyte has not told yet."""
ACTIVE = "active"
"""Airbyte's word for a connection that may sync."""
DEPRECATED = "deprecated"
"""Airbyte's word for a connection that it has deleted, and ours for one that it no longer has at all."""


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
    schedule: Schedule | None = None
    """None: Airbyte has not told it yet, or told one of a form that nobody knows."""
    schedule_since: str | None = None
    """When Airbyte first told this schedule with this status: what was due before that has nothing to say."""
    last_ended_at: str | None = None
    """When the sync ended that ended last."""
    warning: Literal["no_data"] | None = None
    """`no_data`: the newest sync that ended succeeded and moved nothing, unlike each of the ten before it."""

    @property
    def mapping(self) -> Literal["unmapped", "mapped", "vanished"]:
        """Whether it leads to a connection of Airbyte's; `vanished`: Airbyte has deleted that one."""
        if self.airbyte_id is None:
            return "unmapped"
        return "vanished" if self.status == DEPRECATED else "mapped"


class ConnectionRow(msgspec.Struct, frozen=True):
    """A connection as the API and events show it: exactly these keys, in this order."""

    id: str
    connector_type: str
    label: str
    status: str
    last_sync_at: str | None
    last_sync_status: str | None
    created_at: str

    @classmethod
    def of(cls, connection: Connection) -> "ConnectionRow":
        """Return what is shown of a connection."""
        return ConnectionRow(
            id=connection.id,
            connector_type=connection.connector_type,
            label=connection.label,
            status=connection.status,
            last_sync_at=connection.last_sync_at,
            last_sync_status=connection.last_sync_status,
            created_at=connection.created_at,
        )


class ConnectionsOfClient(msgspec.Struct, frozen=True):
    """A client's connections, oldest first, and what is asked of them most."""

    rows: tuple[Connection, ...]
    by_id: dict[str, Connection]
    by_airbyte_id: dict[str, Connection]
    last_sync_at: str | None
    is_mapped: bool
    """Whether any of them leads to a connection of Airbyte's."""
    is_awaiting_backfill: bool
    """Whether the newest sync of any mapped one has yet to be asked for."""
    workspaces: frozenset[str]
    """Airbyte's workspaces that the mapped ones are in, where those are known."""
    statuses_of: datetime | None
    """When Airbyte told the oldest status of those it has; None if it told none. A moment: each read compares it."""
    kept: dict[str, bytes] = msgspec.field(default_factory=dict)
    """What readers have made of the connections, by a name of their own: it holds as long as these are in memory."""


class SyncDay(msgspec.Struct, frozen=True):
    """How the syncs of one Airbyte connection that began on a UTC day went. `other` are cancelled or not finished."""

    airbyte_id: str
    day: str
    succeeded: int
    failed: int
    other: int
    rows: int
    bytes: int


class MonthCounts(msgspec.Struct, frozen=True):
    """How many syncs began in a month, and what they moved."""

    syncs: int = 0
    rows: int = 0
    bytes: int = 0

    def plus(self, other: "MonthCounts") -> "MonthCounts":
        """Return both together."""
        return MonthCounts(self.syncs + other.syncs, self.rows + other.rows, self.bytes + other.bytes)


class MonthVolume(msgspec.Struct, frozen=True):
    """What syncs that began in a month, such as `2026-11`, moved; `failed` of them failed."""

    month: str
    syncs: int
    failed: int
    rows: int
    bytes: int


class ConnectionVolume(msgspec.Struct, frozen=True):
    """What a connection's syncs moved in each of two spans of days."""

    id: str
    label: str
    connector_type: str
    first: MonthCounts
    second: MonthCounts


class TwoMonths(msgspec.Struct, frozen=True):
    """A month, as far as it is known, beside the one before it."""

    this: MonthCounts = MonthCounts()
    last: MonthCounts = MonthCounts()

    def plus(self, other: "TwoMonths") -> "TwoMonths":
        """Return both together, month by month."""
        return TwoMonths(self.this.plus(other.this), self.last.plus(other.last))


class ClientMonths(msgspec.Struct, frozen=True):
    """Two months of a client's: of all its mapped connections, and of each by our id. One without a sync is missing."""

    total: TwoMonths
    connections: dict[str, TwoMonths]
