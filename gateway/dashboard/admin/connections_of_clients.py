"""/dashboard/admin/connections/of-clients: the connections of all clients, and which of them cannot be synced."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.paging import query_with, read_page
from gateway.dashboard.templating import page
from gateway.services import services_of

OF_CLIENTS = "dashboard/admin/connections/of-clients"
MAPPINGS = ("unmapped", "vanished")
SORTED_BY = ("label", "client", "type", "state", "-last_sync")
NOTICES = {"removed": "The connection is removed from its client. Airbyte keeps it and its syncs."}


async def show_connections_of_clients(request: Request) -> Response:
    """Show the connections of all clients, or only the unmapped or the vanished ones."""
    store = services_of(request).store
    wanted = request.query_params.get("mapping", "")
    mapping = wanted if wanted in MAPPINGS else ""
    return page(
        request,
        "admin/connections-of-clients.html",
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
        page=await read_page(request, partial(store.connection_pages.of_clients, mapping=mapping), orders=SORTED_BY),
        clients={client.id: client for client in await store.clients.all()},
        mapping=mapping,
        query=partial(query_with, request),
        counts=await store.connection_pages.counts(),
    )
