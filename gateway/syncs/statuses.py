"""Store what Airbyte's records of connections tell: status, schedule and workspace, always together."""

from collections.abc import Iterable

from gateway.airbyte import ConnectionRecord, schedule_of
from gateway.models import DEPRECATED
from gateway.store import Store, ToldStatus


async def record_statuses(store: Store, records: Iterable[ConnectionRecord], *, checked_at: str) -> None:
    """Store what was told at `checked_at` of each connection that is mapped. Raises StorageUnavailable."""
    told = [
        ToldStatus(record.connection_id, record.status, schedule_of(record), record.workspace_id) for record in records
    ]
    await store.statuses.record(told, checked_at=checked_at)


async def record_vanished(store: Store, airbyte_id: str, *, checked_at: str) -> None:
    """Store that Airbyte has no such connection: it has deleted it. Raises StorageUnavailable."""
    await store.statuses.record([ToldStatus(airbyte_id, DEPRECATED)], checked_at=checked_at)
