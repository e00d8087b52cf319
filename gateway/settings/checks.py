"""Rules of single settings that their type cannot state. `origin` names the value at the beginning of an error line."""

import ipaddress
import re
from urllib.parse import SplitResult, parse_qs, urlsplit

from gateway.errors import SettingsError

LONGEST_NUMBER = 5
"""Digits of the number of a database."""
UNREADABLE_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})|%00")
NO_HOST = re.compile(r"[\s/@\[\]]")
"""In an address with more than a host."""
SECRET_OPTIONS = {"password", "sslpassword"}
"""They would be shown: a password is masked only where addresses have it."""


def check_networks(origin: object, networks: tuple[str, ...]) -> None:
    """Check that each is an address or a network. Raises SettingsError, without a word of the value."""
    for number, network in enumerate(networks, 1):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            # Not what was written: it may be a secret that belongs into another line.
            raise SettingsError(f"{origin}: item {number} is no address or network such as 10.0.0.0/8") from None


def check_host(origin: object, host: str) -> None:
    """Check that it can be the host of a listener. Raises SettingsError, without a word of the value."""
    if not host:
        # It would be every interface.
        raise SettingsError(f"{origin}: it is empty; all interfaces are 0.0.0.0 or ::")
    if not host.isprintable() or NO_HOST.search(host):
        raise SettingsError(f"{origin}: expected a host name or an address such as 127.0.0.1 or ::1")


def check_url(origin: object, url: str, *, also: str = "") -> None:
    """Check that it is an HTTP address without user, query or fragment. Raises SettingsError.

    `also` names what else may stand there.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    else:
        good = good and not (parts.query or parts.fragment or "@" in parts.netloc)
    if not (good and url.isascii() and url.isprintable() and " " not in url):
        raise SettingsError(f"{origin}: expected http(s)://HOST/PATH without user, query or fragment{also}")


def check_database(origin: object, url: str, *, file_prefix: str) -> None:
    """Check that it names a file or a PostgreSQL database. Raises SettingsError, without a word of the address."""
    if url.startswith(file_prefix):
        good = url != file_prefix
    else:
        try:
            parts = urlsplit(url)
            good = parts.scheme == "postgresql" and len(parts.path) > 1
            good = good and not SECRET_OPTIONS.intersection(parse_qs(parts.query)) and _is_unambiguous(url, parts)
        except ValueError:
            good = False
        good = good and url.isascii() and url.isprintable() and " " not in url
    if not good:
        # Not what was written: there may be a password in it.
        raise SettingsError(f"{origin}: expected {file_prefix}PATH or postgresql://[USER[:PASSWORD]@]HOST[:PORT]/NAME")


def _is_unambiguous(url: str, parts: SplitResult) -> bool:
    """Return whether the driver reads it as we do: what it cannot read it quotes in its error, password or not."""
    return url.count("@") == parts.netloc.count("@") <= 1 and not UNREADABLE_ESCAPE.search(url)


def check_backend(origin: object, url: str) -> None:
    """Check that it names a Valkey or Redis server. Raises SettingsError, without a word of the address."""
    try:
        parts = urlsplit(url)
        good = _is_server(parts) and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        good = False
    if not good:
        # Not what was written: there may be a password in it.
        raise SettingsError(
            f"{origin}: expected memory or redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER] (or rediss://)"
        )


def check_proxy(origin: object, url: str) -> None:
    """Check that it names an HTTP proxy. Raises SettingsError, without a word of the address."""
    try:
        parts = urlsplit(url)
        good = parts.scheme == "http" and bool(parts.hostname) and bool(parts.port) and _is_unambiguous(url, parts)
        good = good and parts.path in {"", "/"} and not (parts.query or parts.fragment)
    except ValueError:
        good = False
    if not (good and url.isascii() and url.isprintable() and " " not in url):
        # Not what was written: there may be a password in it.
        raise SettingsError(f"{origin}: expected http://[USER:PASSWORD@]HOST:PORT")


def _is_server(parts: SplitResult) -> bool:
    number = parts.path.removeprefix("/")
    is_number = not number or (number.isdigit() and len(number) <= LONGEST_NUMBER)
    is_address = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment)
    return parts.scheme in {"redis", "rediss"} and is_address and is_number
