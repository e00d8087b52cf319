"""Runs an application under uvicorn. Every option is given here, so that no environment variable can."""

import asyncio
import resource
import signal
import socket
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn

from gateway.errors import OperatorError
from gateway.settings import ServerSettings
from gateway.settings.addresses import host_and_port
from gateway.times import SystemClock
from gateway.web.draining import begin_draining
from gateway.web.early_responses import EarlyResponses
from gateway.web.server.limits import ConnectionLimits
from gateway.web.server.protocol import GatewayProtocol
from gateway.web.server.sd_notify import Notifier, Supervision, inherited_listener
from gateway.web.server.shedding import Shedding, SheddingProtocol

BACKLOG = 2048
TICK_SECONDS = 0.1
"""How soon a second signal is noticed; as often as uvicorn looks for the first."""
HANDOVER_SECONDS = 0.5
"""`DRAIN_SECONDS` when the listener is inherited. Nobody need go elsewhere: who connects waits for the next process.
What is left is to ask the connections a proxy keeps to go, each by an answer, and to hear those just accepted: one
closed at the moment a trigger is written into it fails the trigger, and a new one even a read."""
KEEPALIVE_SECONDS = 75
"""Longer than the 60 s a proxy keeps its side, so that it never writes into a closed connection."""
DRAIN_SECONDS = 2.0
"""Between SIGTERM and the end of accepting: a load balancer that asks every second or two sees that it is not ready
and sends its next requests elsewhere. With `GRACE_SECONDS` within the 90 s that systemd gives a stop."""
GRACE_SECONDS = 85
"""For requests under way at a stop: longer than the longest call to Airbyte."""
ECHO_SECONDS = 0.5
"""A second signal that follows the first this soon is the first: a terminal or a supervisor told us and our parent, and
the parent (the one-file binary's, say) handed its own on."""
MOST_CONNECTIONS = 10_000
ACCEPTED_AT_ONCE = 8
"""libuv accepts one connection per listener in a round of the event loop. With one listener, callers who connect for
each request would queue in the kernel, where nothing can be shed."""
RESERVED_DESCRIPTORS = 128
"""For the database, the log, Airbyte and the listener."""
UNSUPERVISED = Supervision()


class HangUps:
    """Counts a SIGHUP as one wish to reload, however many come before it is granted."""

    def __init__(self) -> None:
        self._is_pending = False

    def note(self, _number: int, _frame: FrameType | None) -> None:
        self._is_pending = True

    def take(self) -> bool:
        """Whether there was one since the last time."""
        was_pending, self._is_pending = self._is_pending, False
        return was_pending


def note_hang_ups() -> HangUps:
    """From now on SIGHUP ends the process no more. No handler of the event loop's: before it runs, this one works."""
    hang_ups = HangUps()
    signal.signal(signal.SIGHUP, hang_ups.note)
    # The binary holds back those that come while it starts; they are noted now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    return hang_ups


class Server(uvicorn.Server):
    """Says when it listens. The first signal asks it to stop, the second insists; both end with status 0."""

    def __init__(
        self,
        config: uvicorn.Config,
        started: Callable[[], None],
        *,
        drain_seconds: float = DRAIN_SECONDS,
        echo_seconds: float = ECHO_SECONDS,
        supervision: Supervision = UNSUPERVISED,
        hang_ups: HangUps | None = None,
        reload: Callable[[], str] | None = None,
    ) -> None:
        """`reload` is called after a hang-up and says in a sentence what came of it."""
        super().__init__(config)
        self._announce = started
        self._drain_seconds = drain_seconds
        self._echo_seconds = echo_seconds
        self._clock = SystemClock()
        self._signalled_at = float("-inf")
        self._supervision = supervision
        self._notifier = Notifier(supervision.notify_address)
        self._hang_ups = hang_ups or HangUps()
        self._reload = reload
        self._is_terminated = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        beat = asyncio.create_task(self._notifier.stay_alive(self._supervision.watchdog_seconds))
        try:
            await super().serve(sockets)
        finally:
            beat.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()
            self._notifier.ready("Serving")

    async def on_tick(self, counter: int) -> bool:
        if self._reload is not None and self._hang_ups.take():
            self._notifier.reloading(self._clock.monotonic())
            self._notifier.ready(self._reload())
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        now = self._clock.monotonic()
        if now - self._signalled_at < self._echo_seconds:
            return
        self._signalled_at = now
        # Not kept for raising again, as uvicorn does: ended as asked is no failure.
        self.force_exit = self.should_exit
        self.should_exit = True
        self._is_terminated = sig == signal.SIGTERM

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._notifier.stopping()
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
        if self._supervision.listeners:
            for server in self.servers:
                server.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._drain_seconds
        while loop.time() < end and not self.force_exit:  # noqa: ASYNC110 - a signal's handler can set no event
            await asyncio.sleep(TICK_SECONDS)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises OperatorError: the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OperatorError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return listener


def several(listener: socket.socket) -> list[socket.socket]:
    """The listener and duplicates of it, as many as connections are to be accepted at once."""
    return [listener, *(listener.dup() for _ in range(ACCEPTED_AT_ONCE - 1))]


def connection_limit() -> int:
    """As many as leave descriptors for everything else: without one, nothing could be accepted, read or logged."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(descriptors - RESERVED_DESCRIPTORS, descriptors // 2))


def build_config(
    app: Any, settings: ServerSettings, *, date_header: bool = True, limits: ConnectionLimits | None = None
) -> uvicorn.Config:
    """One process: more of them would each have their own rate limit."""
    gate = getattr(app, "gate", None)
    refusals = gate.refusals if gate else EarlyResponses()
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=partial(  # type: ignore[arg-type]
            partial(SheddingProtocol, shedding=Shedding(gate, refusals)) if gate else GatewayProtocol,
            limits=limits or ConnectionLimits(connections=connection_limit()),
            refusals=refusals,
        ),
        ws="none",
        # Not guessed: middleware that hands on at once is no coroutine function.
        interface="asgi3",
        lifespan="on",
        workers=1,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=date_header,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        backlog=BACKLOG,
        timeout_keep_alive=KEEPALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def serve_app(
    app: Any,
    settings: ServerSettings,
    *,
    started: Callable[[str], None],
    date_header: bool = True,
    supervision: Supervision = UNSUPERVISED,
    hang_ups: HangUps | None = None,
    reload: Callable[[], str] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished. `started` is told the address.

    An inherited listener is taken instead of the settings' host and port. Raises OperatorError if it is unfit, the
    address cannot be listened on, or the application does not start.
    """
    is_inherited = supervision.listeners > 0
    listener = _listener(settings, supervision)
    address = _address_of(listener, settings, supervision)
    server = Server(
        build_config(app, settings, date_header=date_header),
        lambda: started(address),
        drain_seconds=HANDOVER_SECONDS if is_inherited else DRAIN_SECONDS,
        supervision=supervision,
        hang_ups=hang_ups,
        reload=reload,
    )
    try:
        server.run(sockets=several(listener))
    finally:
        listener.close()
    if not server.started:
        raise OperatorError("the gateway did not start; the log says why")


def _listener(settings: ServerSettings, supervision: Supervision) -> socket.socket:
    """The inherited one if there is one. Raises OperatorError if it is unfit or the address cannot be listened on."""
    if supervision.listeners:
        return inherited_listener(supervision.listeners)
    return listen(settings.host, settings.port)


def _address_of(listener: socket.socket, settings: ServerSettings, supervision: Supervision) -> str:
    bound, port, *_ = listener.getsockname()
    host = bound if supervision.listeners else settings.host
    return f"http://{host_and_port(host, port)}"
