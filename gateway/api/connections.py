"""GET /api/v1/connections: all of the client's connections, oldest first."""

import msgspec
from starlette.requests import Request

from gateway.api.principal import principal_of
from gateway.api.staleness import staleness_headers
from gateway.models import Connection
from gateway.services import services_of
from gateway.web.responses import JSONAnswer


class ConnectionView(msgspec.Struct, frozen=True):
    """A connection as the API shows it: exactly these keys, in this order."""

    id: str
    connector_type: str
    label: str
    status: str
    last_sync_at: str | None
    last_sync_status: str | None
    created_at: str


async def list_connections(request: Request) -> JSONAnswer:
    """Answer with all of the client's connections, oldest first."""
    services = services_of(request)
    client = principal_of(request).client
    is_fresh = await services.syncs.last_sync.ensure_fresh(client.id)
    headers = staleness_headers(is_fresh=is_fresh, count_stale=services.metrics.count_stale)
    connections = await services.store.connections.of_client(client.id)
    return JSONAnswer({"data": [_view(connection) for connection in connections.rows]}, headers=headers)


def _view(connection: Connection) -> ConnectionView:
    return ConnectionView(
        id=connection.id,
        connector_type=connection.connector_type,
        label=connection.label,
        status=connection.status,
        last_sync_at=connection.last_sync_at,
        last_sync_status=connection.last_sync_status,
        created_at=connection.created_at,
    )
