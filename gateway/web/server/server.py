"""Runs an application under uvicorn. Every option is given here, so that no environment variable can."""

import asyncio
import math
import signal
import socket
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, cast

import structlog
import uvicorn
from starlette.types import ASGIApp

from gateway import __version__
from gateway.background import Background, Progress
from gateway.errors import OperatorError
from gateway.settings import ServerSettings
from gateway.times import SystemClock
from gateway.web.draining import begin_draining, stop_waiting
from gateway.web.early_responses import EarlyResponses
from gateway.web.server.back_pressure import BackPressures
from gateway.web.server.limits import ConnectionLimits
from gateway.web.server.listener import BACKLOG, connection_limit, obtain_listener, several, url_of
from gateway.web.server.peers import Peers
from gateway.web.server.protocol import GatewayProtocol
from gateway.web.server.sd_notify import Notifier, Supervision
from gateway.web.server.shedding import RequestGate, SheddingProtocol
from gateway.web.server.signals import HangUps
from gateway.web.timings import ServerTimings

log = structlog.get_logger()

UNSUPERVISED = Supervision()
TIMINGS = ServerTimings()
WATCHDOG = "watchdog"
"""The task that tells the supervisor that the event loop turns."""


class Server(uvicorn.Server):
    """Says when it listens. The first signal asks it to stop, the second insists; both end with status 0."""

    def __init__(
        self,
        config: uvicorn.Config,
        started: Callable[[], None],
        *,
        timings: ServerTimings = TIMINGS,
        supervision: Supervision = UNSUPERVISED,
        background: Background | None = None,
        hang_ups: HangUps | None = None,
        reload: Callable[[], str] | None = None,
    ) -> None:
        """`background` owns what tells the supervisor that the event loop turns; without one it is told nothing.

        `reload` is called after a hang-up and says in a sentence what came of it.
        """
        super().__init__(config)
        self._announce = started
        self._timings = timings
        self._clock = SystemClock()
        self._signalled_at = float("-inf")
        self._supervision = supervision
        self._background = background
        self._notifier = Notifier(supervision.notify_address)
        self._hang_ups = hang_ups or HangUps()
        self._reload = reload
        self._is_terminated = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal ends it, with the watchdog told meanwhile."""
        watchdog = (
            self._background.start(WATCHDOG, self._stay_alive)
            if self._background and self._supervision.watchdog_seconds
            else None
        )
        try:
            await super().serve(sockets)
        finally:
            if watchdog is not None:
                await watchdog.stop()

    async def _stay_alive(self, _progress: Progress) -> None:
        await self._notifier.stay_alive(self._supervision.watchdog_seconds)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so to people and to systemd. Called by uvicorn."""
        await super().startup(sockets)
        if self.started:
            self._announce()
            self._notifier.ready("Serving")

    async def on_tick(self, counter: int) -> bool:
        """Reload the settings if asked to; return whether to stop. Called by uvicorn."""
        if self._reload is not None and self._hang_ups.take():
            self._notifier.reloading(self._clock.monotonic())
            self._notifier.ready(self._reload())
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        """Stop, at a second signal without waiting for anything. Called for each signal."""
        now = self._clock.monotonic()
        if now - self._signalled_at < self._timings.echo:
            return
        self._signalled_at = now
        # Not kept for raising again, as uvicorn does: ended as asked is no failure.
        self.force_exit = self.should_exit
        self.should_exit = True
        self._is_terminated = sig == signal.SIGTERM

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests under way, then close everything. Called by uvicorn."""
        self._notifier.stopping()
        log.info("stopping", version=__version__)
        stop_waiting(self.lifespan.state)
        if self._is_terminated:
            await self._drain()
        await super().shutdown(sockets)
        if self.force_exit:
            # uvicorn leaves everything as it is; the database's threads would keep the process alive.
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
            for task in list(self.server_state.tasks):
                task.cancel()
            await self.lifespan.shutdown()

    async def _drain(self) -> None:
        """Be not ready and still answer all. Not for SIGINT: at a keyboard nobody balances loads."""
        begin_draining(self.lifespan.state)
        for connection in list(self.server_state.connections):
            cast("GatewayProtocol", connection).drain()
        is_inherited = self._supervision.listeners > 0
        if is_inherited:
            for server in self.servers:
                server.close()
        seconds = self._timings.handover if is_inherited else self._timings.drain
        # In turns, not by the clock: a machine that stands still for so long would leave callers no time at all.
        for _ in range(math.ceil(seconds / self._timings.signal_check)):
            if self.force_exit:
                return
            await asyncio.sleep(self._timings.signal_check)


def build_config(
    app: ASGIApp,
    settings: ServerSettings,
    *,
    gate: RequestGate | None = None,
    back_pressure: BackPressures | None = None,
    date_header: bool = True,
    limits: ConnectionLimits | None = None,
    timings: ServerTimings = TIMINGS,
) -> uvicorn.Config:
    """Return uvicorn's configuration for one process. With a `gate`, socket connections shed what it says."""
    pressure, peers = back_pressure or BackPressures(), Peers(settings.trusted_proxies)
    protocol = (
        partial(SheddingProtocol, gate=gate, back_pressure=pressure, peers=peers)
        if gate
        else partial(GatewayProtocol, early_responses=EarlyResponses())
    )
    return uvicorn.Config(
        cast("Any", app),
        loop="uvloop",
        http=partial(  # type: ignore[arg-type]  # it is called as a class is
            protocol, limits=limits or ConnectionLimits(connections=connection_limit())
        ),
        ws="none",
        interface="asgi3",
        lifespan="on",
        workers=1,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=date_header,
        # With a gate they are read before it is asked.
        proxy_headers=gate is None and bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        backlog=BACKLOG,
        timeout_keep_alive=timings.keep_alive,
        timeout_graceful_shutdown=timings.grace,
    )


def serve_app(
    app: ASGIApp,
    settings: ServerSettings,
    *,
    started: Callable[[str], None],
    gate: RequestGate | None = None,
    date_header: bool = True,
    supervision: Supervision = UNSUPERVISED,
    background: Background | None = None,
    hang_ups: HangUps | None = None,
    reload: Callable[[], str] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished. `started` is told the address.

    An inherited listener is taken instead of the settings' host and port. Raises OperatorError if it is unfit, the
    address cannot be listened on, or the application does not start.
    """
    listener = obtain_listener(settings, supervision)
    url = url_of(listener, settings, supervision)
    server = Server(
        build_config(app, settings, gate=gate, date_header=date_header),
        lambda: started(url),
        supervision=supervision,
        background=background,
        hang_ups=hang_ups,
        reload=reload,
    )
    try:
        server.run(sockets=several(listener))
    finally:
        listener.close()
    if not server.started:
        raise OperatorError("the gateway did not start; the log says why")
