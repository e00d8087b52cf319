"""`gateway database …`: move an SQLite database to a PostgreSQL server."""

from urllib.parse import urlsplit

import click

from gateway.cli.options import confirm, json_option, settings_option, yes_option
from gateway.cli.output import print_json, print_rows
from gateway.cli.progress import progress_shown
from gateway.settings import Settings
from gateway.settings.secret import SecretUrl
from gateway.store.postgres.server import move_to_server
from gateway.store.sqlite.instance_lock import instance_lock


class PostgresAddress(click.ParamType[SecretUrl]):
    """An address of a PostgreSQL database, without the password: arguments are for every user to see."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> SecretUrl:
        """Return the address. Ends the command if it is none, or has a password. Called by click."""
        parts = urlsplit(value)
        if parts.scheme != "postgresql" or len(parts.path) < 2:  # noqa: PLR2004 - the slash alone names nothing
            self.fail("expected postgresql://[USER@]HOST[:PORT]/NAME", param, ctx)
        if parts.password or "password=" in parts.query:
            self.fail("every user of this machine can read a password here: set PGPASSWORD or PGPASSFILE", param, ctx)
        return SecretUrl(value)


@click.group()
def database() -> None:
    """Copy the database."""


@database.command()
@click.option(
    "--to",
    "target",
    type=PostgresAddress(),
    required=True,
    help="Copy to this empty PostgreSQL database.",
)
@yes_option
@json_option
@settings_option
def copy(*, settings: Settings, target: SecretUrl, yes: bool, as_json: bool) -> None:
    """Copy an SQLite database to PostgreSQL, and compare every row. Stop the gateway first.

    The file stays as it is. After an interruption, give the command again: it continues where it was. The password
    comes from PGPASSWORD or PGPASSFILE.

    Example: gateway database copy --to postgresql://gateway@db.example.com/gateway
    """
    path = settings.database_path
    confirm(f"Copy {path} to {target}?", yes=yes or as_json)
    with instance_lock(path), progress_shown() as progress:
        rows = move_to_server(path.resolve(), target, progress)
    if as_json:
        print_json({"database": str(path), "copy": str(target), "rows": rows})
        return
    click.echo(f"Copied {path} to {target}; every row was compared.")
    print_rows([{"table": table, "rows": count} for table, count in rows.items()], as_json=False, empty="")
    click.echo(f'Now set in [database]: url = "{target}"')
