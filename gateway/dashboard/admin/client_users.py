"""/dashboard/admin/clients/SLUG/users: the people of one client."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.addressed import addressed_client
from gateway.dashboard.paging import read_page
from gateway.dashboard.templating import page
from gateway.services import services_of

SORTED_BY = ("email", "-signed_in", "-invited")


async def show_users(request: Request) -> Response:
    """Show the client's users. Raises NotFound."""
    client = await addressed_client(request)
    users = services_of(request).store.user_pages
    return page(
        request,
        "admin/client-users.html",
        client=client,
        page=await read_page(request, partial(users.of_client, client.id), orders=SORTED_BY),
    )
