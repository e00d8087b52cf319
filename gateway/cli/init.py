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

    Example: gateway init --settings /etc/gateway/settings.toml
    """
    path = settings.database_path
    run(create_database(path))
    print_record({"database": str(path)}, as_json=as_json, sentence=f"Created {path}.")
