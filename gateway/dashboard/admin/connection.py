"""/dashboard/admin/connections/ID: one connection of a client, its jobs; syncing, renaming, mapping and removing it."""

import functools
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.addressed import addressed_connection, owner_of
from gateway.dashboard.admin.connections import CONNECTIONS_PAGE
from gateway.dashboard.admin.connections_of_clients import OF_CLIENTS
from gateway.dashboard.admin.offers import OFFER_ROWS
from gateway.dashboard.admin.upstream import read_upstream
from gateway.dashboard.expectation import expectation
from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.job_history import HistoryReader
from gateway.dashboard.paging import paged, query_with
from gateway.dashboard.sync_now import REFUSALS, sync_notice, sync_now, sync_problem
from gateway.dashboard.templating import page
from gateway.dashboard.timings import PageTimings
from gateway.dashboard.visitor import actor_of, redirect
from gateway.errors import OperatorError
from gateway.models import Connection
from gateway.provisioning.discovery import UpstreamConnection
from gateway.services import services_of

NOTICES = {
    "added": "Added. The client sees the connection from now on.",
    "renamed": "Renamed. The client sees the new label from now on.",
    "mapped": "Mapped. Its history is now the history of the new connection.",
    "unchecked": "Mapped. Airbyte did not answer. The state is read as soon as it answers.",
}


async def show_connection(request: Request, timings: PageTimings) -> Response:
    """Show one connection with its job history. Raises NotFound, BadRequest."""
    return await _connection_page(request, await addressed_connection(request), timings)


async def trigger_sync(request: Request, timings: PageTimings) -> Response:
    """Start a sync, or join the one under way; then show the connection. Raises NotFound.

    It takes the share of the connection's client at Airbyte, so nobody else waits for it, but none of its tokens.
    """
    connection = await addressed_connection(request)
    try:
        done = await sync_now(request, await owner_of(request, connection), connection)
    except REFUSALS as error:
        return await _connection_page(
            request,
            connection,
            timings,
            status=error.status,
            problem=sync_problem(error, request),
            headers=error.headers,
        )
    return redirect(request, f"{CONNECTIONS_PAGE}/{connection.id}?{done}")


async def rename_connection(request: Request, timings: PageTimings) -> Response:
    """Give the connection another label. Raises NotFound."""
    connection, form = await addressed_connection(request), await read_form(request)
    try:
        await services_of(request).connections.rename(connection.id, label=form.text("label"), by=actor_of(request))
    except OperatorError as error:
        return await _connection_page(request, connection, timings, status=400, problem=str(error), form=form)
    return _back(request, connection, "renamed")


async def map_connection(request: Request, timings: PageTimings) -> Response:
    """Map the connection to one of the list, or to an id that was typed. Raises NotFound."""
    connection, form = await addressed_connection(request), await read_form(request)
    try:
        mapped = await services_of(request).connections.map(
            connection.id, form.text("airbyte_id"), by=actor_of(request)
        )
    except OperatorError as error:
        return await _connection_page(request, connection, timings, status=400, problem=str(error), form=form)
    return _back(request, connection, "unchecked" if mapped.warning else "mapped")


async def remove_connection(request: Request) -> Response:
    """Remove the connection from its client. Raises NotFound."""
    connection = await addressed_connection(request)
    await services_of(request).connections.remove(connection.id, by=actor_of(request))
    return redirect(request, f"{OF_CLIENTS}?done=removed")


def _back(request: Request, connection: Connection, done: str) -> Response:
    return redirect(request, f"{CONNECTIONS_PAGE}/{connection.id}?done={done}")


async def _connection_page(
    request: Request,
    connection: Connection,
    timings: PageTimings,
    *,
    status: int = 200,
    problem: str = "",
    headers: Mapping[str, str] | None = None,
    form: Form | None = None,
) -> Response:
    store, client = services_of(request).store, await owner_of(request, connection)
    history = await HistoryReader(request, client, connection, timings, is_operator=True).shown()
    upstream = await read_upstream(request, lambda _: connection.workspace_id)
    taken = await store.connections.mapped_airbyte_ids()
    rows = upstream.connections.rows if upstream.connections else ()
    return page(
        request,
        "admin/connection.html",
        status=status,
        headers=headers,
        problem=problem,
        notice=NOTICES.get(request.query_params.get("done", ""), "") or sync_notice(request, history["history"].ended),
        label=form["label"] if form and "label" in form else connection.label,
        airbyte_id=form["airbyte_id"] if form else "",
        connection=connection,
        client=client,
        expected=await expectation(request, connection),
        upstream=upstream,
        airbyte_url=_airbyte_url(request, connection),
        query=functools.partial(query_with, request),
        page=paged(request, [row for row in rows if row.id not in taken], _text_of, size=OFFER_ROWS),
        **history,
    )


def _airbyte_url(request: Request, connection: Connection) -> str:
    """Return where Airbyte's own pages show the connection; empty if that is not known."""
    pages = services_of(request).settings.airbyte.pages_url
    if not (pages and connection.airbyte_id and connection.workspace_id):
        return ""
    return f"{pages}/workspaces/{connection.workspace_id}/connections/{connection.airbyte_id}"


def _text_of(connection: UpstreamConnection) -> str:
    return f"{connection.name} {connection.connector_type} {connection.id}"
