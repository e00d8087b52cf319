"""Where something listens: an address that a socket connection can be opened to."""

from typing import NamedTuple


class SocketAddress(NamedTuple):
    """A host, by name or by address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return `host:port`, with an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
