"""Finds out who answers at an address: its name, its certificate and one anonymous GET.

For the doctor only. Nothing secret is sent, no redirect followed, no proxy used, and little is read.
"""

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Literal, Self
from urllib.parse import SplitResult, urlsplit

import msgspec

from gateway import __version__
from gateway.airbyte.tls import verifying_tls

Kind = Literal["name", "refused", "timeout", "certificate", "no TLS", "broken"]
MAX_BODY_BYTES = 256 * 1024
PIECE_BYTES = 16 * 1024
PORTS = {"http": 80, "https": 443}
CERTIFICATE_FAULTS = {
    9: "is not valid yet, or this machine's clock is wrong",
    10: "has expired",
    18: "is self-signed",
    19: "is signed by an authority this machine does not know",
    20: "is signed by an authority this machine does not know, or its intermediate certificate is not sent along",
    21: "is signed by an authority this machine does not know, or its intermediate certificate is not sent along",
    62: "is for another name",
    64: "is for another address",
}
"""OpenSSL's X509_V_ERR_… in words."""
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})\b")


class NoAnswer(Exception):
    """Nobody answered; `kind` is for deciding, the text a sentence for people."""

    def __init__(self, kind: Kind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class Reply(msgspec.Struct, frozen=True):
    """An answer and the beginning of its body."""

    status: int
    content_type: str
    location: str
    body: bytes

    @property
    def is_html(self) -> bool:
        return "html" in self.content_type or self.body.lstrip()[:1] == b"<"


class Address(msgspec.Struct, frozen=True):
    """Where a URL leads."""

    host: str
    port: int
    is_tls: bool

    @classmethod
    def of(cls, url: str) -> Self:
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or PORTS[parts.scheme], parts.scheme == "https")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def resolve(host: str, *, seconds: float) -> list[str]:
    """The addresses of a name, in the order in which they are tried. Raises NoAnswer."""
    async with _within(seconds, host, host):
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def certificate_end(address: Address, *, seconds: float) -> datetime:
    """Until when the certificate is good, which it is now. Raises NoAnswer."""
    async with _connected(msgspec.structs.replace(address, is_tls=True), seconds) as (_, writer):
        certificate = writer.get_extra_info("peercert")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


async def get(url: str, *, seconds: float) -> Reply:
    """The answer to one GET. Raises NoAnswer."""
    address = Address.of(url)
    async with _connected(address, seconds) as (reader, writer):
        writer.write(_request(urlsplit(url)))
        head = await reader.readuntil(b"\r\n\r\n")
        status = _STATUS.match(head)
        if status is None:
            raise NoAnswer("broken", f"{address} does not answer as HTTP")
        fields = _fields(head)
        return Reply(
            status=int(status[1]),
            content_type=fields.get("content-type", ""),
            location=fields.get("location", ""),
            body=await _body(reader, fields),
        )


def _request(url: SplitResult) -> bytes:
    lines = [
        f"GET {url.path or '/'} HTTP/1.1",
        f"Host: {url.netloc}",
        f"User-Agent: airbyte-client-gateway/{__version__}",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def _body(reader: asyncio.StreamReader, fields: dict[str, str]) -> bytes:
    """Its beginning. Of a chunked one the sizes are left in: it is only looked through."""
    length = fields.get("content-length", "")
    most = min(int(length), MAX_BODY_BYTES) if length.isascii() and length.isdigit() else MAX_BODY_BYTES
    body = b""
    while len(body) < most and (piece := await reader.read(min(PIECE_BYTES, most - len(body)))):
        body += piece
        if "transfer-encoding" in fields and body.endswith(b"0\r\n\r\n"):
            break
    return body.partition(b"\r\n")[2] if "transfer-encoding" in fields else body


@asynccontextmanager
async def _connected(
    address: Address, seconds: float
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with _within(seconds, str(address), address.host):
        tls = verifying_tls() if address.is_tls else None
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=tls)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


@asynccontextmanager
async def _within(seconds: float, place: str, host: str) -> AsyncIterator[None]:
    try:
        with _translated(place, host):
            async with asyncio.timeout(seconds):
                yield
    except TimeoutError:
        raise NoAnswer("timeout", f"{place} does not answer within {seconds:g} s") from None


@contextmanager
def _translated(place: str, host: str) -> Iterator[None]:
    """What the standard library raises, as NoAnswer."""
    try:
        yield
    except TimeoutError:
        raise
    except socket.gaierror as error:
        raise NoAnswer("name", f"{host} has no address: {error.strerror}") from None
    except ssl.SSLCertVerificationError as error:
        fault = CERTIFICATE_FAULTS.get(error.verify_code, f"does not verify: {error.verify_message}")
        raise NoAnswer("certificate", f"the certificate of {place} {fault}") from None
    except ssl.SSLError:
        raise NoAnswer("no TLS", f"{place} does not speak TLS") from None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionResetError, BrokenPipeError):
        raise NoAnswer("broken", f"{place} breaks the connection off") from None
    except OSError as error:
        if error.errno == errno.ECONNREFUSED or f"[Errno {errno.ECONNREFUSED}]" in str(error):
            raise NoAnswer("refused", f"nothing listens at {place}") from None
        raise NoAnswer("refused", f"{place} cannot be reached: {error.strerror or error}") from None
