"""Send one message to one receiver, and say what came of it. Whoever calls decides what that means."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Protocol

import httpx2

from gateway import __version__
from gateway.webhooks.destination import DestinationRefused, Destinations
from gateway.webhooks.receipt import Receipt

EXCERPT_BYTES = 500
MOST_TRIED = 4
"""Of a name's addresses: each has its part of the time for a connection."""
NOT_PUBLIC = "The name leads to no public address"
UNREACHABLE = "No connection could be made"
NOT_TRUSTED = "Its certificate cannot be trusted"
NOT_HTTP = "It does not answer as HTTP"
NO_ANSWER = "No answer within {seconds:g} seconds"


class Sender(Protocol):
    """Whoever sends messages."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Receipt:
        """Send one message by POST and return what came of it, within a bounded time."""
        ...


class HttpSender:
    """Sends by HTTP, to allowed addresses only.

    Each message has a socket connection of its own: one that is kept belongs to an address, and two names that share
    one must never share a connection.
    """

    def __init__(self, destinations: Destinations, tls: Callable[[], ssl.SSLContext], *, seconds: float) -> None:
        """`tls` is asked once, by the first message; `seconds` is the time for all of one message."""
        self._destinations = destinations
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None
        self._seconds = seconds

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Receipt:
        """POST the body, and return what came of it. Raises nothing: what failed is part of that."""
        try:
            async with asyncio.timeout(self._seconds) as deadline:
                return await self._send(url, headers, body, deadline)
        except DestinationRefused:
            return Receipt(None, error=NOT_PUBLIC)
        except TimeoutError:
            return Receipt(None, error=NO_ANSWER.format(seconds=self._seconds))
        except (httpx2.TransportError, OSError) as error:
            return Receipt(None, error=_reason(error))

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes, deadline: asyncio.Timeout) -> Receipt:
        target = httpx2.URL(url)
        addresses = await self._destinations.addresses(url)
        for address in addresses[:MOST_TRIED]:
            request = _request(target, address, headers, body)
            request.extensions["timeout"] = {"connect": self._seconds / len(addresses[:MOST_TRIED])}
            transport = httpx2.AsyncHTTPTransport(verify=self._context(), trust_env=False)
            try:
                async with transport:
                    response = await transport.handle_async_request(request)
                    return Receipt(response.status_code, await _excerpt(response, deadline))
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                # Nothing was sent, so the next address may have it.
                failure = error
        raise failure

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = self._make_tls()
        return self._tls


def _request(target: httpx2.URL, address: str, headers: Mapping[str, str], body: bytes) -> httpx2.Request:
    """Return a request to the address that was checked, in the name of the host that was asked for."""
    fields = {
        "Host": target.netloc.decode("ascii"),
        "User-Agent": f"airbyte-client-gateway/{__version__}",
        "Content-Type": "application/json",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        **headers,
    }
    # Not `target.host`, which is decoded, and no name that begins with xn-- can always be. RFC 6066 section 3: without
    # the dot at the end of an absolute name; no certificate has one either.
    names_host = {"sni_hostname": target.raw_host.decode("ascii").removesuffix(".")}
    return httpx2.Request("POST", target.copy_with(host=address), headers=fields, content=body, extensions=names_host)


async def _excerpt(response: httpx2.Response, deadline: asyncio.Timeout) -> str:
    """Return the beginning of the body. The status counts: a body that breaks off or never ends changes nothing."""
    body = b""
    until = deadline.when()
    deadline.reschedule(None)
    try:
        async with asyncio.timeout_at(until), aclosing(response.aiter_raw()) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) >= EXCERPT_BYTES:
                    break
    except (TimeoutError, httpx2.TransportError):
        pass
    return body[:EXCERPT_BYTES].decode("utf-8", "replace")


def _reason(error: Exception) -> str:
    if _is_untrusted(error):
        return NOT_TRUSTED
    return NOT_HTTP if isinstance(error, httpx2.ProtocolError) else UNREACHABLE


def _is_untrusted(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
