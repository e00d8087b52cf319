"""`gateway migrate`: bring a database of an older gateway up to date."""

from pathlib import Path

import click
import structlog

from gateway.cli.options import json_option, run, settings_option
from gateway.cli.output import print_record
from gateway.cli.progress import progress_shown
from gateway.settings import Settings
from gateway.store import DatabaseLocation
from gateway.store.migration import Migrated, is_outdated, read_steps
from gateway.store.migration import migrate as migrate_database
from gateway.store.postgres.server import migrate_server
from gateway.store.progress import Progress
from gateway.store.sqlite.file_format import SCHEMA_VERSION
from gateway.store.sqlite.instance_lock import instance_lock
from gateway.times import SystemClock

log = structlog.get_logger()


@click.command()
@json_option
@settings_option
def migrate(*, settings: Settings, as_json: bool) -> None:
    """Bring a database of an older gateway up to date, as serve does at its start.

    An SQLite file is copied first, and the copy verified. A PostgreSQL database is changed in one transaction; back it
    up first if an older gateway is to use it again.

    Example: gateway migrate --settings /etc/gateway/settings.toml
    """
    location = settings.database_location
    with progress_shown() as progress:
        done = _migrated(location, progress)
    record = {
        "database": str(location),
        "before": done.before if done else SCHEMA_VERSION,
        "after": done.after if done else SCHEMA_VERSION,
        "copy": str(done.copy) if done and done.copy else None,
    }
    sentence = _sentence(location, done) if done else f"{location} is up to date."
    print_record(record, as_json=as_json, sentence=sentence)


def migrate_at_start(location: DatabaseLocation, progress: Progress) -> None:
    """Migrate the database before `serve` opens it, unless it is up to date. Raises DatabaseRefused."""
    done = _migrated(location, progress)
    if done is not None:
        kept = {"kept_as": str(done.copy)} if done.copy else {}
        log.warning("database_migrated", database=str(location), before=done.before, after=done.after, **kept)


def _migrated(location: DatabaseLocation, progress: Progress) -> Migrated | None:
    steps = read_steps()
    if not isinstance(location, Path):
        return run(migrate_server(location, steps, progress=progress))
    if not is_outdated(location, steps):
        return None
    with instance_lock(location):
        return migrate_database(location, steps, now=SystemClock().now(), progress=progress)


def _sentence(location: DatabaseLocation, done: Migrated) -> str:
    kept = f"; as it was it is kept as {done.copy}" if done.copy else ""
    return f"Migrated {location} from version {done.before} to {done.after}{kept}."
