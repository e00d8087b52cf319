"""GET /api/v1/connections: all of the client's connections, oldest first."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from starlette.requests import Request

from gateway.api.principal import principal_of
from gateway.api.query import includes
from gateway.api.staleness import staleness_headers
from gateway.models import Connection, ConnectionRow, ConnectionsOfClient, Schedule
from gateway.services import Services, services_of
from gateway.syncs.schedule import ExpectedSync, expected_syncs
from gateway.times import format_time
from gateway.web.responses import JSONAnswer, encode

SCHEDULE = "schedule"
LIST = "list of the API"


class ScheduledConnectionView(ConnectionRow, frozen=True):
    """A connection with what `include=schedule` asks for: these keys come last."""

    schedule: Schedule | None
    next_sync_at: str | None
    late: bool
    warning: Literal["no_data"] | None


async def list_connections(request: Request) -> JSONAnswer:
    """Answer with all of the client's connections, oldest first. Raises BadRequest."""
    services = services_of(request)
    client = principal_of(request).client
    includes_schedule = includes(request.query_params, SCHEDULE)
    connections, is_fresh = await services.syncs.last_sync.connections_of(client.id)
    headers = staleness_headers(is_fresh=is_fresh, count_stale=services.metrics.count_stale)
    if includes_schedule:
        return JSONAnswer({"data": await _scheduled(services, connections.rows, is_fresh=is_fresh)}, headers=headers)
    return JSONAnswer(msgspec.Raw(_as_json(connections)), headers=headers)


def _as_json(connections: ConnectionsOfClient) -> bytes:
    """Return the list as JSON. It is made once for each change: for 500 connections it takes twice all the rest."""
    text = connections.kept.get(LIST)
    if text is None:
        text = connections.kept[LIST] = encode({"data": [ConnectionRow.of(row) for row in connections.rows]})
    return text


async def _scheduled(
    services: Services, rows: Sequence[Connection], *, is_fresh: bool
) -> list[ScheduledConnectionView]:
    grace = services.settings.airbyte.late_grace
    expected = await expected_syncs(rows, now=services.clock.now(), grace=grace)
    return [_scheduled_view(row, sync, is_fresh=is_fresh) for row, sync in zip(rows, expected, strict=True)]


def _scheduled_view(connection: Connection, expected: ExpectedSync, *, is_fresh: bool) -> ScheduledConnectionView:
    """Return the connection with its schedule. What is not current calls no sync late: it may have begun."""
    return ScheduledConnectionView(
        **msgspec.structs.asdict(ConnectionRow.of(connection)),
        schedule=connection.schedule,
        next_sync_at=None if expected.at is None else format_time(expected.at),
        late=is_fresh and expected.is_late,
        warning=connection.warning,
    )
