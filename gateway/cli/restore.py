"""`gateway restore`: replace the database with a copy of a backup."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

import click
import msgspec

from gateway.cli.backup import contents_row, print_contents
from gateway.cli.options import confirm, environment_of_programs, json_option, settings_option, yes_option
from gateway.cli.output import print_json, print_rows
from gateway.cli.progress import progress_shown
from gateway.dashboard.humanize import size
from gateway.settings import Settings
from gateway.store import DatabaseLocation
from gateway.store.endings import Endings
from gateway.store.postgres.server import restoration_on_server
from gateway.store.progress import Progress
from gateway.store.sqlite.instance_lock import instance_lock
from gateway.store.sqlite.online_copy import Contents
from gateway.store.sqlite.restoration import restoration
from gateway.times import SystemClock


class Prepared(Protocol):
    """A backup that was read and compared with the database."""

    contents: Contents
    endings: Endings

    def install(self, now: datetime, progress: Progress, /) -> Path | None:
        """Replace the database; return where what was there is kept."""
        ...


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--revive-keys", is_flag=True, help="Let keys that were ended since the backup work again.")
@yes_option
@json_option
@settings_option
def restore(*, settings: Settings, path: Path, revive_keys: bool, yes: bool, as_json: bool) -> None:
    """Replace the database with a copy of the backup PATH. Stop the gateway first.

    The old database file is kept beside the new one; what a PostgreSQL database had is kept in a dump beside PATH.

    Everybody has to sign in again, with today's password and second factor. Keys that were revoked, expired or removed
    since the backup, or whose client was disabled, are listed and stay ended.

    Example: gateway restore /var/backups/gateway/gateway-20261125T063600.123Z.db
    """
    now = SystemClock().now()
    location = settings.database_location
    with _prepared(location, path, now, revive_keys=revive_keys) as prepared:
        if not as_json:
            _print_prepared(path, prepared.contents, prepared.endings)
        confirm(f"Put it in the place of {location}? {_fate(prepared.endings, revive_keys=revive_keys)}", yes=yes)
        with progress_shown() as progress:
            kept = prepared.install(now, progress)
    _print_result(location, path, prepared.contents, prepared.endings, kept, as_json=as_json)


@contextmanager
def _prepared(location: DatabaseLocation, path: Path, now: datetime, *, revive_keys: bool) -> Iterator[Prepared]:
    with ExitStack() as stack:
        if isinstance(location, Path):
            stack.enter_context(instance_lock(location))
        with progress_shown() as progress:
            prepared = stack.enter_context(
                _restoration(location, path, now, revive_keys=revive_keys, progress=progress)
            )
        yield prepared


def _restoration(
    location: DatabaseLocation, path: Path, now: datetime, *, revive_keys: bool, progress: Progress
) -> AbstractContextManager[Prepared]:
    if isinstance(location, Path):
        return restoration(location, path, now=now, revive_keys=revive_keys, progress=progress)
    environment = environment_of_programs()
    return restoration_on_server(
        location, path, now=now, environment=environment, revive_keys=revive_keys, progress=progress
    )


def _print_prepared(path: Path, contents: Contents, endings: Endings) -> None:
    click.echo(f"{path} is sound ({size(contents.bytes)}).", err=True)
    print_contents(contents, on_stderr=True)
    if endings.keys:
        click.echo("Keys that were ended since the backup:", err=True)
        rows = [msgspec.structs.asdict(key) for key in endings.keys]
        print_rows(rows, as_json=False, empty="", on_stderr=True)
    for email in endings.users:
        click.echo(f"{email} was removed since the backup, and gets no password: gateway user reset", err=True)
    if endings.lost_second_factors:
        click.echo(_lost(endings.lost_second_factors), err=True)


def _lost(people: int) -> str:
    who = "1 person has" if people == 1 else f"{people} people have"
    return (
        f"The backup is of a gateway without second factors, and {who} one today: it will be off, "
        "and the password alone signs in. Have it set up again."
    )


def _fate(endings: Endings, *, revive_keys: bool) -> str:
    """Say what becomes of keys that were ended since the backup."""
    if not endings.is_known:
        return "There is no database to compare it with: keys revoked since the backup will work again."
    if not endings.keys:
        return "No key was ended since the backup."
    return "The keys listed above will work again." if revive_keys else "The keys listed above stay ended."


def _print_result(
    location: DatabaseLocation, path: Path, contents: Contents, endings: Endings, kept: Path | None, *, as_json: bool
) -> None:
    if as_json:
        replaced = None if kept is None else str(kept)
        ended = {"ended_keys": [msgspec.to_builtins(key) for key in endings.keys], "compared": endings.is_known}
        ended["lost_second_factors"] = endings.lost_second_factors
        print_json({"database": str(location), **contents_row(contents), "replaced": replaced, **ended})
        return
    click.echo(f"Restored {location} from {path}.")
    print_contents(contents)
    if kept is not None:
        click.echo(f"The database that was there is kept as {kept}.")
