"""The command `gateway` itself. Sub-commands are imported only when one is called, so that help is instant."""

import inspect
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click

from gateway.cli.standard_streams import prepare_standard_streams
from gateway.errors import GatewayError

COMMANDS = {
    "demo": "Try the gateway, a sandbox Airbyte and a key in one process.",
    "serve": "Run the gateway.",
    "sandbox": "Run only the sandbox Airbyte.",
    "init": "Create the database.",
    "migrate": "Bring a database of an older gateway up to date.",
    "database": "Copy an SQLite database to PostgreSQL.",
    "backup": "Copy the database, also while it is served.",
    "restore": "Replace the database with a backup.",
    "export": "Print a manifest: what is set up, as TOML without secrets.",
    "apply": "Make the database match a manifest.",
    "client": "Manage clients, your customers.",
    "connection": "Manage connections of clients, mapped to Airbyte's.",
    "key": "Manage API keys of clients.",
    "webhook": "Manage webhooks of clients, which are told of events.",
    "user": "Manage people who sign in to the dashboard.",
    "workspace": "List Airbyte's workspaces.",
    "notice": "Try what tells you that something needs you.",
    "activity": "Show who did what.",
    "config": "Show the settings in force, and where each comes from.",
    "install": "Write the files by which systemd runs this gateway.",
    "doctor": "Check settings, database and Airbyte, and say what to do.",
    "nginx-config": "Print an nginx configuration for these settings.",
    "completion": "Print what makes a shell complete the commands.",
}
EXAMPLE_START = "\nExample: "
KEPT_WHOLE = "\b"
"""Click breaks no line of a paragraph that begins with it."""

settings_path_option = click.option(
    "--settings",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read settings from this file. Default: settings.toml of this folder, the installed service's file, or the "
    "built-in defaults.",
)


class Start(NamedTuple):
    """What every command starts from. A test names a `unit_folder`: its machine may have an installed service."""

    settings: Path | None
    unit_folder: Path | None


class Commands(click.Group):
    """Finds `gateway NAME` in the module `gateway.cli.NAME`; a dash in NAME is an underscore there."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names. Called by click."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return a command, imported now; None if there is none of that name. Called by click."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(import_module(f"gateway.cli.{name}"), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"gateway.cli.{name} has no command of that name")
        _keep_examples_whole(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the names and what they do, without importing them. Called by click."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a failure that has a sentence is that sentence, not a traceback.

        A whole key that was typed in the place of something else is not repeated in it.
        """
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            raise click.ClickException(_without_keys(error.sentence)) from None
        except click.UsageError as error:
            raise click.UsageError(_without_keys(error.format_message()), ctx=error.ctx) from None


def _without_keys(text: str) -> str:
    from gateway.auth.keys import without_keys  # noqa: PLC0415 - only a failure needs it

    return without_keys(text)


def _keep_examples_whole(command: click.Command) -> None:
    """Mark the examples in the help of a command, and of those below it: broken lines cannot be pasted."""
    if command.help and KEPT_WHOLE not in command.help:
        command.help = inspect.cleandoc(command.help).replace(EXAMPLE_START, f"\n{KEPT_WHOLE}{EXAMPLE_START}")
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _keep_examples_whole(each)


def _print_version(context: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's signature
    if asked and not context.resilient_parsing:
        # Not above: only this question needs SQLite and OpenSSL.
        version, *parts = import_module("gateway.resources").versions().items()
        click.echo(f"gateway {version[1]} ({', '.join(f'{name} {text}' for name, text in parts)})")
        context.exit()


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: gateway demo",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version of the gateway and of its parts.",
)
@settings_path_option
@click.pass_context
def gateway(context: click.Context, settings: Path | None) -> None:
    """Let one Airbyte safely serve many customers."""
    context.obj = Start(settings, context.obj)


def main() -> None:
    """Run the command line of this process."""
    # A supervisor's SIGTERM ends every command as Ctrl-C does: what was opened is closed, no folder stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    prepare_standard_streams()
    try:
        gateway(prog_name="gateway")
    except OSError as error:
        click.echo(f"Error: {error.filename or 'standard output'}: {error.strerror or error}", err=True)
        # What could not be written is in a buffer, and Python would try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
