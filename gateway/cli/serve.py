"""gateway serve."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import click
import msgspec

from gateway.app import create_app
from gateway.cli.migrate import migrate_at_start
from gateway.cli.options import settings_reader_option, supervision_of_this_process
from gateway.clock import SystemClock
from gateway.errors import StorageUnavailable
from gateway.log import configure_log
from gateway.passwords import Passwords
from gateway.reload import Reloader
from gateway.server import note_hang_ups, serve_app
from gateway.services import build_services
from gateway.settings import ReadSettings, Settings
from gateway.store import DatabasePlace, Store, instance_lock
from gateway.users import Users


@click.command()
@click.option("--host", help="Instead of server.host.")
@click.option("--port", type=click.IntRange(0, 65535), help="Instead of server.port; 0 for any free one.")
@settings_reader_option
def serve(*, read_settings: Callable[[], ReadSettings], host: str | None, port: int | None) -> None:
    """Run the gateway until it is told to stop. SIGHUP has it read its settings again.

    Example: gateway serve --settings /etc/gateway/settings.toml
    """
    hang_ups = note_hang_ups()
    supervision = supervision_of_this_process()
    settings = read_settings().settings
    server = msgspec.structs.replace(
        settings.server,
        host=host or settings.server.host,
        port=settings.server.port if port is None else port,
    )
    migrate_at_start(settings.database_place)
    asyncio.run(_check_database(settings))
    write_request_line = configure_log(level=settings.log.level, style=settings.log.format)
    services = build_services(settings, SystemClock())
    with _sole_use(settings.database_place):
        first_admin = asyncio.run(_first_admin_link(settings))
        serve_app(
            create_app(services, write_request_line),
            server,
            started=lambda address: _announce(address, settings.server.public_url or address, first_admin),
            supervision=supervision,
            hang_ups=hang_ups,
            reload=Reloader(lambda: read_settings().settings, settings, services).reload,
        )


def _sole_use(place: DatabasePlace) -> AbstractContextManager[None]:
    """Of a file; a server's database is for several gateways, which tell each other of themselves."""
    return instance_lock(place) if isinstance(place, Path) else nullcontext()


async def _check_database(settings: Settings) -> None:
    """Refuse a wrong database in one line before a server is set up around it."""
    async with Store(settings.database_place):
        pass


async def _first_admin_link(settings: Settings) -> str | None:
    """The secret of the link by which somebody becomes the first admin; None when there is one, or no room for it."""
    async with Store(settings.database_place) as store:
        with suppress(StorageUnavailable):  # The API can do without.
            return await Users(store, Passwords(), SystemClock(), secrets.choice).first_admin_link()
    return None


def _announce(address: str, public_address: str, first_admin: str | None) -> None:
    click.echo(f"Listening on {address}", err=True)
    if first_admin is not None:
        link = f"{public_address.rstrip('/')}/dashboard/link/{first_admin}"
        click.echo(f"There is no admin yet. To become the first, open within 24 hours: {link}", err=True)
