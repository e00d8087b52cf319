"""Ask an address who answers there: the addresses of its name, its certificate, and one anonymous GET.

Nothing secret is sent but to the proxy that leads to Airbyte, no redirect is followed, and little is read.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Self
from urllib.parse import urlsplit

import httpx2
import msgspec

from gateway import __version__
from gateway.airbyte.dial import dial
from gateway.airbyte.no_answer import NoAnswer, no_answer
from gateway.airbyte.route import DIRECT, Route
from gateway.airbyte.timings import SocketTimings
from gateway.airbyte.tls import verifying_tls
from gateway.airbyte.trouble import PORTS
from gateway.models import SocketAddress

BODY_READ_BYTES = 256 * 1024
SOCKETS = SocketTimings()
PROBE_HEADERS = (
    ("User-Agent", f"airbyte-client-gateway/{__version__}"),
    ("Accept", "*/*"),
    ("Accept-Encoding", "identity"),
    ("Connection", "close"),
)


class Reply(msgspec.Struct, frozen=True):
    """An answer and the beginning of its body."""

    status: int
    content_type: str
    location: str
    body: bytes

    @property
    def is_html(self) -> bool:
        """Whether it is a page, which no API of Airbyte's answers with."""
        return "html" in self.content_type or self.body.lstrip()[:1] == b"<"


class Address(msgspec.Struct, frozen=True):
    """Where a URL leads."""

    host: str
    port: int
    is_tls: bool

    @classmethod
    def of(cls, url: str) -> Self:
        """Return where a URL leads; its port is the scheme's, if it names none."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or PORTS[parts.scheme], parts.scheme == "https")

    def __str__(self) -> str:
        return str(SocketAddress(self.host, self.port))


async def resolve(host: str, *, seconds: float) -> list[str]:
    """Return the addresses of a name, in the order in which they are tried. Raises NoAnswer."""
    async with _within(seconds, asked=host, host=host):
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def certificate_end(address: Address, *, seconds: float, route: Route = DIRECT) -> datetime:
    """Return until when the certificate is good, after a handshake and nothing more. Raises NoAnswer."""
    async with _within(seconds, asked=str(address), host=address.host):
        opened = await dial(address.host, address.port, route.proxy, is_tls=True, seconds=seconds, timings=SOCKETS)
        context = verifying_tls(route.ca_file)
        try:
            _, writer = await asyncio.open_connection(sock=opened, ssl=context, server_hostname=address.host)
        except BaseException:
            opened.close()
            raise
        certificate = writer.get_extra_info("peercert")
        writer.transport.abort()
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


async def get(url: str, *, seconds: float, route: Route = DIRECT) -> Reply:
    """Return the answer to one GET, with the first BODY_READ_BYTES of its body at most. Raises NoAnswer.

    The request goes straight to httpx2's transport: the layer above it reads proxies from the environment and
    fails on a redirect whose address it cannot read.
    """
    address = Address.of(url)
    asked = str(address if address.is_tls or not route.proxy else route.proxy)
    transport_ = _transport(route, is_tls=address.is_tls)
    async with _within(seconds, asked=asked, host=address.host), transport_ as transport:
        response = await transport.handle_async_request(httpx2.Request("GET", url, headers=PROBE_HEADERS))
        return Reply(
            status=response.status_code,
            content_type=response.headers.get("content-type", ""),
            location=response.headers.get("location", ""),
            body=await _beginning(response),
        )


def _transport(route: Route, *, is_tls: bool) -> httpx2.AsyncHTTPTransport:
    # Without TLS no authority is needed, so a broken file of authorities must not matter: this one trusts nobody.
    context = verifying_tls(route.ca_file) if is_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    proxy = httpx2.Proxy(f"http://{route.proxy}", headers=route.proxy.fields) if route.proxy else None
    return httpx2.AsyncHTTPTransport(verify=context, trust_env=False, proxy=proxy)


async def _beginning(response: httpx2.Response) -> bytes:
    """Read the body as it comes, to its end or the cap, also one that is cut short.

    It stays compressed if it is, although we asked for none: it could be a bomb.
    """
    body = b""
    async with aclosing(response.aiter_raw()) as pieces:
        with suppress(httpx2.RemoteProtocolError):
            async for piece in pieces:
                body += piece
                if len(body) >= BODY_READ_BYTES:
                    break
    return body[:BODY_READ_BYTES]


@asynccontextmanager
async def _within(seconds: float, *, asked: str, host: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except httpx2.ProxyError as error:
        raise NoAnswer("proxy", f"the proxy does not lead to {asked}: it answers {error}") from None
    except httpx2.RemoteProtocolError as error:
        does = "breaks the connection off" if _is_disconnect(error) else "does not answer as HTTP"
        raise NoAnswer("broken", f"{asked} {does}") from None
    except (httpx2.TransportError, OSError) as error:
        raise no_answer(error, asked=asked, host=host, seconds=seconds) from None


def _is_disconnect(error: httpx2.RemoteProtocolError) -> bool:
    """Return whether the other end closed before its answer; else the parser complained of what it sent."""
    cause = error.__cause__
    parser_complaint = cause and (cause.__cause__ or cause.__context__)
    return parser_complaint is None
