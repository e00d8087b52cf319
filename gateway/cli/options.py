"""What several commands share: options, the settings they lead to, and the services opened from them."""

import asyncio
import functools
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from gateway.auth.passwords import Passwords
from gateway.auth.users import Users
from gateway.services import Services, build_services
from gateway.settings import Settings, load_settings, read_settings
from gateway.telemetry.log import configure_log
from gateway.times import SystemClock
from gateway.web.server.sd_notify import Supervision, take_supervision

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


_settings_path_option = click.option(
    "--settings",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file. Without it: settings.toml of this folder, else the defaults.",
)


def settings_option(function: Callable[..., None]) -> Callable[..., None]:
    """Adds `--settings` and passes the Settings it leads to."""

    @functools.wraps(function)
    def with_settings(*args: Any, settings: Path | None, **options: Any) -> None:
        path = settings or click.get_current_context().find_root().obj
        function(*args, settings=load_settings(path, os.environ), **options)

    return _settings_path_option(with_settings)


def settings_reader_option(function: Callable[..., None]) -> Callable[..., None]:
    """As `settings_option`, but passes what reads them: `read_settings()` may be called again."""

    @functools.wraps(function)
    def with_reader(*args: Any, settings: Path | None, **options: Any) -> None:
        path = settings or click.get_current_context().find_root().obj
        function(*args, read_settings=functools.partial(read_settings, path, os.environ), **options)

    return _settings_path_option(with_reader)


def supervision_of_this_process() -> Supervision:
    """Taken out of the environment."""
    ours = {os.getpid()}
    if getattr(sys, "frozen", False):
        # The one-file binary runs as a child of the process that unpacked it, and the supervisor knows only that one.
        ours.add(os.getppid())
    return take_supervision(os.environ, frozenset(ours))


def environment_of_programs() -> Mapping[str, str]:
    """What this process hands to those that it starts: their libraries are the machine's, not the binary's."""
    ours = dict(os.environ)
    if getattr(sys, "frozen", False):
        before = ours.pop("LD_LIBRARY_PATH_ORIG", None)
        ours.pop("LD_LIBRARY_PATH", None)
        return ours if before is None else {**ours, "LD_LIBRARY_PATH": before}
    return ours


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


@asynccontextmanager
async def opened_services(settings: Settings) -> AsyncIterator[Services]:
    """The same collaborators the server has, for one command."""
    configure_log(level="error", style="console")
    services = build_services(settings, SystemClock())
    async with services.opened():
        yield services


def users_of(services: Services) -> Users:
    return Users(services.store, Passwords(), services.clock, secrets.choice)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed; a plain `no` changes nothing and exits 1."""
    if not yes and not click.confirm(question, err=True):
        raise click.ClickException("nothing was changed")
