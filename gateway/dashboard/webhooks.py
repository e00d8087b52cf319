"""/dashboard/settings/webhooks, and below a client's page for admins: its webhooks, and adding one."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.addressed import addressed_client
from gateway.dashboard.client_token import require_allowed
from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.idempotent_forms import SHOWN_ONCE, derived_id, is_created
from gateway.dashboard.templating import page
from gateway.dashboard.visitor import actor_of, redirect, visitor_of
from gateway.dashboard.webhook_form import FIELDS, connections_of, events_of
from gateway.errors import Duplicate, InvalidInput, UnknownRecord
from gateway.models import Client
from gateway.services import services_of
from gateway.webhooks.endpoints import MOST_WEBHOOKS, NewWebhook

WEBHOOKS = "dashboard/settings/webhooks"


class WebhookOwner(msgspec.Struct, frozen=True):
    """A client, and the path from the root to the pages of its webhooks."""

    client: Client
    path: str


async def webhook_owner_of(request: Request) -> WebhookOwner:
    """Return the member's client, or for an admin the client in the address. Raises SignInNeeded, NotFound."""
    client = visitor_of(request).client
    if client is not None:
        return WebhookOwner(client, WEBHOOKS)
    client = await addressed_client(request)
    return WebhookOwner(client, f"dashboard/admin/clients/{client.slug}/webhooks")


async def take_webhook_form(request: Request, owner: WebhookOwner) -> None:
    """Take one of the tokens that members have for forms about webhooks; admins need none. Raises RateLimitExceeded."""
    if not visitor_of(request).user.is_admin:
        decision = await services_of(request).limiter.take_webhook_form(owner.client.id)
        require_allowed(decision, "changes and tests of webhooks")


async def show_webhooks(request: Request) -> Response:
    """Show the client's webhooks."""
    return await _webhooks_page(request, await webhook_owner_of(request))


async def add_webhook(request: Request) -> Response:
    """Add a webhook and show its secret."""
    owner, form = await webhook_owner_of(request), await read_form(request)
    await take_webhook_form(request, owner)
    endpoints = services_of(request).webhooks.endpoints
    webhook_id = derived_id(request, form, "whk")
    try:
        new = await endpoints.add(
            owner.client.slug,
            url=form["url"],
            events=events_of(form),
            connections=connections_of(form),
            client_id=owner.client.id,
            webhook_id=webhook_id,
            by=actor_of(request),
        )
    except (Duplicate, InvalidInput, UnknownRecord) as error:
        if await is_created(lambda found: endpoints.find(found, owner.client.id), webhook_id):
            return redirect(request, f"{owner.path}/{webhook_id}?done={SHOWN_ONCE}")
        return await _webhooks_page(request, owner, status=400, problem=str(error), form=form)
    return show_secret(request, owner, new)


def show_secret(request: Request, owner: WebhookOwner, new: NewWebhook, *, is_rotated: bool = False) -> Response:
    """Return the page with a secret in full: the answer to the form itself, because it is shown once."""
    return page(
        request,
        "new-webhook.html",
        client=owner.client,
        path=owner.path,
        webhook=new.record,
        secret=new.secret,
        is_rotated=is_rotated,
        next_path=f"{owner.path}/{new.record.id}?done={SHOWN_ONCE}",
    )


async def _webhooks_page(
    request: Request, owner: WebhookOwner, *, status: int = 200, problem: str = "", form: Form | None = None
) -> Response:
    store = services_of(request).store
    return page(
        request,
        "webhooks.html",
        status=status,
        problem=problem,
        form=form or Form(),
        client=owner.client,
        path=owner.path,
        webhooks=await store.webhooks.of_client(owner.client.id),
        most=MOST_WEBHOOKS,
        fields=FIELDS,
        connections=(await store.connections.of_client(owner.client.id)).rows,
    )
