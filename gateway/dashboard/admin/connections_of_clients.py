"""/dashboard/admin/connections/of-clients: the connections of all clients, and which of them cannot be synced."""

import functools
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.paging import paged, query_with
from gateway.dashboard.templating import page
from gateway.models import Client, Connection
from gateway.services import Services, services_of

OF_CLIENTS = "dashboard/admin/connections/of-clients"
NOTICES = {"removed": "The connection is removed from its client. Airbyte keeps it and its syncs."}


class Owned(msgspec.Struct, frozen=True):
    """A connection and its client."""

    connection: Connection
    client: Client


async def show_connections_of_clients(request: Request) -> Response:
    """Show the connections of all clients, or only the unmapped or the vanished ones."""
    owned = await owned_connections(services_of(request))
    mapping = request.query_params.get("mapping", "")
    return page(
        request,
        "admin/connections-of-clients.html",
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
        page=paged(request, [each for each in owned if mapping in {"", each.connection.mapping}], _text_of),
        mapping=mapping,
        query=functools.partial(query_with, request),
        total=len(owned),
        unusable_counts=unusable_counts(owned),
    )


async def owned_connections(services: Services) -> list[Owned]:
    """Return the connections of all clients."""
    clients = {client.id: client for client in await services.store.clients.all()}
    connections = await services.store.connections.all()
    return [Owned(row, clients[row.client_id]) for row in connections if row.client_id in clients]


def unusable_counts(owned: Sequence[Owned]) -> dict[str, int]:
    """Count those that cannot be synced: `{"unmapped": …, "vanished": …}`."""
    mappings = [each.connection.mapping for each in owned]
    return {"unmapped": mappings.count("unmapped"), "vanished": mappings.count("vanished")}


def _text_of(owned: Owned) -> str:
    row, client = owned.connection, owned.client
    return f"{row.label} {row.connector_type} {row.id} {row.airbyte_id or ''} {client.name} {client.slug}"
