"""Decide where messages may be sent: to public addresses, and to the internal networks that the operator names.

A customer chooses the address, and the gateway stands inside the operator's network. So every address that a name has
is checked just before it is used, and the connection goes to the address that was checked, never to the name again.
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from gateway.errors import InvalidInput
from gateway.webhooks.public_address import Address, final_address, is_public

LONGEST_URL = 2000
PORTS = {"http": 80, "https": 443}
DNS_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
DNS_NAME = re.compile(rf"(?=.{{1,253}}$)(?:{DNS_LABEL}\.)*(?![0-9]+\.?$|0x)({DNS_LABEL})\.?", re.IGNORECASE)
"""Of a host, as DNS writes it (RFC 1123, and the underscore). What ends in a number is an IPv4 address or no host."""
IN_BRACKETS = re.compile(r"\[[^\[\]]*\](?::[0-9]*)?")
"""An IPv6 address and a port, and nothing else beside the brackets."""

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a name, for a port. Raises OSError."""


class DestinationRefused(Exception):
    """A name leads to no address that may be used. To which it leads is not told: that may be the operator's secret."""


class Destinations:
    """The addresses that messages may be sent to."""

    def __init__(self, allowed_networks: Sequence[str], *, allow_http: bool, look_up: Lookup) -> None:
        """Allow all public addresses, and those in `allowed_networks`, such as 10.0.0.0/8."""
        self._allowed = tuple(ipaddress.ip_network(network, strict=False) for network in allowed_networks)
        self._schemes = ("https", "http") if allow_http else ("https",)
        self._look_up = look_up

    def require_allowed(self, url: str) -> None:
        """Check a URL as far as that can be done without a network. Raises InvalidInput, which quotes nothing of it."""
        if len(url) > LONGEST_URL:
            raise InvalidInput(f"a webhook's URL must have at most {LONGEST_URL} characters")
        try:
            parts = urlsplit(url)
            is_good = (
                _is_host(parts.netloc, parts.hostname or "")
                and parts.port != 0
                and "@" not in parts.netloc
                and not parts.fragment
            )
        except ValueError:
            is_good = False
        is_good = is_good and url.isascii() and url.isprintable() and " " not in url
        if not is_good or parts.scheme not in self._schemes:
            raise InvalidInput(
                f"a webhook's URL must look like {self._schemes[0]}://example.com/hooks, "
                "in ASCII, without a user and without a #"
            )
        literal = _literal(parts.hostname or "")
        if literal is not None and not self._is_allowed(literal):
            raise InvalidInput("a webhook's URL must lead to a public address")

    async def addresses(self, url: str) -> list[str]:
        """Return the addresses of the URL's host, all of them allowed. Raises DestinationRefused."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        try:
            found = [host] if _literal(host) else await self._look_up(host, parts.port or PORTS[parts.scheme])
        except (OSError, UnicodeError):
            raise DestinationRefused from None
        addresses = list(dict.fromkeys(found))
        if not addresses or parts.scheme not in self._schemes or not all(map(self._is_allowed_text, addresses)):
            raise DestinationRefused
        return addresses

    def _is_allowed_text(self, address: str) -> bool:
        literal = _literal(address)
        return literal is not None and self._is_allowed(literal)

    def _is_allowed(self, address: Address) -> bool:
        return is_public(address) or any(final_address(address) in network for network in self._allowed)


def _is_host(netloc: str, host: str) -> bool:
    """Return whether the sender can use the host: a name, an IPv4 address, or an IPv6 address in brackets."""
    if "[" in netloc:
        return IN_BRACKETS.fullmatch(netloc) is not None and isinstance(_literal(host), ipaddress.IPv6Address)
    return DNS_NAME.fullmatch(host) is not None or isinstance(_literal(host), ipaddress.IPv4Address)


def _literal(host: str) -> Address | None:
    """Return the address that is written there; None for a name, and for one with a zone, which is link-local."""
    try:
        return None if "%" in host else ipaddress.ip_address(host)
    except ValueError:
        return None
