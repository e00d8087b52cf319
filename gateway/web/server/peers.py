"""Who is at the other ends: which are trusted proxies, and how many socket connections each of the others has."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from gateway.auth.guess_throttle import block_of
from gateway.web.fair_share import has_share

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope


SCHEMES = frozenset({b"http", b"https"})


class Peers:
    """Counts the socket connections of one process by their peers. Before a request is read its caller's address is all
    that is known of one.

    A trusted proxy's socket connections bring everybody's requests: they have no share, and none of their own.
    """

    def __init__(self, trusted_proxies: Sequence[str] = ()) -> None:
        self._proxies = ProxyHeadersMiddleware(cast("Any", _take_note), list(trusted_proxies))
        self._has_proxies = bool(trusted_proxies)
        self._connections: dict[str, int] = {}

    def enter(self, address: str, *, open_connections: int, most: int) -> bool:
        """Count a socket connection; return False if its address block has as many as it may, of `most` for all."""
        if self.is_proxy(address):
            return True
        block = block_of(address)
        own = self._connections.get(block, 0)
        if not has_share(own, open_connections, most):
            return False
        self._connections[block] = own + 1
        return True

    def leave(self, address: str) -> None:
        """Count one less, of those that entered."""
        block = block_of(address)
        if block in self._connections:
            self._connections[block] -= 1
            if not self._connections[block]:
                del self._connections[block]

    def read_forwarded(self, scope: "HTTPScope") -> None:
        """Put the caller's address and scheme into the scope, as uvicorn would, where a trusted proxy says them."""
        if not self._has_proxies:
            return
        peer = scope["client"]
        with suppress(StopIteration):
            # It awaits nothing but the application, and ours awaits nothing.
            self._proxies(scope, cast("Any", None), cast("Any", None)).send(None)
        if peer and self.is_proxy(peer[0]):
            _read_scheme(scope)

    def is_proxy(self, address: str) -> bool:
        """Return whether a trusted proxy has this address."""
        return self._has_proxies and address in self._proxies.trusted_hosts


def _read_scheme(scope: "HTTPScope") -> None:
    """Take the first of several schemes, as proxies behind each other list them; uvicorn believes none of those."""
    for name, value in scope["headers"]:
        if name == b"x-forwarded-proto":
            scheme = value.partition(b",")[0].strip().lower()
            if scheme in SCHEMES:
                scope["scheme"] = scheme.decode("ascii")
            return


async def _take_note(scope: Any, receive: Any, send: Any) -> None:
    """Do nothing: what was to be done has been done to the scope."""
