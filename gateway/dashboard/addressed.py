"""The records that the address of an operator's page names. Raises NotFound where the store knows none."""

from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import Request

from gateway.dashboard.usage_chart import LAST_DAY
from gateway.errors import NotFound, UnknownRecord
from gateway.models import Client, ClientTotals, Connection, User
from gateway.services import services_of
from gateway.times import format_time

Record = TypeVar("Record")


async def addressed_client(request: Request) -> Client:
    """Return the client whose slug is in the address. Raises NotFound."""
    return await _found(services_of(request).store.clients.by_slug(request.path_params["slug"]))


async def totals_of(request: Request, client: Client) -> ClientTotals:
    """Return how much the client has, and its calls of the last day. Raises NotFound if it was removed meanwhile."""
    services = services_of(request)
    now = services.clock.now()
    found = await services.store.totals.of_clients(
        [client.id], now=format_time(now), calls_since=format_time(LAST_DAY.begin(now))
    )
    if client.id not in found:
        raise NotFound
    return found[client.id]


async def addressed_connection(request: Request) -> Connection:
    """Return the connection, any client's, whose id is in the address. Raises NotFound."""
    return await _found(services_of(request).store.connections.any_by_id(request.path_params["id"]))


async def owner_of(request: Request, connection: Connection) -> Client:
    """Return the client whose connection it is. Raises NotFound if both were removed meanwhile."""
    clients = await services_of(request).store.clients.all()
    owner = next((client for client in clients if client.id == connection.client_id), None)
    if owner is None:
        raise NotFound
    return owner


async def addressed_user(request: Request) -> User:
    """Return the user whose id is in the address. Raises NotFound."""
    return await _found(services_of(request).store.users.by_id(request.path_params["id"]))


async def _found(record: Awaitable[Record]) -> Record:
    try:
        return await record
    except UnknownRecord:
        raise NotFound from None
