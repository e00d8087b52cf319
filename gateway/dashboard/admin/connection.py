"""/dashboard/admin/connections/ID: one connection of a client; renaming, mapping and removing it."""

import functools

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.addressed import addressed_connection, owner_of
from gateway.dashboard.admin.connections import CONNECTIONS_PAGE
from gateway.dashboard.admin.connections_of_clients import OF_CLIENTS
from gateway.dashboard.admin.upstream import read_upstream
from gateway.dashboard.expectation import expectation
from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.job_csv import MOST_CSV_JOBS
from gateway.dashboard.paging import paged, query_with
from gateway.dashboard.templating import page
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


async def show_connection(request: Request) -> Response:
    """Show one connection. Raises NotFound."""
    return await _connection_page(request, await addressed_connection(request))


async def rename_connection(request: Request) -> Response:
    """Give the connection another label. Raises NotFound."""
    connection, form = await addressed_connection(request), await read_form(request)
    try:
        await services_of(request).connections.rename(connection.id, label=form.text("label"), by=actor_of(request))
    except OperatorError as error:
        return await _connection_page(request, connection, status=400, problem=str(error), form=form)
    return _back(request, connection, "renamed")


async def map_connection(request: Request) -> Response:
    """Map the connection to one of the list, or to an id that was typed. Raises NotFound."""
    connection, form = await addressed_connection(request), await read_form(request)
    try:
        mapped = await services_of(request).connections.map(
            connection.id, form.text("airbyte_id"), by=actor_of(request)
        )
    except OperatorError as error:
        return await _connection_page(request, connection, status=400, problem=str(error), form=form)
    return _back(request, connection, "unchecked" if mapped.warning else "mapped")


async def remove_connection(request: Request) -> Response:
    """Remove the connection from its client. Raises NotFound."""
    connection = await addressed_connection(request)
    await services_of(request).connections.remove(connection.id, by=actor_of(request))
    return redirect(request, f"{OF_CLIENTS}?done=removed")


def _back(request: Request, connection: Connection, done: str) -> Response:
    return redirect(request, f"{CONNECTIONS_PAGE}/{connection.id}?done={done}")


async def _connection_page(
    request: Request, connection: Connection, *, status: int = 200, problem: str = "", form: Form | None = None
) -> Response:
    store = services_of(request).store
    upstream = await read_upstream(request, usual=connection.workspace_id)
    taken = await store.connections.mapped_airbyte_ids()
    rows = upstream.connections.rows if upstream.connections else ()
    return page(
        request,
        "admin/connection.html",
        status=status,
        problem=problem,
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
        label=form["label"] if form and "label" in form else connection.label,
        airbyte_id=form["airbyte_id"] if form else "",
        connection=connection,
        client=await owner_of(request, connection),
        expected=await expectation(request, connection),
        upstream=upstream,
        most_csv_jobs=MOST_CSV_JOBS,
        query=functools.partial(query_with, request),
        page=paged(request, [row for row in rows if row.id not in taken], _text_of),
    )


def _text_of(connection: UpstreamConnection) -> str:
    return f"{connection.name} {connection.connector_type} {connection.id}"
