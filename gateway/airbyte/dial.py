"""Open a socket connection to Airbyte's host, straight or through a proxy. No request of ours is sent here."""

import asyncio
import re
import socket

from gateway.airbyte.route import Proxy
from gateway.airbyte.timings import SocketTimings
from gateway.models import SocketAddress

MAX_TUNNEL_HEAD_BYTES = 16 * 1024
HEAD_END = b"\r\n\r\n"
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")


class ProxyRefused(OSError):
    """The proxy cannot be reached, or does not lead to Airbyte's host."""


async def dial(
    host: str, port: int, proxy: Proxy | None, *, is_tls: bool, seconds: float, timings: SocketTimings
) -> socket.socket:
    """Return a socket to Airbyte's host or, for plain HTTP through a proxy, to the proxy (RFC 9112 section 3.2.2).

    Raises OSError or TimeoutError; ProxyRefused, an OSError, where it is the proxy's fault.
    """
    if proxy is None:
        return await _open_socket(host, port, seconds, timings)
    try:
        opened = await _open_socket(proxy.host, proxy.port, seconds, timings)
    except TimeoutError:
        raise
    except OSError as error:
        raise ProxyRefused(f"{proxy} cannot be reached: {error.strerror or error}") from None
    if is_tls:
        try:
            await _make_tunnel(opened, proxy, str(SocketAddress(host, port)))
        except BaseException:
            opened.close()
            raise
    return opened


async def _make_tunnel(opened: socket.socket, proxy: Proxy, target: str) -> None:
    """Have the proxy lead all that follows to `target` (RFC 9110 section 9.3.6). Raises ProxyRefused, OSError."""
    loop = asyncio.get_running_loop()
    fields = {"Host": target, **proxy.fields}
    lines = [f"CONNECT {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    await loop.sock_sendall(opened, "\r\n".join(lines).encode("ascii"))
    head = b""
    while HEAD_END not in head:
        piece = await loop.sock_recv(opened, MAX_TUNNEL_HEAD_BYTES - len(head))
        if not piece:
            raise ProxyRefused(f"{proxy} does not answer as an HTTP proxy")
        head += piece
    status = STATUS_LINE.match(head)
    if status is None or not status[1].startswith(b"2"):
        what = f"answers {status[1].decode()}" if status else "does not answer as an HTTP proxy"
        raise ProxyRefused(f"{proxy} {what}")
    if not head.endswith(HEAD_END):
        # The host behind it waits for us to begin: these bytes are not its.
        raise ProxyRefused(f"{proxy} sends more than an answer")


async def _open_socket(host: str, port: int, seconds: float, timings: SocketTimings) -> socket.socket:
    """Return a connected socket: of the first address that answers within its part of the time.

    Raises OSError or TimeoutError, that of the last address.
    """
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for number, (family, kind, protocol, _, address) in enumerate(addresses, 1):
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setblocking(False)
            _watch_peer(opened, timings)
            async with asyncio.timeout(seconds / len(addresses)):
                await loop.sock_connect(opened, address)
        except BaseException as error:
            opened.close()
            if number == len(addresses) or not isinstance(error, OSError):
                raise
        else:
            return opened
    raise OSError(f"{host} has no address")


def _watch_peer(opened: socket.socket, timings: SocketTimings) -> None:
    """Have the kernel notice a peer that is gone without a word."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(timings.peer_gone * 1000))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, round(timings.peer_gone)))
