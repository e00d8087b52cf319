"""`gateway webhook …`: add, list, update, test, rotate, enable and remove webhooks of clients; their deliveries."""

import asyncio
from collections.abc import Awaitable, Callable

import click

from gateway.cli.options import (
    client_option,
    confirm,
    id_argument,
    json_option,
    only_client_option,
    settings_option,
    slugs_of,
    with_services,
    yes_option,
)
from gateway.cli.output import Row, print_json, print_record, print_rows, require_output
from gateway.cli.webhook_deliveries import deliveries, send_again
from gateway.errors import OperatorError
from gateway.models import EVENT_TYPES, Delivery, EventType, Webhook
from gateway.services import Services
from gateway.settings import Settings
from gateway.webhooks.endpoints import NewWebhook
from gateway.webhooks.timings import WebhookTimings


@click.group()
def webhook() -> None:
    """Manage webhooks: addresses of clients that are told of events."""


event_option = click.option(
    "--event",
    "events",
    multiple=True,
    type=click.Choice(EVENT_TYPES),
    help="Tell of this event alone. Can be given several times.",
)
connection_option = click.option(
    "--connection",
    "connections",
    multiple=True,
    metavar="ID",
    help="Tell of this connection alone. Can be given several times.",
)
webhook.add_command(deliveries)
webhook.add_command(send_again)


def _row(record: Webhook, slug: str) -> Row:
    return {
        "id": record.id,
        "client": slug,
        "url": record.url,
        "events": list(record.events),
        "connections": list(record.connections),
        "created_at": record.created_at,
        "last_success_at": record.last_success_at,
        "failing_since": record.failing_since,
        "overflowed_at": record.overflowed_at,
        "disabled_at": record.disabled_at,
        "disabled_reason": record.disabled_reason,
    }


def _show_new(new: NewWebhook, slug: str, *, as_json: bool, otherwise: str) -> None:
    """Print a new secret, alone on stdout unless as JSON. Raises OperatorError, which says `otherwise`."""
    try:
        if as_json:
            print_json({"id": new.record.id, "secret": new.secret, **_row(new.record, slug)})
        else:
            click.echo(new.secret)
            click.echo(f"This is the secret of {new.record.id}. It is shown only now: keep it safe.", err=True)
    except OSError as error:
        raise OperatorError(f"the secret cannot be shown ({error.strerror}); {otherwise}") from None


@webhook.command()
@client_option
@click.option("--url", required=True, help="Where to send events, such as https://example.com/hooks.")
@event_option
@connection_option
@json_option
@settings_option
def add(
    *, settings: Settings, slug: str, url: str, events: tuple[str, ...], connections: tuple[str, ...], as_json: bool
) -> None:
    """Add a webhook, told of everything unless you choose, and print its secret, once.

    Example: gateway webhook add --client acme --url https://example.com/hooks --event sync.failed
    """
    require_output()
    new = with_services(
        settings,
        lambda services: services.webhooks.endpoints.add(slug, url=url, events=events, connections=connections),
    )
    again = f"make another with: gateway webhook rotate {new.record.id}"
    _show_new(new, slug, as_json=as_json, otherwise=again)


@webhook.command("list")
@only_client_option
@json_option
@settings_option
def list_webhooks(*, settings: Settings, slug: str | None, as_json: bool) -> None:
    """List webhooks, never their secrets.

    Example: gateway webhook list --client acme
    """

    async def work(services: Services) -> list[Row]:
        webhooks = services.store.webhooks
        if slug is not None:
            client = await services.store.clients.by_slug(slug)
            return [_row(record, slug) for record in await webhooks.of_client(client.id)]
        slugs = await slugs_of(services)
        return [_row(record, slugs[record.client_id]) for record in await webhooks.all()]

    rows = with_services(settings, work)
    print_rows(rows, as_json=as_json, empty="No webhooks yet; see: gateway webhook add --help")


@webhook.command()
@id_argument("webhook_id")
@click.option("--url", help="Send events there from now on, such as https://example.com/hooks.")
@event_option
@click.option("--all-events", is_flag=True, help="Tell of all events.")
@connection_option
@click.option("--all-connections", is_flag=True, help="Tell of all connections.")
@json_option
@settings_option
def update(
    *,
    settings: Settings,
    webhook_id: str,
    url: str | None,
    events: tuple[EventType, ...],
    all_events: bool,
    connections: tuple[str, ...],
    all_connections: bool,
    as_json: bool,
) -> None:
    """Change where a webhook leads and what it is told of; what is not given stays as it is, and so does its secret.

    Example: gateway webhook update whk_8sQd0fWq2LzR5tYx --url https://example.com/new --all-events
    """
    if (events and all_events) or (connections and all_connections):
        raise click.UsageError("tell either some events or connections, or all of them")
    if url is None and not (events or all_events or connections or all_connections):
        raise click.UsageError("tell at least one of --url, --event, --all-events, --connection and --all-connections")

    async def work(services: Services) -> Row:
        record = await services.webhooks.endpoints.update(
            webhook_id,
            url=url,
            events=events if events or all_events else None,
            connections=connections if connections or all_connections else None,
        )
        return _row(record, (await slugs_of(services))[record.client_id])

    row = with_services(settings, work)
    print_record(row, as_json=as_json, sentence=f"Updated {row['id']}.")


