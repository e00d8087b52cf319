"""Which connections need somebody's attention, why and since when: the worst first. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Literal, get_args

import msgspec

from gateway.models import ACTIVE, Connection
from gateway.syncs.schedule import expected_sync
from gateway.times import format_time

LOCKED = "locked"

Reason = Literal["failed", "late", "vanished", "locked", "never_synced", "no_data", "unmapped"]
"""What matters more comes first: what worked and stopped, then what cannot work, then what may be as it should."""

_REASONS: tuple[Reason, ...] = get_args(Reason)


class Attention(msgspec.Struct, frozen=True):
    """One connection, and its worst trouble. `since` is when that began, as far as it is known."""

    connection: Connection
    reason: Reason
    since: str


def needing_attention(
    connections: Iterable[Connection], *, now: datetime, grace: timedelta, is_current: bool
) -> list[Attention]:
    """Return those of the connections, whosever they are, that need attention: the worst first, then the newest.

    Without `is_current` none is called late: its sync may have begun. For thousands of connections call it in a
    thread, as `expected_syncs` does.
    """
    found = []
    for connection in connections:
        troubles = list(_troubles(connection, now=now, grace=grace, is_current=is_current))
        if troubles:
            reason, since = min(troubles, key=lambda trouble: _REASONS.index(trouble[0]))
            found.append(Attention(connection, reason, since))
    found.sort(key=lambda each: (each.since, each.connection.id), reverse=True)
    return sorted(found, key=lambda each: _REASONS.index(each.reason))


def _troubles(
    connection: Connection, *, now: datetime, grace: timedelta, is_current: bool
) -> Iterator[tuple[Reason, str]]:
    """Yield each trouble of the connection with its beginning. Of one that leads nowhere nothing else matters."""
    told = connection.schedule_since or connection.created_at
    if connection.mapping != "mapped":
        yield connection.mapping, told if connection.mapping == "vanished" else connection.created_at
        return
    if connection.last_sync_status == "failed":
        yield "failed", connection.last_sync_at or told
    expected = expected_sync(connection, now=now, grace=grace)
    if is_current and expected.is_late and expected.at is not None:
        yield "late", format_time(expected.at)
    if connection.status == LOCKED:
        yield "locked", told
    if connection.status == ACTIVE and connection.last_sync_at is None and connection.backfilled_at is not None:
        yield "never_synced", connection.created_at
    if connection.warning == "no_data":
        yield "no_data", connection.last_ended_at or told
