"""`gateway init`: create the database that the settings name."""

import click

from gateway.cli.options import json_option, run, settings_option
from gateway.cli.output import print_record
from gateway.settings import Settings
from gateway.store import create_database


@click.command()
@json_option
@settings_option
def init(*, settings: Settings, as_json: bool) -> None:
    """Create the database that the settings name. An existing file is not changed.

    A PostgreSQL database must exist and be empty; its tables are created.

    Example: gateway init --settings /etc/gateway/settings.toml
    """
    location = settings.database_location
    run(create_database(location))
    done = "Created" if settings.database.is_file else "Made the tables in"
    print_record({"database": str(location)}, as_json=as_json, sentence=f"{done} {location}.")