@webhook.command()
@id_argument("webhook_id")
@json_option
@settings_option
def test(*, settings: Settings, webhook_id: str, as_json: bool) -> None:
    """Have a test event sent by the gateway that serves, and wait for the answer. Raises OperatorError without one.

    Example: gateway webhook test whk_8sQd0fWq2LzR5tYx
    """

    async def work(services: Services) -> Delivery:
        number = await services.webhooks.endpoints.test(webhook_id)
        record = await services.webhooks.endpoints.find(webhook_id)

        async def look() -> Delivery | None:
            rows = await services.store.delivery_pages.of_webhook(
                record.client_id, record.id, before=number + 1, limit=1
            )
            return next((row for row in rows if row.number == number), None)

        return await _answered(look, services.timings.webhooks)

    delivery = with_services(settings, work)
    if not delivery.attempts:
        raise OperatorError(
            "the test has no answer yet: no gateway runs (gateway serve), or the receiver is slow with other events; "
            f"see: gateway webhook deliveries {webhook_id}"
        )
    answer = delivery.error or f"status {delivery.status}"
    if delivery.outcome != "delivered":
        raise OperatorError(f"the receiver did not take the test: {answer}")
    print_record(
        {"event": delivery.event_id, "status": delivery.status, "outcome": delivery.outcome},
        as_json=as_json,
        sentence=f"The receiver took the test: {answer}.",
    )


async def _answered(look: Callable[[], Awaitable[Delivery | None]], timings: WebhookTimings) -> Delivery:
    """Look until the delivery was attempted, as long as a test waits. Raises OperatorError if it is gone."""
    for _ in range(int(timings.test / timings.test_look)):
        delivery = await look()
        if delivery is None:
            break
        if delivery.attempts:
            return delivery
        await asyncio.sleep(timings.test_look)
    delivery = await look()
    if delivery is None:
        raise OperatorError("the webhook was removed")
    return delivery


@webhook.command()
@id_argument("webhook_id")
@json_option
@settings_option
def rotate(*, settings: Settings, webhook_id: str, as_json: bool) -> None:
    """Give a webhook a new secret and print it, once. For a day the old one signs too.

    Example: gateway webhook rotate whk_8sQd0fWq2LzR5tYx
    """

    async def work(services: Services) -> tuple[NewWebhook, str]:
        new = await services.webhooks.endpoints.rotate(webhook_id)
        return new, (await slugs_of(services))[new.record.client_id]

    require_output()
    new, slug = with_services(settings, work)
    _show_new(new, slug, as_json=as_json, otherwise="the old one signs for a day; rotate again")


@webhook.command()
@id_argument("webhook_id")
@json_option
@settings_option
def enable(*, settings: Settings, webhook_id: str, as_json: bool) -> None:
    """Tell a webhook of events again that was disabled because it failed for days, or answered 410.

    Example: gateway webhook enable whk_8sQd0fWq2LzR5tYx
    """

    async def work(services: Services) -> Row:
        record = await services.webhooks.endpoints.enable(webhook_id)
        return _row(record, (await slugs_of(services))[record.client_id])

    row = with_services(settings, work)
    print_record(row, as_json=as_json, sentence=f"Enabled {row['id']}.")


@webhook.command()
@id_argument("webhook_id")
@yes_option
@json_option
@settings_option
def remove(*, settings: Settings, webhook_id: str, yes: bool, as_json: bool) -> None:
    """Remove a webhook, with its deliveries.

    Example: gateway webhook remove whk_8sQd0fWq2LzR5tYx
    """

    async def work(services: Services) -> Row:
        record = await services.webhooks.endpoints.find(webhook_id)
        slug = (await slugs_of(services))[record.client_id]
        confirm(f"Remove the webhook {record.id} of {slug}?", yes=yes)
        return _row(await services.webhooks.endpoints.remove(webhook_id), slug)

    row = with_services(settings, work)
    print_record(row, as_json=as_json, sentence=f"Removed {row['id']}.")
