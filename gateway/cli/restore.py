"""`gateway restore`: replace the database with a copy of a backup."""

from pathlib import Path

import click

from gateway.cli.backup import contents_row, print_contents
from gateway.cli.options import confirm, environment_of_programs, json_option, settings_option, yes_option
from gateway.cli.output import print_json
from gateway.dashboard.humanize import size
from gateway.settings import Settings
from gateway.store import DatabaseLocation
from gateway.store.postgres.server import restore_server
from gateway.store.sqlite.instance_lock import instance_lock
from gateway.store.sqlite.online_copy import Contents
from gateway.store.sqlite.restoration import restoration
from gateway.times import SystemClock


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@yes_option
@json_option
@settings_option
def restore(*, settings: Settings, path: Path, yes: bool, as_json: bool) -> None:
    """Replace the database with a copy of the backup PATH. Stop the gateway first.

    The old database file is kept beside the new one; what a PostgreSQL database had is kept in a dump beside PATH.

    Whatever was done after the backup is undone: keys that were revoked since then work again.

    Example: gateway restore /var/backups/gateway/gateway-20261125T063600.123Z.db
    """
    if not settings.database.is_file:
        _restore_server(settings, path, yes=yes, as_json=as_json)
        return
    database = settings.database_path
    with instance_lock(database), restoration(database, path) as prepared:
        if not (yes or as_json):
            click.echo(f"{path} is sound ({size(prepared.contents.bytes)}).", err=True)
            print_contents(prepared.contents, on_stderr=True)
        confirm(f"Put it in the place of {database}? Keys revoked since the backup will work again.", yes=yes)
        kept = prepared.install(SystemClock().now())
    _print_result(database, path, prepared.contents, kept, as_json=as_json)


def _restore_server(settings: Settings, path: Path, *, yes: bool, as_json: bool) -> None:
    url = settings.database.url
    confirm(f"Put {path} in the place of all in {url}? Keys revoked since the backup will work again.", yes=yes)
    contents, kept = restore_server(url, path, now=SystemClock().now(), environment=environment_of_programs())
    _print_result(url, path, contents, kept, as_json=as_json)


def _print_result(
    location: DatabaseLocation, path: Path, contents: Contents, kept: Path | None, *, as_json: bool
) -> None:
    if as_json:
        replaced = None if kept is None else str(kept)
        print_json({"database": str(location), **contents_row(contents), "replaced": replaced})
        return
    click.echo(f"Restored {location} from {path}.")
    print_contents(contents)
    if kept is not None:
        click.echo(f"The database that was there is kept as {kept}.")
