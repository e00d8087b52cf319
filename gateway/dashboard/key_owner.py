"""Whose API keys the pages show: a member's own client's, or, to an admin, those of the client in the address."""

import msgspec
from starlette.requests import Request

from gateway.dashboard.visitor import visitor_of
from gateway.errors import NotFound, Unknown
from gateway.models import Client
from gateway.services import services_of

KEYS = "dashboard/settings/api-keys"


class KeyOwner(msgspec.Struct, frozen=True):
    """A client, and where the pages about its keys are, from the root."""

    client: Client
    path: str


async def key_owner_of(request: Request) -> KeyOwner:
    """Raises SignInNeeded, NotFound."""
    client = visitor_of(request).client
    if client is not None:
        return KeyOwner(client, KEYS)
    slug = request.path_params["slug"]
    try:
        return KeyOwner(
            await services_of(request).store.clients.by_slug(slug), f"dashboard/admin/clients/{slug}/api-keys"
        )
    except Unknown:
        raise NotFound from None
