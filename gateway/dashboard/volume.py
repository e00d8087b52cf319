"""What a client's connections moved this month and last, and how much of that is counted."""

from collections.abc import Sequence

import msgspec

from gateway.models import Client, ClientMonths, Connection
from gateway.services import Services


class Volume(msgspec.Struct, frozen=True):
    """`uncounted` connections have syncs that are in none of the figures yet."""

    months: ClientMonths
    uncounted: int


async def volume_of(services: Services, client: Client, connections: Sequence[Connection]) -> Volume:
    """Return the figures of the client's connections. Nothing is read from Airbyte for them."""
    days = services.store.sync_days
    mapped = {each.airbyte_id: each for each in connections if each.airbyte_id}
    read_upto = await days.read_upto(mapped)
    return Volume(
        months=await days.months_of(client.id, services.clock.now().date()),
        uncounted=sum(not _is_counted(each, read_upto.get(airbyte_id)) for airbyte_id, each in mapped.items()),
    )


def _is_counted(connection: Connection, read_upto: str | None) -> bool:
    """Return whether no sync began after the days were read."""
    return connection.last_sync_at is None or (read_upto is not None and connection.last_sync_at <= read_upto)
