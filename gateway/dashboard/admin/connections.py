"""/dashboard/admin/connections: Airbyte's connections with their clients, and assigning those that are ticked."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.admin.offers import OFFER_ROWS, SORTED_BY, Offer, Offers, read_offers, text_of
from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.idempotent_forms import derived_id, is_created
from gateway.dashboard.paging import LONGEST_QUERY, paged, query_with
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import actor_of, redirect
from gateway.errors import Duplicate, InvalidInput, OperatorError
from gateway.provisioning.assignment import Choice
from gateway.services import services_of

CONNECTIONS_PAGE = "dashboard/admin/connections"
NOTICES = {
    "assigned": "The client sees the connections from now on. Their last syncs appear as soon as Airbyte told them.",
}
TICK_FIELD, LABEL_FIELD, TYPE_FIELD = "tick-", "label-", "type-"
"""Before an id of Airbyte's: the names of the box that is ticked, and of what the client is to see."""
TURN = "turn"
"""The name of the buttons that show the list in another order or another page of it: the ticks are sent, and kept."""


async def show_connections(request: Request) -> Response:
    """Show the connections of an Airbyte workspace."""
    offers = await read_offers(request)
    return await _connections_page(request, offers, Form(client=offers.client.slug if offers.client else ""))


async def assign_ticked(request: Request) -> Response:
    """Assign what is ticked to a client, all or nothing; or show another page of the list, with the ticks."""
    form, offers = await read_form(request), await read_offers(request)
    if form[TURN]:
        return await _connections_page(request, offers, form)
    try:
        choices = _choices(request, form, offers)
        await assign_once(request, form, choices, offers)
    except OperatorError as error:
        return await _connections_page(request, offers, form, status=400, problem=str(error))
    return redirect(request, f"{CONNECTIONS_PAGE}?{query_with(request, done='assigned')}")


async def assign_once(request: Request, form: Form, choices: list[Choice], offers: Offers) -> None:
    """Assign them unless the same form did so before. Raises InvalidInput, UnknownRecord, Duplicate."""
    services = services_of(request)
    try:
        _require_free(choices, offers)
        await services.assignment.assign(form["client"], choices, by=actor_of(request))
    except Duplicate:
        if not await is_created(services.store.connections.any_by_id, choices[0].connection_id):
            raise


def _choices(request: Request, form: Form, offers: Offers) -> list[Choice]:
    """Return all that is ticked, as the client is to see it. Raises InvalidInput."""
    ticked = _ticked(form)
    if not ticked:
        raise InvalidInput("Tick the connections to assign")
    if not form["client"]:
        raise InvalidInput("Choose the client to assign them to")
    if not offers.is_read:
        raise InvalidInput("Airbyte's list is not read yet; nothing was changed. Try again in a moment")
    known = {offer.upstream.id: offer for offer in offers.rows}
    if unknown := [each for each in ticked if each not in known]:
        raise InvalidInput(f"the list has no connection {unknown[0]}; nothing was changed")
    return [
        Choice(
            known[each].upstream,
            label=form.get(f"{LABEL_FIELD}{each}", known[each].label),
            connector_type=form.get(f"{TYPE_FIELD}{each}", known[each].connector_type),
            connection_id=derived_id(request, form, "conn", each),
        )
        for each in ticked
    ]


def _require_free(choices: list[Choice], offers: Offers) -> None:
    """Raise Duplicate, with the label, for a choice that is a client's already."""
    free = {offer.upstream.id for offer in offers.free}
    for choice in choices:
        if choice.upstream.id not in free:
            raise Duplicate(f"{choice.label} belongs to a client already; nothing was changed")


def _ticked(form: Form) -> list[str]:
    return [name.removeprefix(TICK_FIELD) for name in form if name.startswith(TICK_FIELD)]


async def _connections_page(
    request: Request, offers: Offers, form: Form, *, status: int = 200, problem: str = ""
) -> Response:
    only_free = request.query_params.get("show") == "free"
    listed = paged(request, offers.free if only_free else offers.rows, text_of, orders=SORTED_BY, size=OFFER_ROWS)
    return page(
        request,
        "admin/connections.html",
        status=status,
        problem=problem,
        notice=NOTICES.get(request.query_params.get("done", ""), ""),
        form=form,
        offers=offers,
        upstream=offers.upstream,
        query=partial(query_with, request),
        page=listed,
        only_free=only_free,
        found_free=len(found_free(request, offers)),
        carried=_carried(form, offers, {offer.upstream.id for offer in listed.rows}),
        turn=TURN,
        counts=await services_of(request).store.connection_pages.counts(),
    )


def found_free(request: Request, offers: Offers) -> list[Offer]:
    """Return what no client has and the search in the address finds."""
    query = request.query_params.get("q", "").strip()[:LONGEST_QUERY].casefold()
    return [offer for offer in offers.free if query in text_of(offer).casefold()]


def _carried(form: Form, offers: Offers, shown: set[str]) -> dict[str, str]:
    """Return the fields that keep what is ticked on other pages, as few as can be: a form has its bounds."""
    usual = {offer.upstream.id: (offer.label, offer.connector_type) for offer in offers.free}
    carried: dict[str, str] = {}
    for each in _ticked(form):
        if each in shown or each not in usual:
            continue
        carried[f"{TICK_FIELD}{each}"] = "1"
        for prefix, value in zip((LABEL_FIELD, TYPE_FIELD), usual[each], strict=True):
            if form.get(f"{prefix}{each}", value) != value:
                carried[f"{prefix}{each}"] = form[f"{prefix}{each}"]
    return carried
