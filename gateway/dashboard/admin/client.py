"""/dashboard/admin/clients/SLUG: one client with its connections, keys and users; changing, disabling, removing it."""

from starlette.requests import Request
from starlette.responses import Response

from gateway import validation
from gateway.dashboard.addressed import addressed_client
from gateway.dashboard.admin.clients import CLIENTS
from gateway.dashboard.admin.connections import CONNECTIONS_PAGE
from gateway.dashboard.api_keys import MOST_ENDED_SHOWN
from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.idempotent_forms import derived_id, is_created
from gateway.dashboard.paging import PAGE_ROWS, paged
from gateway.dashboard.templating import page
from gateway.dashboard.usage_chart import LAST_DAY
from gateway.dashboard.visitor import actor_of, redirect
from gateway.dashboard.volume import volume_of
from gateway.errors import Duplicate, InvalidInput, NotFound, UnknownRecord
from gateway.limiter import in_words
from gateway.models import Client, Connection
from gateway.services import services_of
from gateway.times import format_time

NOTICES = {
    "created": "The client is created. Next, give it connections and invite its users.",
    "updated": "Saved. The change applies from the next request on.",
    "disabled": "The client is disabled. Its keys get 401 and its users are signed out.",
    "enabled": "The client is enabled. Its keys work again.",
    "known": "This client exists already, with the same name and plan. Nothing was changed.",
}


async def show_client(request: Request) -> Response:
    """Show one client. Raises NotFound."""
    return await _client_page(request, await addressed_client(request))


async def update_client(request: Request) -> Response:
    """Change what the client is called and what its keys may do. Raises NotFound."""
    client, form = await addressed_client(request), await read_form(request)
    try:
        await services_of(request).clients.update(
            client.slug,
            name=form.text("name"),
            plan=form.text("plan"),
            rate=form.text("rate"),
            rate_total=form.text("rate_total"),
            most_keys=form.text("most_keys"),
            by=actor_of(request),
        )
    except InvalidInput as error:
        return await _client_page(request, client, status=400, problem=str(error), form=form)
    return _back(request, client, "updated")


async def disable_client(request: Request) -> Response:
    """Disable the client. Raises NotFound."""
    client = await addressed_client(request)
    await services_of(request).clients.disable(client.slug, by=actor_of(request))
    return _back(request, client, "disabled")


async def enable_client(request: Request) -> Response:
    """Enable the client. Raises NotFound."""
    client = await addressed_client(request)
    await services_of(request).clients.enable(client.slug, by=actor_of(request))
    return _back(request, client, "enabled")


async def remove_client(request: Request) -> Response:
    """Remove the client if its slug was typed to confirm. Raises NotFound."""
    client, form = await addressed_client(request), await read_form(request)
    if form.text("slug") != client.slug:
        problem = f"Nothing was removed: type {client.slug} to confirm"
        return await _client_page(request, client, status=400, problem=problem)
    await services_of(request).clients.remove(client.slug, by=actor_of(request))
    return redirect(request, f"{CLIENTS}?done=removed")


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
            return await _client_page(request, client, status=400, problem=str(error), new_connection=form)
        return redirect(request, f"{CONNECTIONS_PAGE}/{connection_id}?done=added")
    return redirect(request, f"{CONNECTIONS_PAGE}/{connection.id}?done=added")


def _back(request: Request, client: Client, done: str) -> Response:
    return redirect(request, f"{CLIENTS}/{client.slug}?done={done}")


async def _client_page(
    request: Request,
    client: Client,
    *,
    status: int = 200,
    problem: str = "",
    form: Form | None = None,
    new_connection: Form | None = None,
) -> Response:
    services = services_of(request)
    store, now = services.store, services.clock.now()
    totals = await store.totals.of_clients(
        [client.id], now=format_time(now), calls_since=format_time(LAST_DAY.begin(now))
    )
    if client.id not in totals:
        raise NotFound
    moment = format_time(now)
    connections = (await store.connections.of_client(client.id)).rows
    keys, _ = await store.key_pages.working(client.id, now=moment, query="", limit=PAGE_ROWS, offset=0)
    ended, ended_count = await store.key_pages.ended(client.id, now=moment, limit=MOST_ENDED_SHOWN)
    return page(
        request,
        "admin/client.html",
        status=status,
        problem=problem,
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
        client=client,
        form=form or _form_of(client),
        new_connection=new_connection or Form(),
        default_rate=in_words(services.limiter.default),
        total_rate=in_words(services.limiter.rate_of_client(await store.api_keys.limit_of(client))),
        default_most_keys=services.settings.keys.most_active,
        totals=totals[client.id],
        connections=paged(request, connections, _text_of),
        volume=await volume_of(services, client, connections),
        keys=keys,
        ended_keys=ended,
        ended_count=ended_count,
        users=await store.users.of_client(client.id),
    )


def _form_of(client: Client) -> Form:
    return Form(
        name=client.name,
        plan=client.plan,
        rate=validation.rate_text(client.rate) or "",
        rate_total=validation.rate_text(client.rate_total) or "",
        most_keys="" if client.most_keys is None else str(client.most_keys),
    )


def _text_of(connection: Connection) -> str:
    return f"{connection.label} {connection.connector_type} {connection.id} {connection.airbyte_id or ''}"
