"""`gateway webhook deliveries` and `send-again`: what was sent to a webhook, what it answered, one of it once more."""

import click
import msgspec

from gateway.cli.options import id_argument, json_option, settings_option, with_services
from gateway.cli.output import Row, print_record, print_rows
from gateway.errors import OperatorError
from gateway.models import Delivery
from gateway.services import Services
from gateway.settings import Settings
from gateway.times import format_time

DELIVERIES = 50
LARGEST_NUMBER = (1 << 63) - 1


@click.command()
@id_argument("webhook_id")
@click.option("--limit", type=click.IntRange(1, 10_000), default=DELIVERIES, show_default=True, help="Show so many.")
@click.option(
    "--before", type=click.IntRange(1, LARGEST_NUMBER), metavar="NUMBER", help="Show those before this number alone."
)
@json_option
@settings_option
def deliveries(*, settings: Settings, webhook_id: str, limit: int, before: int | None, as_json: bool) -> None:
    """Show what was sent to a webhook and what it answered, newest first.

    Example: gateway webhook deliveries whk_8sQd0fWq2LzR5tYx --limit 20
    """

    async def work(services: Services) -> list[Delivery]:
        record = await services.webhooks.endpoints.find(webhook_id)
        pages = services.store.delivery_pages
        return await pages.of_webhook(record.client_id, record.id, before=before, limit=limit)

    rows = [_row(each) for each in with_services(settings, work)]
    print_rows(rows, as_json=as_json, empty="Nothing was sent yet." if before is None else "There are no older ones.")


@click.command("send-again")
@id_argument("webhook_id")
@click.argument("event_id", metavar="EVENT")
@json_option
@settings_option
def send_again(*, settings: Settings, webhook_id: str, event_id: str, as_json: bool) -> None:
    """Send an event once more whose delivery has ended, by its id. Raises OperatorError if it cannot be.

    Example: gateway webhook send-again whk_8sQd0fWq2LzR5tYx evt_5d1f0c9a7b3e4f2a8c6d0e1b2f3a4c5d
    """

    async def work(services: Services) -> Row:
        record = await services.webhooks.endpoints.find(webhook_id)
        now = format_time(services.clock.now())
        if not await services.store.delivery_pages.send_again(record.client_id, record.id, event_id, now=now):
            raise OperatorError(
                f"the event {event_id!r} cannot be sent again: none of that id was sent to the webhook, it is still on "
                "its way, or the webhook is disabled"
            )
        return {"webhook": record.id, "event_id": event_id}

    row = with_services(settings, work)
    print_record(row, as_json=as_json, sentence=f"{event_id} is sent again by the gateway that serves.")


def _row(delivery: Delivery) -> Row:
    values = msgspec.structs.asdict(delivery)
    return {
        "number": delivery.number,
        "event": delivery.event_type,
        "event_id": delivery.event_id,
        "connection": delivery.connection_id,
        **{name: values[name] for name in ("event_at", "outcome", "attempts", "attempted_at", "next_at", "status")},
        "answer": delivery.excerpt or None,
        "error": delivery.error or None,
    }
