"""/dashboard/admin/clients/SLUG: one client's connections, and adding one that is not in Airbyte yet."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.addressed import addressed_client, totals_of
from gateway.dashboard.admin.connections import CONNECTIONS_PAGE
from gateway.dashboard.field_problems import LABEL_CHECK, NO_PROBLEMS, TYPE_CHECK, Problems, field_problems, in_short
from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.idempotent_forms import derived_id, is_created
from gateway.dashboard.paging import read_page
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import actor_of, redirect
from gateway.dashboard.volume import volume_of
from gateway.errors import Duplicate, InvalidInput, UnknownRecord
from gateway.models import Client
from gateway.services import services_of

NOTICES = {
    "assigned": "The client sees the connections from now on. Their last syncs appear as soon as Airbyte told them.",
    "created": "The client is created. Next, assign connections to it and invite its users.",
    "known": "This client exists already, with the same name and plan. Nothing was changed.",
}
SORTED_BY = ("label", "type", "state", "-last_sync")


async def show_client(request: Request) -> Response:
    """Show one client and its connections. Raises NotFound."""
    return await _client_page(request, await addressed_client(request))


async def add_connection(request: Request) -> Response:
    """Add a connection without a mapping. Raises NotFound."""
    client, form = await addressed_client(request), await read_form(request)
    services, connection_id = services_of(request), derived_id(request, form, "conn")
    try:
        connection = (
            await services.connections.add(
                client.slug,
                connector_type=form["connector_type"],
                label=form["label"],
                airbyte_id=None,
                connection_id=connection_id,
                by=actor_of(request),
            )
        ).connection
    except (Duplicate, InvalidInput, UnknownRecord) as error:
        if not await is_created(services.store.connections.any_by_id, connection_id):
            problems = field_problems(form, {"label": LABEL_CHECK, "connector_type": TYPE_CHECK})
            problem = in_short(problems, error)
            return await _client_page(request, client, status=400, problem=problem, problems=problems, form=form)
        return redirect(request, f"{CONNECTIONS_PAGE}/{connection_id}?done=added")
    return redirect(request, f"{CONNECTIONS_PAGE}/{connection.id}?done=added")


async def _client_page(
    request: Request,
    client: Client,
    *,
    status: int = 200,
    problem: str = "",
    problems: Problems = NO_PROBLEMS,
    form: Form | None = None,
) -> Response:
    services = services_of(request)
    totals, store = await totals_of(request, client), services.store
    connections = (await store.connections.of_client(client.id)).rows
    listed = await read_page(request, partial(store.connection_pages.of_client, client.id), orders=SORTED_BY)
    # As with the client's own list, what is looked at is counted.
    await services.syncs.history.of(client, listed.rows)
    return page(
        request,
        "admin/client.html",
        status=status,
        problem=problem,
        problems=problems,
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
        client=client,
        form=form or Form(),
        totals=totals,
        page=listed,
        volume=await volume_of(services, client, connections),
    )
