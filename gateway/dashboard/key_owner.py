"""The client whose API keys a page shows: a member's own, or, for an admin, the one in the address."""

import msgspec
from starlette.requests import Request

from gateway.dashboard.addressed import addressed_client
from gateway.dashboard.visitor import visitor_of
from gateway.models import Client

KEYS = "dashboard/settings/api-keys"


class KeyOwner(msgspec.Struct, frozen=True):
    """A client, and the path from the root to the pages of its keys."""

    client: Client
    path: str


async def key_owner_of(request: Request) -> KeyOwner:
    """Return the member's client, or for an admin the client in the address. Raises SignInNeeded, NotFound."""
    client = visitor_of(request).client
    if client is not None:
        return KeyOwner(client, KEYS)
    client = await addressed_client(request)
    return KeyOwner(client, f"dashboard/admin/clients/{client.slug}/api-keys")
