"""Look up a client's connection, and the Airbyte connection it is mapped to."""

from collections.abc import Iterable

from gateway.errors import BadRequest, ConnectionNotFound
from gateway.models import Client, Connection
from gateway.store import Store

UNMAPPED = "Connection has no Airbyte mapping"


async def connection_of(store: Store, client: Client, connection_id: str) -> Connection:
    """Return the client's connection. Raises ConnectionNotFound, the same for another client's and for none at all."""
    connections = await store.connections.of_client(client.id)
    try:
        return connections.by_id[connection_id]
    except KeyError:
        raise ConnectionNotFound from None


async def airbyte_id_of(store: Store, client: Client, connection_id: str) -> str:
    """Return Airbyte's id of the client's connection. Raises ConnectionNotFound; BadRequest if it is not mapped."""
    connection = await connection_of(store, client, connection_id)
    if connection.airbyte_id is None:
        raise BadRequest(UNMAPPED)
    return connection.airbyte_id


async def require_still_mapped(store: Store, client: Client, connection_id: str, airbyte_id: str) -> None:
    """Look again after a wait for Airbyte, in which the connection may have been given to another client.

    Raises ConnectionNotFound unless it is the client's still, and mapped to `airbyte_id`.
    """
    connection = await connection_of(store, client, connection_id)
    if connection.airbyte_id != airbyte_id:
        raise ConnectionNotFound(detail=f"{connection_id} is no longer mapped to {airbyte_id}")


async def still_own(store: Store, client: Client, airbyte_ids: Iterable[str]) -> set[str]:
    """Return which of Airbyte's connections are the client's after a wait for Airbyte. Raises StorageUnavailable."""
    return (await store.connections.of_client(client.id)).by_airbyte_id.keys() & set(airbyte_ids)
