"""/dashboard/admin: which connections of all clients need attention, and why."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.attention import ATTENTION_ROWS, EXPLAINED_BY_JOB, REASON_WORDS, attention
from gateway.dashboard.paging import paged
from gateway.dashboard.templating import page
from gateway.models import Client, Connection
from gateway.services import Services, services_of
from gateway.syncs.attention import Attention


async def show_overview(request: Request) -> Response:
    """Show what needs attention of all clients that are not disabled, what matters most first."""
    services = services_of(request)
    clients = {client.id: client for client in await services.store.clients.all() if not client.disabled_at}
    stored = await services.store.connections.all()
    if stored:
        # One refresh serves all clients.
        await services.syncs.last_sync.ensure_fresh(stored[0].client_id)
        stored = await services.store.connections.all()
    connections = [each for each in stored if each.client_id in clients]
    found = await _current(services, connections)

    def text_of(each: Attention) -> str:
        return _text_of(each.connection, clients[each.connection.client_id])

    return page(
        request,
        "admin/overview.html",
        total=len(connections),
        attention=len(found),
        clients=clients,
        page=paged(request, found, text_of, size=ATTENTION_ROWS),
        words=REASON_WORDS,
        explained_by_job=EXPLAINED_BY_JOB,
    )


async def _current(services: Services, connections: list[Connection]) -> list[Attention]:
    """Return what needs attention, without what is only late because nobody knows better."""
    found = await attention(services, connections, is_current=True)
    late = {each.connection.client_id for each in found if each.reason == "late"}
    stale = {client_id for client_id in late if not await services.syncs.last_sync.ensure_fresh(client_id)}
    return [each for each in found if each.reason != "late" or each.connection.client_id not in stale]


def _text_of(connection: Connection, client: Client) -> str:
    return f"{connection.label} {connection.connector_type} {connection.id} {client.name} {client.slug}"
