"""gateway init."""

import click

from gateway.cli.options import json_option, run, settings_option
from gateway.cli.output import print_record
from gateway.settings import Settings
from gateway.store import create_database


@click.command()
@json_option
@settings_option
def init(*, settings: Settings, as_json: bool) -> None:
    """Create the database that the settings name. An existing file is left alone.

    A PostgreSQL database must be there and empty; its tables are made.

    Example: gateway init --settings /etc/gateway/settings.toml
    """
    place = settings.database_location
    run(create_database(place))
    done = "Created" if settings.database.is_file else "Made the tables in"
    print_record({"database": str(place)}, as_json=as_json, sentence=f"{done} {place}.")
