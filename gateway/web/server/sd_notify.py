"""What a supervisor hands to a service and wants to hear of it: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3).

Nothing happens without its variables, and whoever starts the service may as well be something else than systemd.
"""

import asyncio
import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass

from gateway.errors import OperatorError

FIRST_DESCRIPTOR = 3
VARIABLES = (
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
)
MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Supervision:
    """How this process is supervised: not at all, unless something is said."""

    listeners: int = 0
    """Sockets that wait at descriptor 3 and following."""
    notify_address: str = ""
    watchdog_seconds: float = 0.0
    """After this long without a word the process is killed; 0 for never."""


def take_supervision(environment: MutableMapping[str, str], process_ids: frozenset[int]) -> Supervision:
    """Read the variables and remove them, so that no child takes them for its own.

    `process_ids` are those by which the supervisor may know us. Raises OperatorError for nonsense.
    """
    given = {name: environment.pop(name) for name in VARIABLES if name in environment}
    ours = {str(number) for number in process_ids}
    listeners = _count(given, "LISTEN_FDS") if given.get("LISTEN_PID") in ours else 0
    # Without WATCHDOG_PID the watchdog is meant for whoever has the variable.
    is_watched = given.get("WATCHDOG_PID", "") in {"", *ours}
    return Supervision(
        listeners=listeners,
        notify_address=given.get("NOTIFY_SOCKET", ""),
        watchdog_seconds=_count(given, "WATCHDOG_USEC") / MICROSECONDS if is_watched else 0.0,
    )


def _count(given: MutableMapping[str, str], name: str) -> int:
    text = given.get(name, "0")
    if not (text.isascii() and text.isdigit()):
        raise OperatorError(f"environment: {name}: expected a number")
    return int(text)


def inherited_listener(count: int, descriptor: int = FIRST_DESCRIPTOR) -> socket.socket:
    """Return the one listening TCP socket among `count` inherited ones. Raises OperatorError for anything else."""
    if count != 1:
        raise OperatorError(f"inherited {count} sockets instead of one: gateway.socket may have only one ListenStream=")
    try:
        os.set_inheritable(descriptor, False)
        listener = socket.socket(fileno=descriptor)
    except OSError as error:
        raise OperatorError(f"the inherited descriptor {descriptor} is no socket: {error.strerror}") from None
    is_stream = listener.family in (socket.AF_INET, socket.AF_INET6) and listener.type == socket.SOCK_STREAM
    if not (is_stream and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
        listener.detach()
        raise OperatorError(f"the inherited descriptor {descriptor} is no listening TCP socket")
    listener.setblocking(False)
    return listener


class Notifier:
    """Tells the supervisor what the service does. A word that cannot be sent is lost: nothing depends on it."""

    def __init__(self, address: str = "") -> None:
        # The at sign stands for the zero byte of Linux's abstract sockets.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """Tell that the gateway serves; `status` is for people."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self, monotonic: float) -> None:
        """Tell that a reload begins; `ready` must follow. `monotonic`, in seconds, says which reload is meant."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(monotonic * MICROSECONDS)}", "STATUS=Reading the settings")

    def stopping(self) -> None:
        """Tell that the gateway is about to stop."""
        self._send("STOPPING=1", "STATUS=Finishing the requests under way")

    def starting(self, status: str, *, seconds: float) -> None:
        """Tell that the start goes on, and that the next word comes within so many seconds."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * MICROSECONDS)}", f"STATUS={status}")

    def failing(self, why: str) -> None:
        """Tell why the gateway cannot start."""
        self._send(f"STATUS=Cannot start: {why}")

    def alive(self) -> None:
        """Tell that the event loop still turns, before the watchdog's time is up."""
        self._send("WATCHDOG=1")

    async def stay_alive(self, watchdog_seconds: float) -> None:
        """Send a sign of life twice in the time, from the event loop: one that hangs falls silent."""
        while watchdog_seconds:
            self.alive()
            await asyncio.sleep(watchdog_seconds / 2)

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        # One assignment a line: a value with a line break would be a second one.
        message = "\n".join(" ".join(assignment.splitlines()) for assignment in assignments)
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(message.encode(), self._address)
