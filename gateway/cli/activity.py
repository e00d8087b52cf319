"""`gateway activity`: show who did what."""

import click
import msgspec

from gateway.cli.listing import listed
from gateway.cli.options import json_option, only_client_option, settings_option
from gateway.cli.output import Row, print_rows
from gateway.models import ActivityEntry
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
    rows = listed(
        settings,
        slug,
        of_client=lambda store, client_id: store.activity.of_client(client_id, limit=limit),
        of_all=lambda store: store.activity.all(limit=limit),
        row=_row,
    )
    print_rows(rows, as_json=as_json, empty="Nothing was done yet.")


def _row(entry: ActivityEntry, slug: str | None) -> Row:
    """Return the entry with its client's slug: none for a removed client, whose name the subject has."""
    values = msgspec.structs.asdict(entry)
    return {
        "at": entry.at,
        "client": slug,
        **{name: values[name] for name in ("actor", "action", "subject", "address", "request_id")},
    }
