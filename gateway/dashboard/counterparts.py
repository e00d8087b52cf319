"""Let members in to their pages, and lead admins from a member's address to their own page of the same thing."""

from starlette.requests import Request
from starlette.types import ASGIApp

from gateway.dashboard.paging import with_query
from gateway.dashboard.visitor import Handler, redirect, visitor_of
from gateway.services import services_of
from gateway.store import Store

MEMBERS, ADMINS = "/dashboard", "dashboard/admin"
ADMIN_PAGES = {
    "/connections": "/connections/of-clients",
    "/connections/volume": "/clients",
    "/connections/volume.csv": "/clients",
    "/activity": "/activity",
}
"""Pages of a client's for which admins have one, below MEMBERS and ADMINS."""
CONNECTION_PATH = "/connections/"
KEY_PATH = "/settings/api-keys/"
WEBHOOK_PATH = "/settings/webhooks/"


def for_members(handler: Handler) -> Handler:
    """Let members in. Admins are redirected to their own page, everybody else to the sign-in."""

    async def show(request: Request) -> ASGIApp:
        if visitor_of(request).client is None:
            return redirect(request, await counterpart(request))
        return await handler(request)

    return show


async def counterpart(request: Request) -> str:
    """Return the path from the root of the admin's page of what is in a member's address; the overview if none is.

    Raises UnknownRecord for a key or a webhook that nobody has.
    """
    store = services_of(request).store
    path = request.scope["path"].removeprefix(MEMBERS)
    if request.method not in {"GET", "HEAD"}:
        return ADMINS
    if path.startswith(KEY_PATH):
        key = await store.api_keys.any_by_id(path.removeprefix(KEY_PATH))
        return await _below_client(store, key.client_id, f"api-keys/{key.id}")
    if path.startswith(WEBHOOK_PATH):
        webhook = await store.webhooks.any_by_id(path.removeprefix(WEBHOOK_PATH))
        return await _below_client(store, webhook.client_id, f"webhooks/{webhook.id}")
    page = ADMIN_PAGES.get(path, path if path.startswith(CONNECTION_PATH) else "")
    return with_query(request, ADMINS + page) if page else ADMINS


async def _below_client(store: Store, client_id: int, page: str) -> str:
    """Return the path of a page below a client's."""
    clients = await store.clients.all()
    slug = next((client.slug for client in clients if client.id == client_id), "")
    return f"{ADMINS}/clients/{slug}/{page}"
