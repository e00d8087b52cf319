"""The way to Airbyte, beside its address: whose certificates are believed, and the proxy that leads there."""

import base64
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import msgspec

from gateway.models import SocketAddress
from gateway.settings.secret import Secret, SecretUrl


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy. `authorization` is the value of its header field; empty where it wants none."""

    host: str
    port: int
    authorization: Secret

    @classmethod
    def of(cls, url: SecretUrl) -> Self:
        """Return the proxy at http://[USER:PASSWORD@]HOST:PORT."""
        parts = urlsplit(url.reveal())
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        token = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        return cls(parts.hostname or "", parts.port or 0, Secret(f"Basic {token}" if parts.username else ""))

    @property
    def fields(self) -> dict[str, str]:
        """The header fields that the proxy reads."""
        return {"Proxy-Authorization": self.authorization.reveal()} if self.authorization else {}

    def __str__(self) -> str:
        return str(SocketAddress(self.host, self.port))


class Route(msgspec.Struct, frozen=True):
    """`ca_file` names authorities that are believed beside the machine's. Without a proxy it goes straight."""

    ca_file: Path | None = None
    proxy: Proxy | None = None


DIRECT = Route()
