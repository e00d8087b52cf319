"""/dashboard/admin/connections/assign: assign to a client all of a workspace, or of a search, that no client has."""

import hashlib
from collections.abc import Iterable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.admin.clients import CLIENTS
from gateway.dashboard.admin.connections import assign_once, found_free
from gateway.dashboard.admin.offers import Offer, Offers, read_offers
from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.idempotent_forms import derived_id
from gateway.dashboard.paging import query_with
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import redirect
from gateway.errors import InvalidInput, OperatorError
from gateway.provisioning.assignment import MOST_ASSIGNED, Choice

SEEN_FIELD = "seen"
"""The field with the digest of the connections that the page showed: these are assigned, or none."""


async def show_assignment(request: Request) -> Response:
    """Show how many connections would be assigned, and which."""
    offers = await read_offers(request)
    return _assignment_page(request, offers, Form(client=offers.client.slug if offers.client else ""))


async def assign_all(request: Request) -> Response:
    """Assign them all, or none; the same form submitted again leads to the client."""
    form, offers = await read_form(request), await read_offers(request)
    if not _is_done(request, form, offers):
        try:
            await _assign(request, form, offers)
        except OperatorError as error:
            return _assignment_page(request, offers, form, status=400, problem=str(error))
    return redirect(request, f"{CLIENTS}/{form['client']}?done=assigned")


def _is_done(request: Request, form: Form, offers: Offers) -> bool:
    """Return whether this form was submitted before: then it made the ids of some connections."""
    return any(
        offer.connection is not None and offer.connection.id == derived_id(request, form, "conn", offer.upstream.id)
        for offer in offers.rows
    )


async def _assign(request: Request, form: Form, offers: Offers) -> None:
    """Assign what the search in the address finds. Raises InvalidInput, UnknownRecord, Duplicate."""
    if not form["client"]:
        raise InvalidInput("Choose the client to assign them to")
    found = found_free(request, offers)[:MOST_ASSIGNED]
    if form[SEEN_FIELD] != _digest(found):
        raise InvalidInput("the list has changed since the page was shown; nothing was assigned. Look at it again")
    choices = [
        Choice(
            offer.upstream,
            label=offer.label,
            connector_type=offer.connector_type,
            connection_id=derived_id(request, form, "conn", offer.upstream.id),
        )
        for offer in found
    ]
    await assign_once(request, form, choices, offers)


def _digest(offers: Iterable[Offer]) -> str:
    """Return SHA-256, in hex, over which connections of Airbyte these are, in any order."""
    return hashlib.sha256("\n".join(sorted(offer.upstream.id for offer in offers)).encode()).hexdigest()


def _assignment_page(request: Request, offers: Offers, form: Form, *, status: int = 200, problem: str = "") -> Response:
    found = found_free(request, offers)
    shown = found[:MOST_ASSIGNED]
    return page(
        request,
        "admin/assignment.html",
        status=status,
        problem=problem,
        form=form,
        offers=offers,
        found=shown,
        left=len(found) - len(shown),
        search=request.query_params.get("q", ""),
        query=partial(query_with, request),
        seen={SEEN_FIELD: _digest(shown)},
    )
