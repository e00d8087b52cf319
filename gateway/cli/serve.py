"""`gateway serve`: run the gateway until it is told to stop."""

import asyncio
import gc
import resource
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

import click
import msgspec
import structlog

from gateway import __version__
from gateway.app import build_gate, create_app
from gateway.auth.links import Links
from gateway.auth.timings import AuthTimings
from gateway.background import Background
from gateway.cli.migrate import migrate_at_start
from gateway.cli.options import PORT, settings_reader_option, supervision_of_this_process
from gateway.cluster.membership import Membership
from gateway.errors import GatewayError, StorageUnavailable
from gateway.models import SocketAddress
from gateway.services import Reloader, build_services
from gateway.settings import ReadSettings, ServerSettings, Settings
from gateway.settings.addresses import listened_host
from gateway.store import DatabaseLocation, Store
from gateway.store.progress import Progress
from gateway.store.sqlite.serving_lock import serving_lock
from gateway.store.timings import StoreTimings
from gateway.telemetry.log import configure_log, log_task_failure
from gateway.telemetry.log_writer import LogWriter
from gateway.telemetry.timings import LogTimings
from gateway.times import SystemClock
from gateway.web.server.not_started import answer_not_started
from gateway.web.server.sd_notify import Notifier, Supervision
from gateway.web.server.server import serve_app
from gateway.web.server.signals import HangUps, ignore_user_signals, note_hang_ups

log = structlog.get_logger()


@click.command()
@click.option("--host", help="Instead of server.host.")
@click.option("--port", type=PORT, help="Instead of server.port; 0 for any free one.")
@settings_reader_option
def serve(*, read_settings: Callable[[], ReadSettings], host: str | None, port: int | None) -> None:
    """Run the gateway until it is told to stop. SIGHUP has it read its settings again.

    Example: gateway serve --settings /etc/gateway/settings.toml
    """
    # A dump of this process's memory would have Airbyte's credential and the callers' keys in it.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ignore_user_signals()
    hang_ups = note_hang_ups()
    supervision = supervision_of_this_process()
    with _callers_told(supervision):
        _serve(read_settings, host, port, supervision, hang_ups)


def _serve(
    read_settings: Callable[[], ReadSettings],
    host: str | None,
    port: int | None,
    supervision: Supervision,
    hang_ups: HangUps,
) -> None:
    settings = read_settings().settings
    server = msgspec.structs.replace(
        settings.server,
        host=host or settings.server.host,
        port=settings.server.port if port is None else port,
    )
    writer = LogWriter(sys.stderr.fileno(), LogTimings())
    write_request_line = configure_log(level=settings.log.level, style=settings.log.format, stream=writer)
    with closing(writer), _told_in_the_log(settings):
        progress = _told_to(Notifier(supervision.notify_address))
        migrate_at_start(settings.database_location, progress)
        asyncio.run(_check_database(settings))
        with _sole_use(settings.database_location, progress):
            services = build_services(settings, SystemClock())
            gate = build_gate(services, write_request_line)
            serve_app(
                create_app(services, gate),
                server,
                gate=gate,
                started=_announcer(settings, server, supervision, is_terminal=writer.isatty()),
                supervision=supervision,
                background=services.background,
                hang_ups=hang_ups,
                reload=Reloader(lambda: read_settings().settings, settings, services).reload,
            )
            log.info("stopped", version=__version__)


@contextmanager
def _callers_told(supervision: Supervision) -> Iterator[None]:
    """Answer those who wait at the supervisor's socket when the start fails: nobody else would."""
    try:
        yield
    except Exception as error:
        if not supervision.listeners:
            raise
        reason = error.sentence if isinstance(error, GatewayError) else "the log says why"
        Notifier(supervision.notify_address).failing(reason)
        if isinstance(error, GatewayError):
            # What comes later is told in the log, before it comes here.
            click.echo(f"Error: {reason}", err=True)
        answer_not_started(supervision)
        if isinstance(error, GatewayError):
            raise click.exceptions.Exit(1) from None
        raise


@contextmanager
def _told_in_the_log(settings: Settings) -> Iterator[None]:
    """Say why the gateway does not start as a line of the log, where that is JSON: its readers find JSON only."""
    if settings.log.format != "json":
        yield
        return
    try:
        yield
    except GatewayError as error:
        log.error("not_started", error=error.sentence, version=__version__)  # noqa: TRY400 - a sentence, not a traceback
        raise click.exceptions.Exit(1) from None
    except Exception as error:
        log.exception("not_started", error=str(error), version=__version__)
        raise click.exceptions.Exit(1) from None


def _told_to(supervisor: Notifier) -> Progress:
    """Return what tells the supervisor how far the start is, so that one that takes long is not broken off."""

    def tell(what: str, done: int, total: int) -> None:
        status = f"{what} the database: {done * 100 // max(total, 1)} %"
        supervisor.starting(status, seconds=StoreTimings().migration)

    return tell


def _sole_use(location: DatabaseLocation, progress: Progress) -> AbstractContextManager[None]:
    """Hold the lock of an SQLite file. A server's database is for several gateways, which know of each other."""
    return serving_lock(location, progress=progress) if isinstance(location, Path) else nullcontext()


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
            await member.require_room(tell=partial(_say_that_it_waits, seconds=store.gateways.live_seconds))


def _say_that_it_waits(reason: str, *, seconds: float) -> None:
    """Log for how long this gateway waits: one that was killed is gone by then."""
    log.warning("waiting_for_another_gateway", reason=reason, seconds=seconds)


async def _missing_admin_link(settings: Settings, *, is_terminal: bool) -> str | None:
    """Return the secret of the link that makes the first admin; None if there is one; empty if no link may be shown.

    A link is for a terminal only: a log is read by many, and kept.
    """
    async with Store(settings.database_location, Background(log_task_failure)) as store:
        if await store.users.has_admin():
            return None
        if is_terminal:
            with suppress(StorageUnavailable):  # The API can do without.
                return await Links(
                    store, SystemClock(), secrets.choice, life=AuthTimings().link_life
                ).to_become_first_admin()
    return ""


def _collect_less_often() -> None:
    """Leave what is there from the start out of collections, and begin one for each ten thousand new objects.

    A request leaves no cycles behind. By Python's own figures it pays for collections with a twentieth of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _announcer(
    settings: Settings, server: ServerSettings, supervision: Supervision, *, is_terminal: bool
) -> Callable[[str], None]:
    wanted = f"http://{SocketAddress(listened_host(server.host), server.port)}"
    link = asyncio.run(_missing_admin_link(settings, is_terminal=is_terminal))

    def announce(address: str) -> None:
        _collect_less_often()
        log.info("listening", address=address, version=__version__)
        if supervision.listeners and address != wanted:
            log.warning("listens_elsewhere", settings=wanted, hint="see ListenStream= of gateway.socket")
        if link:
            public_address = (settings.server.public_url or address).rstrip("/")
            log.warning("no_admin", open_within_24_hours=f"{public_address}/dashboard/link/{link}")
        elif link is not None:
            log.warning("no_admin", invite_one_by="gateway user invite --admin --email ADDRESS")

    return announce
