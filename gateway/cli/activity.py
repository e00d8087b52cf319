"""`gateway activity`: show who did what."""

import click
import msgspec

from gateway.cli.options import json_option, only_client_option, settings_option, slugs_of, with_services
from gateway.cli.output import Row, print_rows
from gateway.models import ActivityEntry
from gateway.services import Services
from gateway.settings import Settings

ENTRIES = 50


@click.command()
@only_client_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=ENTRIES, show_default=True, help="Show so many.")
@json_option
@settings_option
def activity(*, settings: Settings, slug: str | None, limit: int, as_json: bool) -> None:
    """Show who did what, newest first.

    Example: gateway activity --client acme --limit 20
    """

    async def work(services: Services) -> list[Row]:
        store = services.store
        slugs = await slugs_of(services)
        if slug is None:
            return [_row(entry, slugs) for entry in await store.activity.all(limit=limit)]
        client = await store.clients.by_slug(slug)
        return [_row(entry, slugs) for entry in await store.activity.of_client(client.id, limit=limit)]

    print_rows(with_services(settings, work), as_json=as_json, empty="Nothing was done yet.")


def _row(entry: ActivityEntry, slugs: dict[int, str]) -> Row:
    """Return the entry with its client's slug: none for a removed client, whose name the subject has."""
    values = msgspec.structs.asdict(entry)
    return {
        "at": entry.at,
        "client": None if entry.client_id is None else slugs.get(entry.client_id),
        **{name: values[name] for name in ("actor", "action", "subject", "address", "request_id")},
    }
