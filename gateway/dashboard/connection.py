"""/dashboard/connections/ID: one connection of the member's client, its syncs, and the button that starts one."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.client_token import take_client_token
from gateway.dashboard.expectation import expectation
from gateway.dashboard.job_history import HistoryReader
from gateway.dashboard.sync_now import REFUSALS, sync_notice, sync_now, sync_problem
from gateway.dashboard.templating import page
from gateway.dashboard.timings import PageTimings
from gateway.dashboard.visitor import client_of, redirect
from gateway.errors import ApiError
from gateway.models import Connection
from gateway.services import services_of
from gateway.syncs.connections import connection_of


async def show_connection(request: Request, timings: PageTimings) -> Response:
    """Show one connection with its job history. Raises ConnectionNotFound, BadRequest."""
    return await _connection_page(request, await _connection(request), timings)


async def trigger_sync(request: Request, timings: PageTimings) -> Response:
    """Start a sync, or join the one under way; then show the connection. Raises ConnectionNotFound."""
    connection = await _connection(request)
    try:
        await take_client_token(request, client_of(request))
        done = await sync_now(request, client_of(request), connection)
    except REFUSALS as error:
        return await _connection_page(request, connection, timings, failure=error)
    return redirect(request, f"dashboard/connections/{connection.id}?{done}")


async def _connection(request: Request) -> Connection:
    """Return the connection, refreshed if Airbyte answers. Raises ConnectionNotFound, also for another client's."""
    await _owned(request)
    await services_of(request).syncs.last_sync.ensure_fresh(client_of(request).id)
    return await _owned(request)


async def _owned(request: Request) -> Connection:
    return await connection_of(services_of(request).store, client_of(request), request.path_params["id"])


async def _connection_page(
    request: Request, connection: Connection, timings: PageTimings, *, failure: ApiError | None = None
) -> Response:
    """Return the page; `failure` is why a sync could not be started. Raises ConnectionNotFound, BadRequest."""
    reader = HistoryReader(request, client_of(request), connection, timings, is_operator=False)
    history = await reader.shown()
    connection = await _owned(request)  # it may have been given to another client while Airbyte was asked
    return page(
        request,
        "connection.html",
        status=failure.status if failure else 200,
        headers=failure.headers if failure else None,
        connection=connection,
        problem=sync_problem(failure, request) if failure else "",
        notice=sync_notice(request, history["history"].ended),
        expected=await expectation(request, connection),
        **history,
    )
