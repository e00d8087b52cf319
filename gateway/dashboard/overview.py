"""/dashboard: which of the client's connections need attention, and why."""

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.attention import ATTENTION_ROWS, EXPLAINED_BY_JOB, REASON_WORDS, attention
from gateway.dashboard.connections import is_running
from gateway.dashboard.paging import paged
from gateway.dashboard.templating import page
from gateway.dashboard.timings import PageTimings
from gateway.dashboard.visitor import client_of
from gateway.models import Connection
from gateway.services import services_of
from gateway.syncs.attention import Attention


class Summary(msgspec.Struct, frozen=True):
    """The figures at the top of the page."""

    connections: int
    attention: int
    running: int
    newest: str | None


async def show_overview(request: Request, timings: PageTimings) -> Response:
    """Show what needs attention, what matters most first, and how the client's connections do."""
    services, client = services_of(request), client_of(request)
    all_connections, is_fresh = await services.syncs.last_sync.connections_of(client.id)
    connections = all_connections.rows
    found = await attention(services, connections, is_current=is_fresh)
    summary = summary_of(connections, len(found))
    return page(
        request,
        "overview.html",
        summary=summary,
        page=paged(request, found, _text_of, size=ATTENTION_ROWS),
        words=REASON_WORDS,
        explained_by_job=EXPLAINED_BY_JOB,
        known_at=await services.store.last_syncs.read_upto(),
        is_stale=not is_fresh,
        live_seconds=timings.reload_running if summary.running or not is_fresh else None,
    )


def summary_of(connections: Sequence[Connection], needing: int) -> Summary:
    """Count the connections for the top of the page, `needing` of which need attention."""
    return Summary(
        connections=len(connections),
        attention=needing,
        running=sum(map(is_running, connections)),
        newest=max((row.last_sync_at for row in connections if row.last_sync_at), default=None),
    )


def _text_of(found: Attention) -> str:
    connection = found.connection
    return f"{connection.label} {connection.connector_type} {connection.id}"
