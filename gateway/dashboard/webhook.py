"""/dashboard/settings/webhooks/ID, and below a client's page: one webhook, its deliveries, and what is done with it."""

from collections.abc import Awaitable, Iterable
from datetime import datetime, timedelta
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.forms import Form, read_form
from gateway.dashboard.idempotent_forms import SHOWN_ONCE
from gateway.dashboard.sealed_number import before_of, sealed_number
from gateway.dashboard.templating import page
from gateway.dashboard.timings import PageTimings
from gateway.dashboard.visitor import actor_of, redirect
from gateway.dashboard.webhook_form import FIELDS, connections_of, events_of, form_of, offers
from gateway.dashboard.webhooks import WebhookOwner, show_secret, take_webhook_form, webhook_owner_of
from gateway.errors import InvalidInput, NotFound, UnknownRecord
from gateway.models import Delivery, Webhook
from gateway.services import services_of
from gateway.store.tables.waiting_deliveries import MOST_EVENTS_WAITING
from gateway.times import format_time

DELIVERY_ROWS = 20
NOTICES = {
    "changed": "The webhook was changed.",
    "tested": "A test event is on its way. Its answer is shown below; if it is not, reload the page.",
    "enabled": "The webhook gets events again.",
    "again": "The event is sent again.",
}
NOT_AGAIN = "This event cannot be sent again: it is still on its way, or the webhook is disabled."
SENT_SOON = timedelta(seconds=10)
"""Until the next attempt: who has just seen one fail still waits for that."""

Found = TypeVar("Found")


async def show_webhook(request: Request, timings: PageTimings) -> Response:
    """Show one webhook. Raises NotFound, for another client's as for none."""
    owner = await webhook_owner_of(request)
    return await _webhook_page(request, owner, live_seconds=timings.reload_delivery)


async def update_webhook(request: Request) -> Response:
    """Change where the webhook leads and what it is told of. Raises NotFound as `show_webhook`."""
    owner, form = await webhook_owner_of(request), await read_form(request)
    await take_webhook_form(request, owner)
    webhooks = services_of(request).webhooks
    change = webhooks.endpoints.update(
        request.path_params["webhook"],
        url=form["url"],
        events=events_of(form),
        connections=connections_of(form),
        client_id=owner.client.id,
        by=actor_of(request),
    )
    try:
        await _found(change)
    except InvalidInput as error:
        return await _webhook_page(request, owner, status=400, problem=str(error), changed=form)
    webhooks.delivery.wake()
    return _back(request, owner, "changed")


async def test_webhook(request: Request) -> Response:
    """Have a test event sent. Raises NotFound as `show_webhook`."""
    owner = await webhook_owner_of(request)
    await take_webhook_form(request, owner)
    webhooks = services_of(request).webhooks
    try:
        await _found(webhooks.endpoints.test(request.path_params["webhook"], client_id=owner.client.id))
    except InvalidInput as error:
        return await _webhook_page(request, owner, status=400, problem=str(error))
    webhooks.delivery.wake()
    return _back(request, owner, "tested")


async def rotate_webhook(request: Request) -> Response:
    """Give the webhook a new secret and show it. Raises NotFound as `show_webhook`."""
    owner = await webhook_owner_of(request)
    await take_webhook_form(request, owner)
    endpoints = services_of(request).webhooks.endpoints
    new = await _found(
        endpoints.rotate(request.path_params["webhook"], client_id=owner.client.id, by=actor_of(request))
    )
    return show_secret(request, owner, new, is_rotated=True)


async def enable_webhook(request: Request) -> Response:
    """Have a disabled webhook told of events again. Raises NotFound as `show_webhook`."""
    owner = await webhook_owner_of(request)
    await take_webhook_form(request, owner)
    endpoints = services_of(request).webhooks.endpoints
    await _found(endpoints.enable(request.path_params["webhook"], client_id=owner.client.id, by=actor_of(request)))
    return _back(request, owner, "enabled")


async def remove_webhook(request: Request) -> Response:
    """Remove the webhook. Raises NotFound as `show_webhook`."""
    owner = await webhook_owner_of(request)
    endpoints = services_of(request).webhooks.endpoints
    await _found(endpoints.remove(request.path_params["webhook"], client_id=owner.client.id, by=actor_of(request)))
    return redirect(request, owner.path)


async def send_again(request: Request) -> Response:
    """Send the event of an ended delivery once more. Raises NotFound as `show_webhook`."""
    owner, form = await webhook_owner_of(request), await read_form(request)
    await take_webhook_form(request, owner)
    services = services_of(request)
    webhook = await _webhook(request, owner)
    is_sent = await services.store.delivery_pages.send_again(
        owner.client.id, webhook.id, form["event"], now=format_time(services.clock.now())
    )
    if not is_sent:
        return await _webhook_page(request, owner, status=400, problem=NOT_AGAIN)
    services.webhooks.delivery.wake()
    return _back(request, owner, "again")


async def _webhook(request: Request, owner: WebhookOwner) -> Webhook:
    endpoints = services_of(request).webhooks.endpoints
    return await _found(endpoints.find(request.path_params["webhook"], owner.client.id))


async def _found(work: Awaitable[Found]) -> Found:
    """Return what the work does. Raises NotFound where it finds no webhook."""
    try:
        return await work
    except UnknownRecord:
        raise NotFound from None


def _back(request: Request, owner: WebhookOwner, done: str) -> Response:
    return redirect(request, f"{owner.path}/{request.path_params['webhook']}?done={done}")


async def _webhook_page(
    request: Request,
    owner: WebhookOwner,
    *,
    status: int = 200,
    problem: str = "",
    changed: Form | None = None,
    live_seconds: int | None = None,
) -> Response:
    """Return the page; `changed` is a form that was refused."""
    services = services_of(request)
    store, kept = services.store, services.timings.retention.events
    webhook = await _webhook(request, owner)
    shown, older = await _deliveries(request, owner, webhook)
    connections = await store.connections.of_client(owner.client.id)
    done = request.query_params.get("done", "")
    return page(
        request,
        "webhook.html",
        status=status,
        problem=problem,
        notice=NOTICES.get(done, ""),
        client=owner.client,
        path=owner.path,
        webhook=webhook,
        deliveries=shown,
        live_seconds=live_seconds if _is_any_sent_soon(shown, services.clock.now()) else None,
        older=older,
        is_newest=await before_of(request) is None,
        kept_days=kept.days,
        has_overflowed=(webhook.overflowed_at or "") > format_time(services.clock.now() - kept),
        most_waiting=MOST_EVENTS_WAITING,
        labels={each.id: each.label for each in connections.rows},
        form=form_of(webhook) if changed is None else changed,
        is_refused=changed is not None,
        connections=offers(connections.rows, webhook),
        fields=FIELDS,
        was_shown=done == SHOWN_ONCE,
    )


async def _deliveries(request: Request, owner: WebhookOwner, webhook: Webhook) -> tuple[list[Delivery], str]:
    """Return the deliveries that the address asks for, and what the address of older ones says; empty for none."""
    found = await services_of(request).store.delivery_pages.of_webhook(
        owner.client.id, webhook.id, before=await before_of(request), limit=DELIVERY_ROWS + 1
    )
    shown = found[:DELIVERY_ROWS]
    return shown, await sealed_number(request, shown[-1].number if len(found) > len(shown) else None)


def _is_any_sent_soon(deliveries: Iterable[Delivery], now: datetime) -> bool:
    """Return whether one of the deliveries is being sent, or is about to be."""
    soon = format_time(now + SENT_SOON)
    return any(each.next_at is not None and each.next_at <= soon for each in deliveries)
