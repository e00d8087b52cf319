"""What a transaction changes of connections, as events: the difference between the rows before and after it.

So no event is lost with a figure, and none is written for a figure that was known. What Airbyte tells of a connection
before the first look at it has ended is history, and no event.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from gateway.models import AWAITING_MAPPING, ConnectionRow, EventType, Job, PlacedJob
from gateway.store.database import Dialect, Row, Transaction
from gateway.store.tables.connections import connection_from
from gateway.store.tables.events import EventWriter, NewEvent
from gateway.store.tables.recent_syncs import KEPT_RECENT, end_of
from gateway.store.tables.webhooks import LISTENING

NOT_STARTED = frozenset({"pending", "queued"})
ENDS: dict[str, EventType] = {
    "succeeded": "sync.succeeded",
    "failed": "sync.failed",
    "cancelled": "sync.cancelled",
}

Order = tuple[str, int]
"""When a sync was created, and its id: what tells the newer of two."""


class Before(msgspec.Struct, frozen=True):
    """Connections of clients that have webhooks, by Airbyte's id, and their ended syncs, before a change."""

    connections: Mapping[str, Row]
    ended: Mapping[int, Collection[Order]]
    """By number of the connection."""


class ConnectionEvents:
    """Compares connections before and after a change, and writes what became of it. Costs others one query."""

    def __init__(self, writer: EventWriter, dialect: Dialect) -> None:
        self._writer = writer
        self._listed = dialect.texts("airbyte_ids")

    async def before(self, transaction: Transaction, airbyte_ids: Collection[str]) -> Before:
        """Read what is about to be changed, of clients that have webhooks."""
        connections = await self._rows(transaction, airbyte_ids)
        ended: dict[int, list[Order]] = {}
        if connections:
            rows = await transaction.execute_fetchall(
                f"""
                SELECT connection_number, at, job_id FROM recent_syncs WHERE connection_number IN (
                    SELECT number FROM connections WHERE airbyte_id IN ({self._listed})
                )
                """,  # noqa: S608 - ours
                {"airbyte_ids": json.dumps(list(connections))},
            )
            for row in rows:
                ended.setdefault(row["connection_number"], []).append((row["at"], row["job_id"]))
        return Before(connections, ended)

    async def write_syncs(self, transaction: Transaction, before: Before, jobs: Iterable[Job]) -> None:
        """Write the events of syncs that began or ended, in their order, and of one that moved nothing."""
        watched = {each: row for each, row in before.connections.items() if row["watched_since"] is not None}
        if not watched:
            return
        syncs: dict[str, list[Job]] = {}
        for job in jobs:
            if job.connection_id in watched and job.job_type == "sync" and job.start_time:
                syncs.setdefault(job.connection_id, []).append(job)
        after = await self._rows(transaction, list(syncs))
        events: list[NewEvent] = []
        for airbyte_id, told in syncs.items():
            row = watched[airbyte_id]
            events += _sync_events(row, before.ended.get(row["number"], ()), told)
            events += _no_data_event(row, after.get(airbyte_id))
        await self._writer.write(transaction, events)

    async def write_statuses(self, transaction: Transaction, before: Before, *, checked_at: str) -> None:
        """Write the events of statuses that Airbyte had told otherwise. A first one is no change."""
        after = await self._rows(transaction, list(before.connections))
        await self._writer.write(
            transaction,
            [
                _connection_event("connection.status_changed", row, subject=checked_at, at=checked_at)
                for airbyte_id, row in after.items()
                if before.connections[airbyte_id]["status"] not in {AWAITING_MAPPING, row["status"]}
            ],
        )

    async def _rows(self, transaction: Transaction, airbyte_ids: Collection[str]) -> dict[str, Row]:
        if not airbyte_ids:
            return {}
        rows = await transaction.execute_fetchall(
            f"""
            SELECT * FROM connections WHERE airbyte_id IN ({self._listed})
                AND client_id IN (SELECT client_id FROM webhooks WHERE {LISTENING})
            """,  # noqa: S608 - ours
            {"airbyte_ids": json.dumps(list(airbyte_ids))},
        )
        return {row["airbyte_id"]: row for row in rows}


def _sync_events(row: Row, ended: Collection[Order], jobs: Iterable[Job]) -> Iterator[NewEvent]:
    """Yield the beginnings and ends among `jobs` that `row` and the `ended` syncs do not know yet."""
    newest = (row["last_sync_at"] or "", row["last_job_id"] or 0)
    has_begun = row["last_sync_status"] not in {None, *NOT_STARTED}
    oldest = min(ended) if len(ended) >= KEPT_RECENT else ("", 0)
    for job in sorted(jobs, key=_order):
        order = _order(job)
        is_new = order > newest or (order == newest and not has_begun)
        if job.is_terminal and (order in ended or order < oldest):
            continue
        if is_new and job.status not in NOT_STARTED:
            yield _sync_event("sync.started", row, job, at=order[0])
        if job.status in ENDS:
            yield _sync_event(ENDS[job.status], row, job, at=end_of(job))


def _order(job: Job) -> Order:
    return job.start_time or "", job.job_id


def _sync_event(event_type: EventType, row: Row, job: Job, *, at: str) -> NewEvent:
    return NewEvent(
        client_id=row["client_id"],
        type=event_type,
        # Ids restart lower when Airbyte is restored: together with its creation one names a job.
        subject=f"{job.connection_id} {job.job_id} {job.start_time}",
        at=at,
        data=PlacedJob(**{name: getattr(job, name) for name in Job.__struct_fields__}, connection=row["id"]),
        connection_id=row["id"],
    )


def _no_data_event(before: Row, after: Row | None) -> Iterator[NewEvent]:
    if after is not None and after["warning"] == "no_data" and before["warning"] != "no_data":
        ended = after["last_ended_at"]
        yield _connection_event("connection.no_data", after, subject=ended, at=ended)


def _connection_event(event_type: EventType, row: Row, *, subject: str, at: str) -> NewEvent:
    return NewEvent(
        client_id=row["client_id"],
        type=event_type,
        subject=f"{row['airbyte_id']} {subject}",
        at=at,
        data=ConnectionRow.of(connection_from(row)),
        connection_id=row["id"],
    )
