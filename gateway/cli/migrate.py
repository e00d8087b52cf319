"""gateway migrate."""

from pathlib import Path

import click

from gateway.cli.options import json_option, settings_option
from gateway.cli.output import print_record
from gateway.clock import SystemClock
from gateway.settings import Settings
from gateway.store import Migrated, instance_lock, is_outdated, read_steps
from gateway.store import migrate as migrate_database


@click.command()
@json_option
@settings_option
def migrate(*, settings: Settings, as_json: bool) -> None:
    """Bring a database of an older gateway up to date, as serve does at its start. A verified copy is made first.

    Example: gateway migrate --settings /etc/gateway/settings.toml
    """
    database = settings.database_path
    done = _migrated(database)
    record = {
        "database": str(database),
        "before": done.before if done else None,
        "after": done.after if done else None,
        "copy": str(done.copy) if done else None,
    }
    sentence = _sentence(database, done) if done else f"{database} is up to date."
    print_record(record, as_json=as_json, sentence=sentence)


def migrate_at_start(database: Path) -> None:
    """What `serve` does before it opens the database: nothing, when it is up to date. Raises DatabaseRefused."""
    done = _migrated(database)
    if done is not None:
        click.echo(_sentence(database, done), err=True)


def _migrated(database: Path) -> Migrated | None:
    steps = read_steps()
    if not is_outdated(database, steps):
        return None
    with instance_lock(database):
        return migrate_database(database, steps, now=SystemClock().now())


def _sentence(database: Path, done: Migrated) -> str:
    return f"Migrated {database} from version {done.before} to {done.after}; as it was it is kept as {done.copy}."
