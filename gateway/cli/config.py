"""`gateway config`: show the settings in force and where each comes from."""

from collections.abc import Callable
from typing import Any

import click

from gateway.airbyte.tls import verifying_tls
from gateway.cli.options import json_option, settings_reader_option
from gateway.cli.output import Row, print_record, print_rows
from gateway.services import build_services
from gateway.settings import ReadSettings
from gateway.settings.secret import Secret, SecretUrl
from gateway.settings.tables import WEBHOOK_CA_FILE
from gateway.times import SystemClock


@click.command()
@click.option("--check", is_flag=True, help="Show nothing: only say whether they can be used. Exit status 1 if not.")
@json_option
@settings_reader_option
def config(*, read_settings: Callable[[], ReadSettings], check: bool, as_json: bool) -> None:
    """Show the settings in force here, and where each comes from. Of a secret only whether it is set.

    Example: gateway config --settings /etc/gateway/settings.toml
    """
    read = read_settings()
    if check:
        if read.settings.ca_file:
            verifying_tls(read.settings.ca_file)
        if read.settings.webhook_ca_file:
            verifying_tls(read.settings.webhook_ca_file, setting=WEBHOOK_CA_FILE)
        # With all that a start needs beside the values, such as the libraries of an extra.
        build_services(read.settings, SystemClock())
        sources = sorted({origin.source for origin in read.origins.values() if origin.source})
        sentence = f"The settings can be used; read from {', '.join(sources) or 'the defaults'}."
        print_record({"sources": sources}, as_json=as_json, sentence=sentence)
        return
    rows = [_row(read, name) for name in read.origins]
    print_rows(rows if as_json else [_in_words(row) for row in rows], as_json=as_json, empty="")


def _row(read: ReadSettings, name: str) -> Row:
    table, _, key = name.partition(".")
    value = getattr(getattr(read.settings, table), key)
    origin = read.origins[name]
    return {
        "setting": name,
        "value": _shown(value),
        "origin": origin.kind,
        "place": origin.source or None,
        "secret_file": origin.secret_file or None,
    }


def _shown(value: Any) -> Any:
    if isinstance(value, SecretUrl):
        return repr(value)
    if isinstance(value, Secret):
        return "set" if value else "not set"
    return value


def _in_words(row: Row) -> Row:
    value = ", ".join(row["value"]) if isinstance(row["value"], tuple) else row["value"]
    places = {
        "default": "default",
        "file": row["place"],
        "environment": f"environment {row['place']}",
        "secret_file": f"{row['secret_file']}, named by {row['place']}",
    }
    return {"setting": row["setting"], "value": value if value != "" else "-", "from": places[row["origin"]]}
