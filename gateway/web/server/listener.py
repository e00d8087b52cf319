"""The listening socket: bound here or inherited, and how many socket connections it may bring."""

import errno
import resource
import socket

from gateway.errors import OperatorError
from gateway.models import SocketAddress
from gateway.settings import ServerSettings
from gateway.web.server.sd_notify import Supervision, inherited_listener

BACKLOG = 2048
ACCEPTED_AT_ONCE = 8
"""libuv accepts one socket connection per listener in a round of the event loop. With one listener, callers who connect
for each request would queue in the kernel, where nothing can be shed."""
MOST_CONNECTIONS = 10_000
OTHER_PORT = "choose another port with --port"
OTHER_ADDRESS = "choose an address of this machine with --host"
RESERVED_DESCRIPTORS = 128
"""For the database, the log, Airbyte and the listener."""


def obtain_listener(settings: ServerSettings, supervision: Supervision) -> socket.socket:
    """Return the inherited listener, else a bound one. Raises OperatorError if it is unfit or cannot be bound."""
    if supervision.listeners:
        return inherited_listener(supervision.listeners)
    return listen(settings.host, settings.port)


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket. Raises OperatorError if the address is taken, not ours or none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (TypeError, ValueError):  # No name can be so.
        listener.close()
        raise OperatorError(f"cannot listen on {host}:{port}: no host name or address; {OTHER_ADDRESS}") from None
    except OSError as error:
        listener.close()
        is_address = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        other = OTHER_ADDRESS if is_address else OTHER_PORT
        raise OperatorError(f"cannot listen on {host}:{port}: {error.strerror or error}; {other}") from None
    return listener


def several(listener: socket.socket) -> list[socket.socket]:
    """Return the listener and duplicates of it, as many as socket connections are to be accepted at once."""
    return [listener, *(listener.dup() for _ in range(ACCEPTED_AT_ONCE - 1))]


def url_of(listener: socket.socket, settings: ServerSettings, supervision: Supervision) -> str:
    """Return where the listener listens, by the host that the settings name unless it is inherited."""
    bound, port, *_ = listener.getsockname()
    return f"http://{SocketAddress(bound if supervision.listeners else settings.host, port)}"


def connection_limit() -> int:
    """Return as many as leave descriptors for everything else.

    Without a descriptor, nothing could be accepted, read or logged.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(descriptors - RESERVED_DESCRIPTORS, descriptors // 2))
