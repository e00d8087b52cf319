"""`gateway serve`: run the gateway until it is told to stop."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import click
import msgspec

from gateway.app import build_gate, create_app
from gateway.auth.links import Links
from gateway.background import Background
from gateway.cli.migrate import migrate_at_start
from gateway.cli.options import PORT, settings_reader_option, supervision_of_this_process
from gateway.cluster.membership import Membership
from gateway.errors import StorageUnavailable
from gateway.services import Reloader, build_services
from gateway.settings import ReadSettings, ServerSettings, Settings
from gateway.store import LIVE_SECONDS, DatabaseLocation, Store
from gateway.store.sqlite.instance_lock import instance_lock
from gateway.telemetry.log import configure_log, log_task_failure
from gateway.times import SystemClock
from gateway.web.server.sd_notify import Supervision
from gateway.web.server.server import serve_app
from gateway.web.server.signals import HangUps, note_hang_ups


@click.command()
@click.option("--host", help="Instead of server.host.")
@click.option("--port", type=PORT, help="Instead of server.port; 0 for any free one.")
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
    migrate_at_start(settings.database_location)
    asyncio.run(_check_database(settings))
    with _sole_use(settings.database_location):
        _serve(settings, server, supervision, hang_ups, lambda: read_settings().settings)


def _serve(
    settings: Settings,
    server: ServerSettings,
    supervision: Supervision,
    hang_ups: HangUps,
    read: Callable[[], Settings],
) -> None:
    write_request_line = configure_log(level=settings.log.level, style=settings.log.format)
    services = build_services(settings, SystemClock())
    gate = build_gate(services)
    serve_app(
        create_app(services, gate, write_request_line),
        server,
        gate=gate,
        started=_announcer(settings),
        supervision=supervision,
        hang_ups=hang_ups,
        reload=Reloader(read, settings, services).reload,
    )


def _sole_use(place: DatabaseLocation) -> AbstractContextManager[None]:
    """Hold the lock of an SQLite file. A server's database is for several gateways, which know of each other."""
    return instance_lock(place) if isinstance(place, Path) else nullcontext()


async def _check_database(settings: Settings) -> None:
    """Refuse a wrong database in one line before a server is set up around it."""
    background = Background(log_task_failure)
    async with Store(settings.database_location, background) as store:
        if store.is_shared:
            member = Membership(
                store,
                monotonic=SystemClock().monotonic,
                background=background,
                is_alone=not settings.rate_limit.is_shared,
            )
            await member.require_room(tell=_say_that_it_waits)


def _say_that_it_waits(reason: str) -> None:
    click.echo(f"Waiting for up to {LIVE_SECONDS:g} s, as one that was killed is gone by then: {reason}", err=True)


async def _first_admin_link(settings: Settings) -> str | None:
    """Return the secret of the link that makes the first admin; None if there is an admin, or no room for a link."""
    async with Store(settings.database_location, Background(log_task_failure)) as store:
        with suppress(StorageUnavailable):  # The API can do without.
            return await Links(store, SystemClock(), secrets.choice).to_become_first_admin()
    return None


def _announcer(settings: Settings) -> Callable[[str], None]:
    first_admin = asyncio.run(_first_admin_link(settings))

    def announce(address: str) -> None:
        click.echo(f"Listening on {address}", err=True)
        if first_admin is not None:
            public_address = settings.server.public_url or address
            link = f"{public_address.rstrip('/')}/dashboard/link/{first_admin}"
            click.echo(f"There is no admin yet. To become the first, open within 24 hours: {link}", err=True)

    return announce
