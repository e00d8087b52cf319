"""Connections of clients, and what their syncs came to day by day."""

from typing import Literal

import msgspec

from gateway.models.schedules import Schedule

PENDING = "pending"
"""The status of a connection that has no Airbyte mapping, or whose status Airbyte has not told yet."""
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


class SyncDay(msgspec.Struct, frozen=True):
    """How the syncs of one Airbyte connection that began on a UTC day went. `other` are cancelled or not finished."""

    airbyte_id: str
    day: str
    succeeded: int
    failed: int
    other: int
    rows: int
    bytes: int
