"""`gateway backup`: copy the database to a file, also while it is served."""

from pathlib import Path

import click

from gateway.cli.options import environment_of_programs, json_option, settings_option
from gateway.cli.output import Row, print_json, print_rows
from gateway.cli.progress import progress_shown
from gateway.dashboard.humanize import size
from gateway.settings import Settings
from gateway.store.backup import Backup, back_up
from gateway.store.postgres.server import back_up_server
from gateway.store.sqlite.online_copy import Contents
from gateway.times import SystemClock


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    help="Keep so many in the folder PATH; delete older ones. Default: all.",
)
@json_option
@settings_option
def backup(*, settings: Settings, path: Path, keep: int | None, as_json: bool) -> None:
    """Copy the database, also while it is served, to the new file PATH.

    If PATH is a folder, to a new file in it that is named after the time. The copy is whole, verified, safe on disk
    and readable by its owner only. A PostgreSQL database is dumped by pg_dump, which has to be installed.

    Example: gateway backup /var/backups/gateway --keep 14
    """
    if keep is not None and not path.is_dir():
        raise click.UsageError("--keep needs PATH to be a folder")
    made = _back_up(settings, path, keep)
    if as_json:
        removed = [str(old) for old in made.removed]
        print_json({"path": str(made.path), **contents_row(made.contents), "removed": removed})
        return
    click.echo(f"Backed up to {made.path} ({size(made.contents.bytes)}).")
    print_contents(made.contents)
    for old in made.removed:
        click.echo(f"Removed {old}.")


def _back_up(settings: Settings, path: Path, keep: int | None) -> Backup:
    now = SystemClock().now()
    with progress_shown() as progress:
        if settings.database.is_file:
            return back_up(settings.database_path, path, now=now, keep=keep, progress=progress)
        environment = environment_of_programs()
        return back_up_server(
            settings.database.url, path, now=now, keep=keep, environment=environment, progress=progress
        )


def contents_row(contents: Contents) -> Row:
    """Return what a backup holds, as JSON shows it."""
    return {"bytes": contents.bytes, "version": contents.version, "rows": contents.rows}


def print_contents(contents: Contents, *, on_stderr: bool = False) -> None:
    """Print how many rows each table has."""
    rows = [{"table": table, "rows": count} for table, count in contents.rows.items()]
    print_rows(rows, as_json=False, empty="", on_stderr=on_stderr)
