"""Find a client's connections by Airbyte's ids, which are the ids that its programs know."""

from starlette.requests import Request

from gateway.api.principal import principal_of
from gateway.errors import ConnectionNotFound
from gateway.models import DEPRECATED, Connection, ConnectionsOfClient
from gateway.services import services_of


async def own_connections(request: Request, *, include_deleted: bool = False) -> list[Connection]:
    """Return the client's connections that lead to one of Airbyte's, oldest first. Raises StorageUnavailable."""
    rows = (await _connections_of(request)).rows
    return [row for row in rows if row.airbyte_id and (include_deleted or row.status != DEPRECATED)]


async def own_connection(request: Request, airbyte_id: str) -> Connection:
    """Return the client's connection. Raises ConnectionNotFound, the same for another client's and for any text."""
    connection = (await _connections_of(request)).by_airbyte_id.get(airbyte_id.lower())
    if connection is None:
        raise ConnectionNotFound
    return connection


async def _connections_of(request: Request) -> ConnectionsOfClient:
    return await services_of(request).store.connections.of_client(principal_of(request).client.id)
