"""/dashboard/admin/connections: Airbyte's connections with their clients, and giving them to clients."""

import functools

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway import validation
from gateway.dashboard.admin.connections_of_clients import Owned, owned_connections, unusable_counts
from gateway.dashboard.admin.upstream import read_upstream
from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.idempotent_forms import derived_id, is_created
from gateway.dashboard.paging import paged, query_with
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import actor_of, redirect
from gateway.errors import Duplicate, InvalidInput, OperatorError
from gateway.models import Client, Connection
from gateway.provisioning.discovery import UpstreamConnection
from gateway.provisioning.mapping import label_from
from gateway.services import services_of

CONNECTIONS_PAGE = "dashboard/admin/connections"
NOTICES = {
    "given": "The client sees the connections from now on.",
    "unchecked": "The client sees the connections from now on. Airbyte did not answer for all of them. "
    "Their state is read as soon as it answers.",
}
TICK = "tick-"


class Choice(msgspec.Struct, frozen=True):
    """One of Airbyte's connections that was ticked, and what the client is to see of it."""

    airbyte_id: str
    label: str
    connector_type: str


class Offer(msgspec.Struct, frozen=True):
    """A connection in Airbyte, the label it would get, and our connection and its client, None while it has none."""

    upstream: UpstreamConnection
    label: str
    connection: Connection | None
    client: Client | None


async def show_connections(request: Request) -> Response:
    """Show the connections of an Airbyte workspace."""
    return await _connections_page(request)


async def give_connections(request: Request) -> Response:
    """Give the ticked connections to a client. Those given before a failure stay given."""
    form = await read_form(request)
    try:
        is_checked = await _give(request, form)
    except OperatorError as error:
        return await _connections_page(request, status=400, problem=str(error), form=form)
    done = "given" if is_checked else "unchecked"
    return redirect(request, f"{CONNECTIONS_PAGE}?{query_with(request, done=done)}")


async def _give(request: Request, form: Form) -> bool:
    """Give each, unless the same form did so before; return whether Airbyte could be asked about all of them.

    Raises InvalidInput, UnknownRecord, Duplicate.
    """
    services, choices = services_of(request), _choices(form)
    ids = {choice.airbyte_id: derived_id(request, form, "conn", choice.airbyte_id) for choice in choices}
    taken = await services.store.connections.mapped_airbyte_ids()
    find = services.store.connections.any_by_id
    for choice in choices:
        if choice.airbyte_id in taken and not await is_created(find, ids[choice.airbyte_id]):
            raise Duplicate(f"{choice.label} belongs to a client already; nothing was changed")
    is_checked = True
    for number, choice in enumerate(choices):
        try:
            mapped = await services.connections.add(
                form["client"],
                connector_type=choice.connector_type,
                label=choice.label,
                airbyte_id=choice.airbyte_id,
                connection_id=ids[choice.airbyte_id],
                by=actor_of(request),
            )
        except OperatorError as error:
            if await is_created(find, ids[choice.airbyte_id]):
                continue
            raise InvalidInput(f"{choice.label}: {error}. Given before that: {number}") from error
        is_checked = is_checked and mapped.warning is None
    return is_checked


def _choices(form: Form) -> list[Choice]:
    """Return all that is ticked. Raises InvalidInput unless each can be given as it is."""
    ticked = [name.removeprefix(TICK) for name in form if name.startswith(TICK)]
    if not ticked:
        raise InvalidInput("Tick the connections to give")
    if not form["client"]:
        raise InvalidInput("Choose the client to give them to")
    choices = [Choice(each, form.text(f"label-{each}"), form.text(f"type-{each}")) for each in ticked]
    for choice in choices:
        validation.text("each label", choice.label)
        validation.slug(f"the connector type of {choice.label}", choice.connector_type)
    return choices


async def _connections_page(
    request: Request, *, status: int = 200, problem: str = "", form: Form | None = None
) -> Response:
    services = services_of(request)
    upstream = await read_upstream(request)
    owned = await owned_connections(services)
    by_airbyte_id = {each.connection.airbyte_id: each for each in owned}
    offers = [
        _offer(row, by_airbyte_id.get(row.id)) for row in (upstream.connections.rows if upstream.connections else ())
    ]
    free = [offer for offer in offers if offer.connection is None]
    only_free = request.query_params.get("show") == "free"
    return page(
        request,
        "admin/connections.html",
        status=status,
        problem=problem,
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
        form=form or Form(client=request.query_params.get("client", "")),
        upstream=upstream,
        query=functools.partial(query_with, request),
        page=paged(request, free if only_free else offers, _text_of_offer),
        only_free=only_free,
        counts=(len(offers), len(free)),
        unusable_counts=unusable_counts(owned),
        clients=await services.store.clients.all(),
    )


def _offer(upstream: UpstreamConnection, owned: Owned | None) -> Offer:
    return Offer(
        upstream,
        label=label_from(upstream.name),
        connection=owned.connection if owned else None,
        client=owned.client if owned else None,
    )


def _text_of_offer(offer: Offer) -> str:
    given = f"{offer.client.name} {offer.client.slug}" if offer.client else ""
    return f"{offer.upstream.name} {offer.upstream.connector_type} {offer.upstream.id} {given}"
