"""Find a client's connections by Airbyte's ids, which are the ids that its programs know."""

from starlette.requests import Request

from gateway.api.principal import principal_of
from gateway.errors import ApiError, ConnectionNotFound
from gateway.models import DEPRECATED, Connection
from gateway.services import services_of


async def own_connections(request: Request, *, include_deleted: bool = False) -> list[Connection]:
    """Return the client's connections that lead to one of Airbyte's, oldest first. Raises StorageUnavailable."""
    client = principal_of(request).client
    rows = (await services_of(request).store.connections.of_client(client.id)).rows
    return [row for row in rows if row.airbyte_id and (include_deleted or row.status != DEPRECATED)]


async def own_connection(request: Request, airbyte_id: str) -> Connection:
    """Return the client's connection. Raises ConnectionNotFound, the same for another client's and for any text."""
    wanted = airbyte_id.lower()
    for connection in await own_connections(request, include_deleted=True):
        if connection.airbyte_id == wanted:
            return connection
    raise ConnectionNotFound


async def require_still_own(request: Request, airbyte_id: str | None, gone: type[ApiError]) -> None:
    """Raise `gone` unless the client has the connection still: it may have been given away while Airbyte was asked."""
    if not any(each.airbyte_id == airbyte_id for each in await own_connections(request, include_deleted=True)):
        raise gone
