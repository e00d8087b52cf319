"""GET /api/v1/status: who the key belongs to, and how its connections are doing."""

from starlette.requests import Request

from gateway.api.principal import principal_of
from gateway.api.staleness import staleness_headers
from gateway.services import services_of
from gateway.web.responses import JSONAnswer


async def show_status(request: Request) -> JSONAnswer:
    """Answer with the client, the number of its connections and the start of its newest sync."""
    services = services_of(request)
    client = principal_of(request).client
    connections, is_fresh = await services.syncs.last_sync.connections_of(client.id)
    headers = staleness_headers(is_fresh=is_fresh, count_stale=services.metrics.count_stale)
    content = {
        "client": {
            "name": client.name,
            "slug": client.slug,
            "plan": client.plan,
            "created_at": client.created_at,
        },
        "connections": len(connections.rows),
        "last_sync_at": connections.last_sync_at,
    }
    return JSONAnswer(content, headers=headers)
