"""Connections of an Airbyte workspace as they are offered to clients, and whose name a workspace has."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec
from starlette.requests import Request

from gateway.dashboard.admin.upstream import Upstream, read_upstream
from gateway.models import Client, Connection
from gateway.provisioning.discovery import UpstreamConnection, UpstreamWorkspace
from gateway.provisioning.mapping import CUSTOM, label_from
from gateway.services import services_of

OFFER_ROWS = 15
"""Of a page of Airbyte's connections: on a phone each has fields, and takes more room than other rows."""


class Offer(msgspec.Struct, frozen=True):
    """A connection in Airbyte, what a client would see of it, and ours and its client, None while it has none."""

    upstream: UpstreamConnection
    label: str
    connector_type: str
    connection: Connection | None
    client: Client | None


SORTED_BY: dict[str, Callable[[Offer], object]] = {
    "name": lambda offer: offer.upstream.name.casefold(),
    "state": lambda offer: offer.upstream.status,
    "client": lambda offer: offer.client.name.casefold() if offer.client else "",
    "type": lambda offer: offer.connection.connector_type if offer.connection else offer.connector_type,
}


class Offers(msgspec.Struct, frozen=True):
    """What is offered: `client` is the client that is asked for, None if that is nobody."""

    upstream: Upstream
    rows: list[Offer]
    clients: list[Client]
    client: Client | None

    @property
    def is_read(self) -> bool:
        """Return whether Airbyte's list of the workspace is there."""
        return self.upstream.connections is not None and self.upstream.connections.read_at is not None

    @property
    def free(self) -> list[Offer]:
        """Return those that no client has."""
        return [offer for offer in self.rows if offer.connection is None]

    @property
    def workspace_name(self) -> str:
        """Return the name of the workspace; empty while none is known."""
        chosen = (each.name for each in self.upstream.workspaces.rows if each.id == self.upstream.chosen)
        return next(chosen, "")


async def read_offers(request: Request) -> Offers:
    """Read the workspace in the address, else the one that has the name of the client in the address, else the first.

    Without a client in the address, the client that has the workspace's name is asked for.
    """
    services, slug = services_of(request), request.query_params.get("client", "")
    clients = await services.store.clients.all()
    asked = next((client for client in clients if client.slug == slug), None)
    upstream = await read_upstream(request, usual_of=lambda workspaces: _workspace_of(asked, workspaces))
    connections = {each.airbyte_id: each for each in await services.store.connections.all() if each.airbyte_id}
    by_id = {client.id: client for client in clients}
    offers = Offers(
        upstream,
        [
            _offer(row, connections.get(row.id), by_id)
            for row in (upstream.connections.rows if upstream.connections else ())
        ],
        clients,
        asked,
    )
    if asked is None and not slug:
        return msgspec.structs.replace(offers, client=client_named(offers.workspace_name, clients))
    return offers


def text_of(offer: Offer) -> str:
    """Return the text in which a search looks."""
    assigned = f"{offer.client.name} {offer.client.slug}" if offer.client else ""
    return f"{offer.upstream.name} {offer.upstream.connector_type} {offer.upstream.id} {assigned}"


def client_named(name: str, clients: Sequence[Client]) -> Client | None:
    """Return the client whose name or slug is this, but for case, spaces and signs; None for none or several."""
    wanted = _letters(name)
    return _only([client for client in clients if wanted and wanted in _names_of(client)])


def _workspace_of(client: Client | None, workspaces: Sequence[UpstreamWorkspace]) -> str | None:
    """Return the id of the workspace that has the client's name or slug; None for none or several."""
    if client is None:
        return None
    found = _only([each for each in workspaces if _letters(each.name) in _names_of(client)])
    return found.id if found else None


def _names_of(client: Client) -> set[str]:
    return {_letters(client.name), _letters(client.slug)} - {""}


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


class _Found(Protocol):
    @property
    def id(self) -> object: ...


Found = TypeVar("Found", bound=_Found)


def _only(found: Sequence[Found]) -> Found | None:
    return found[0] if len(found) == 1 else None


def _offer(upstream: UpstreamConnection, connection: Connection | None, clients: dict[int, Client]) -> Offer:
    client = clients.get(connection.client_id) if connection else None
    return Offer(
        upstream,
        label=label_from(upstream.name),
        connector_type=upstream.connector_type or CUSTOM,
        connection=connection if client else None,
        client=client,
    )
