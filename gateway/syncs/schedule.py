"""When Airbyte should begin a connection's next sync by itself, and whether it is late. Pure, but for a cache.

Airbyte tells a schedule and no time, so the time is found as Airbyte finds it: a basic schedule counts from when the
newest sync was created, a cron's next time is the first one after a sync has ended, and no sync begins beside another.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from gateway.models import ACTIVE, TERMINAL_STATUSES, BasicSchedule, Connection, CronSchedule
from gateway.syncs.quartz import next_time
from gateway.times import later, parse_time

SHORTEST_CRON = timedelta(minutes=1)
"""From one sync's creation to the next: Airbyte leaves no less between those of a cron."""


class ExpectedSync(msgspec.Struct, frozen=True):
    """When the next sync is due; None: nobody knows. `is_late`: nothing began within the grace after that."""

    at: datetime | None
    is_late: bool


async def expected_syncs(connections: Sequence[Connection], *, now: datetime, grace: timedelta) -> list[ExpectedSync]:
    """Return what is expected of each connection, from what is stored of it.

    In a thread: the search for a cron's time may take some milliseconds, and a time zone is read from a file.
    """
    return await asyncio.to_thread(lambda: [expected_sync(each, now=now, grace=grace) for each in connections])


def expected_sync(connection: Connection, *, now: datetime, grace: timedelta) -> ExpectedSync:
    """Return what is expected of a connection, from what is stored of it.

    Airbyte begins no sync of one that is not active or not mapped, and what runs is not late.
    """
    if connection.status != ACTIVE or connection.airbyte_id is None:
        return ExpectedSync(None, is_late=False)
    status = connection.last_sync_status
    is_running = status is not None and status not in TERMINAL_STATUSES
    at = _due_at(connection, now if is_running else None)
    # Every time counts from the last sync's end: before it is known, a sync may seem late that is not.
    if is_running or (status is not None and connection.last_ended_at is None):
        return ExpectedSync(at, is_late=False)
    surely_at = at or _due_at(connection, None, past_changes=True)
    is_late = surely_at is not None and now > later(surely_at, grace)
    return ExpectedSync(surely_at if is_late else at, is_late=is_late)


def _due_at(connection: Connection, running_at: datetime | None, *, past_changes: bool = False) -> datetime | None:
    """Return when the next sync is due. `running_at`: now, while one runs; then it is later than that, or unknown.

    With `past_changes` a cron's times near a change of the clocks, at which nobody knows whether one began, are
    passed over.
    """
    created, ended = _moment(connection.last_sync_at), _moment(connection.last_ended_at)
    since = _moment(connection.schedule_since or connection.created_at)
    if isinstance(connection.schedule, CronSchedule):
        earliest = None if created is None else later(created, SHORTEST_CRON)
        after = max(filter(None, (earliest, ended, since, running_at)))
        return next_time(connection.schedule.cron, after, past_changes=past_changes)
    if isinstance(connection.schedule, BasicSchedule):
        due = None if created is None else later(created, timedelta(seconds=connection.schedule.every_seconds))
        at = max(filter(None, (due, ended, since)))
        # When the one that runs ends nobody knows.
        return None if running_at is not None and at <= running_at else at
    return None


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)
