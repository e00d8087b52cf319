"""What several commands share: options, arguments, the settings they lead to, and the services opened from them."""

import asyncio
import functools
import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.auth.accounts import Accounts, build_accounts
from gateway.auth.passwords import Passwords
from gateway.cli.chosen_settings import ChosenSettings, choose_settings
from gateway.cli.main import Start, settings_path_option
from gateway.deployment.systemd import UNIT_FOLDER
from gateway.services import Services, build_services
from gateway.settings import Settings, load_settings, read_settings
from gateway.settings.addresses import LARGEST_PORT
from gateway.telemetry.log import configure_log
from gateway.times import SystemClock
from gateway.web.server.sd_notify import Supervision, take_supervision

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
client_option = click.option("--client", "slug", required=True, help="Choose the client by its slug.")
only_client_option = click.option("--client", "slug", help="List only this client's, by its slug. Default: all.")
STANDARD_STREAM = Path("-")
"""In the place of a file: standard input or output."""
PORT = click.IntRange(0, LARGEST_PORT)
slug_argument = click.argument("slug")

Value = TypeVar("Value")


def id_argument(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the argument ID, passed as `name`."""
    return click.argument(name, metavar="ID")


def settings_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add `--settings`, and pass the Settings it leads to."""

    @functools.wraps(function)
    def with_settings(*args: Any, settings: Path | None, **options: Any) -> None:
        context = click.get_current_context()
        if os.environ.get("NO_COLOR"):  # no-color.org
            context.color = False
        chosen = _chosen_settings(settings)
        function(*args, settings=load_settings(chosen.path, chosen.environment), **options)

    return settings_path_option(with_settings)


def settings_reader_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add `--settings`, and pass `read_settings()`, which may be called again."""

    @functools.wraps(function)
    def with_reader(*args: Any, settings: Path | None, **options: Any) -> None:
        chosen = _chosen_settings(settings)
        reader = functools.partial(read_settings, chosen.path, chosen.environment)
        function(*args, read_settings=reader, **options)

    return settings_path_option(with_reader)


def _chosen_settings(path: Path | None) -> ChosenSettings:
    start: Start = click.get_current_context().find_root().obj
    chosen = choose_settings(path or start.settings, os.environ, unit_folder())
    for note in chosen.notes:
        click.echo(note, err=True)
    return chosen


def unit_folder() -> Path:
    """Return where the units of this machine are."""
    start: Start = click.get_current_context().find_root().obj
    return start.unit_folder or Path(UNIT_FOLDER)


def supervision_of_this_process() -> Supervision:
    """Take what a supervisor left in the environment for this process."""
    ours = {os.getpid()}
    if getattr(sys, "frozen", False):
        # The one-file binary runs as a child of the process that unpacked it, and the supervisor knows only that one.
        ours.add(os.getppid())
    return take_supervision(os.environ, frozenset(ours))


def environment_of_programs() -> Mapping[str, str]:
    """Return the environment for programs this process starts: their libraries are the machine's, not the binary's."""
    ours = dict(os.environ)
    if getattr(sys, "frozen", False):
        before = ours.pop("LD_LIBRARY_PATH_ORIG", None)
        ours.pop("LD_LIBRARY_PATH", None)
        return ours if before is None else {**ours, "LD_LIBRARY_PATH": before}
    return ours


def run(work: Coroutine[Any, Any, Value]) -> Value:
    """Run the coroutine to its end and return its result."""
    return asyncio.run(work)


def with_services(settings: Settings, work: Callable[[Services], Awaitable[Value]]) -> Value:
    """Open the services, do the work of one command with them, and return its result."""

    async def opened() -> Value:
        async with opened_services(settings) as services:
            return await work(services)

    return asyncio.run(opened())


@asynccontextmanager
async def opened_services(settings: Settings) -> AsyncIterator[Services]:
    """Open the collaborators that the server has too, for one command."""
    configure_log(level="error", style="console")
    services = build_services(settings, SystemClock())
    async with services.opened():
        yield services


async def slugs_of(services: Services) -> dict[int, str]:
    """Return the slug of each client by its number."""
    return {client.id: client.slug for client in await services.store.clients.all()}


def accounts_of(services: Services) -> Accounts:
    """Build what commands about people who sign in need."""
    return build_accounts(services.store, Passwords(), services.clock, secrets.choice, services.timings.auth)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed; `no` changes nothing and exits 1."""
    if not yes and not click.confirm(question, err=True):
        raise click.ClickException("nothing was changed")
