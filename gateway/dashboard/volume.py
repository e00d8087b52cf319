"""What a client's connections moved this month and last, and how much of that is counted."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from gateway.models import Client, ClientMonths, Connection
from gateway.services import Services


class Volume(msgspec.Struct, frozen=True):
    """`uncounted` connections have syncs that are in none of the figures yet.

    `is_known` is False while no connection was ever counted, so that no figure is a zero that nobody knows.
    `first_day` is the first day with a counted sync, None if there is none. `since` is the same if it is after the
    beginning of last month; else None: both months are whole, as far as anybody knows.
    """

    months: ClientMonths
    uncounted: int
    is_known: bool
    first_day: str | None
    since: str | None


async def volume_of(services: Services, client: Client, connections: Sequence[Connection]) -> Volume:
    """Return the figures of the client's connections. Nothing is read from Airbyte for them."""
    days = services.store.sync_days
    mapped = {each.airbyte_id: each for each in connections if each.airbyte_id}
    read_upto = await days.read_upto(mapped)
    today = services.clock.now().date()
    last_month = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    first_day = await days.first_day_of(client.id)
    uncounted = sum(not _is_counted(each, read_upto.get(airbyte_id)) for airbyte_id, each in mapped.items())
    return Volume(
        months=await days.months_of(client.id, today),
        uncounted=uncounted,
        is_known=bool(read_upto) or not uncounted,
        first_day=first_day,
        since=first_day if first_day and first_day > last_month.isoformat() else None,
    )


def _is_counted(connection: Connection, read_upto: str | None) -> bool:
    """Return whether no sync began after the days were read."""
    return connection.last_sync_at is None or (read_upto is not None and connection.last_sync_at <= read_upto)
