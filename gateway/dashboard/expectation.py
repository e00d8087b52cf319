"""When the next sync of a connection is due, as the pages of one connection show it."""

import msgspec
from starlette.requests import Request

from gateway.models import Connection
from gateway.services import services_of
from gateway.syncs.schedule import expected_syncs
from gateway.times import format_time


class Expectation(msgspec.Struct, frozen=True):
    """`late_since` is when the sync was due, if it is late; else `next_at`, if anybody knows."""

    next_at: str | None = None
    late_since: str | None = None


async def expectation(request: Request, connection: Connection) -> Expectation:
    """Return what is expected. What is not current calls no sync late: it may have begun."""
    services = services_of(request)
    is_current = await services.syncs.last_sync.ensure_fresh(connection.client_id)
    grace = services.settings.airbyte.late_grace
    (expected,) = await expected_syncs([connection], now=services.clock.now(), grace=grace)
    at = None if expected.at is None else format_time(expected.at)
    return Expectation(late_since=at) if expected.is_late and is_current else Expectation(next_at=at)
