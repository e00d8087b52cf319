"""The nginx configuration for this gateway, as text: the gateways and the servers in front of them.

`nginx.conf.jinja` is what an operator gets to read. What the gateway says by itself nginx says in the same words.
"""

import ipaddress
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jinja2

from gateway.auth.keys import PREFIX
from gateway.errors import (
    BadRequest,
    ContentTooLarge,
    HeadersTooLarge,
    InternalError,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    RequestTimeout,
    SettingsError,
    UpstreamTimeout,
    UpstreamUnreachable,
    UriTooLong,
)
from gateway.models import SocketAddress
from gateway.resources import resource_text
from gateway.settings import ServerSettings
from gateway.settings.addresses import LARGEST_PORT, host_of, is_this_machine, reachable_host
from gateway.web.compatible_paths import ANY_METHOD, POST_ONLY, title_of

NGINX_TEMPLATE = "deployment/nginx.conf.jinja"
LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
HOST_NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*")
LONGEST_NAME = 253
ELSEWHERE = "the address of this nginx"
ACCESS_LOG = "/var/log/nginx/access.log"
"""Where distributions and nginx's own image have it. It must be named to leave lines out."""
LONGEST_HASHED_NAME = 46
"""Of the names that fit into nginx's usual 64 bytes of a hash's bucket."""
PATH = re.compile(r"/[A-Za-z0-9/._@+,:=~-]+")
"""No character that means anything to nginx."""
RESOLVER = re.compile(r"(?:(?P<v4>[0-9.]+)|\[(?P<v6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?")
DNS_PORT = 53
HOST_OR_IPV4 = re.compile(r"[A-Za-z0-9._-]+")

OURS = (
    BadRequest,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    ContentTooLarge,
    UriTooLong,
    HeadersTooLarge,
    InternalError,
    UpstreamUnreachable,
    Overloaded,
)
NGINX_OWN = {
    403: "Forbidden",
    421: "This host is not served here",
    495: "The client certificate is not valid",
    496: "A client certificate is required",
    497: "Use https",
    501: "Transfer-Encoding is not supported",
    505: "HTTP version is not supported",
}
"""Statuses that the gateway itself has no words for; 497 is nginx's for plain HTTP where TLS is spoken."""
REFUSAL_MESSAGES = dict(sorted({**{error.status: error.message for error in OURS}, **NGINX_OWN}.items()))
TLS_REFUSALS = frozenset({495, 496, 497})
"""Numbers of nginx's own, which callers get as 400."""

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)


class Tls(NamedTuple):
    """Two files, as nginx finds them."""

    certificate: str
    key: str


def nginx_config(
    server: ServerSettings, name: str, tls: Tls | None = None, gateways: Sequence[str] = (), *, resolver: str = ""
) -> str:
    """Return what goes into nginx's `conf.d`. Raises InvalidInput and SettingsError.

    `gateways` are where the gateways listen, as HOST:PORT; without them it is one, where `server` has it. A `resolver`
    is the address of a DNS server that tells all of them by one name, and is asked again and again.
    """
    name = checked_name(name)
    if tls is not None:
        tls = Tls(*map(checked_path, tls))
    found = _addresses(server, gateways)
    if resolver:
        resolver = checked_resolver(resolver)
        require_one_name(gateways)
    template = jinja2.Environment(
        autoescape=False,  # noqa: S701 - no HTML; everything put in was checked for what means something to nginx
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    ).from_string(resource_text(NGINX_TEMPLATE))
    return template.render(
        access_log=ACCESS_LOG,
        ciphers=":".join(CIPHERS),
        compatible={"any_method": ANY_METHOD, "post_only": POST_ONLY},
        command=_command(name, tls, gateways, resolver),
        has_long_name=len(name) > LONGEST_HASHED_NAME,
        key_prefix=PREFIX,
        messages=REFUSAL_MESSAGES,
        problems={reason: (status, title_of(status)) for reason, status in map(_with_status, REFUSAL_MESSAGES)},
        name=name,
        outcome_unknown=OutcomeUnknown.message,
        public_url=_public_url(name, tls),
        resolver=resolver,
        source=_source(server, gateways),
        timed_out=UpstreamTimeout.message,
        tls=tls,
        gateways=found,
    )


def missing_settings(
    server: ServerSettings, name: str, tls: Tls | None = None, gateways: Sequence[str] = ()
) -> Iterator[str]:
    """Say what the gateway's settings lack for this nginx, and what comes of it. Raises SettingsError."""
    source = _source(server, gateways)
    if source == ELSEWHERE:
        if not server.trusted_proxies:
            yield (
                "server.trusted_proxies is empty: put this nginx's address there on each gateway, "
                "otherwise all callers seem to have nginx's address, and links use http"
            )
    elif not _is_trusted(source, server.trusted_proxies):
        yield (
            f'server.trusted_proxies lacks {source}: set trusted_proxies = ["{source}"], '
            "otherwise all callers seem to have nginx's address, and links use http"
        )
    url = _public_url(name, tls)
    if server.public_url.rstrip("/") != url:
        yield f'server.public_url is "{server.public_url}": set public_url = "{url}", or links are wrong'


def checked_name(name: str) -> str:
    """Return a host name in small letters. Raises InvalidInput."""
    if len(name) <= LONGEST_NAME and HOST_NAME.fullmatch(name.lower()):
        return name.lower()
    raise InvalidInput(f"{name!r} is no host name such as gateway.example.com (of letters beyond a-z: its xn-- form)")


def checked_path(path: str) -> str:
    """Return a path that means nothing else to nginx. Raises InvalidInput."""
    if PATH.fullmatch(path):
        return path
    raise InvalidInput(f"{path!r} is no absolute path of letters, digits and /._@+,:=~- alone, as nginx can take it")


def checked_gateway(address: str) -> str:
    """Return an address and a port, IPv6 in brackets. Raises InvalidInput."""
    host, _, port = address.rpartition(":")
    is_address = HOST_OR_IPV4.fullmatch(host) or (host[:1] == "[" and host[-1:] == "]" and _is_ipv6(host[1:-1]))
    if is_address and port.isascii() and port.isdigit() and 0 < int(port) <= LARGEST_PORT:
        return address
    raise InvalidInput(f"{address!r} is no HOST:PORT such as 10.0.0.1:8080 or [::1]:8080")


def checked_resolver(address: str) -> str:
    """Return the address of a DNS server, with a port or without, IPv6 in brackets. Raises InvalidInput."""
    match = RESOLVER.fullmatch(address)
    try:
        if match and 0 < int(match["port"] or DNS_PORT) <= LARGEST_PORT:
            ipaddress.ip_address(match["v4"] or match["v6"])
            return address
    except ValueError:
        pass
    raise InvalidInput(f"{address!r} is no address of a DNS server such as 127.0.0.11 or [::1]:5353")


def require_one_name(gateways: Sequence[str]) -> None:
    """Check that there is one name to ask for. Raises InvalidInput."""
    host = gateways[0].rpartition(":")[0] if len(gateways) == 1 else ""
    if not HOST_OR_IPV4.fullmatch(host) or host.replace(".", "").isdigit():
        raise InvalidInput("--resolver goes with one --upstream, whose name has the addresses of all gateways")


def _with_status(reason: int) -> tuple[int, int]:
    """Return nginx's number for a refusal, and the status that callers get."""
    return reason, BadRequest.status if reason in TLS_REFUSALS else reason


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _addresses(server: ServerSettings, gateways: Sequence[str]) -> list[str]:
    if gateways:
        return [checked_gateway(gateway) for gateway in gateways]
    return [str(SocketAddress(_host(server), server.port))]


def _source(server: ServerSettings, gateways: Sequence[str]) -> str:
    """Return from where nginx comes to the gateway: this machine, or an address that only its operator knows."""
    if not gateways:
        return _host(server)
    hosts = set(map(host_of, gateways))
    return hosts.pop() if len(hosts) == 1 and all(map(is_this_machine, hosts)) else ELSEWHERE


def _host(server: ServerSettings) -> str:
    """Return where nginx, on the same machine, reaches the gateway and from where it comes. Raises SettingsError."""
    if server.port == 0:
        raise SettingsError("server.port is 0, any free one: nginx has to be told which")
    host = reachable_host(server.host)
    if HOST_OR_IPV4.fullmatch(host):
        return host
    try:
        # IPv6 in its shortest form, as nginx will come from it. A zone ("%eth0") is nothing it knows.
        return str(ipaddress.IPv6Address(host.replace("%", "/")))
    except ValueError:
        raise SettingsError(f"server.host: {server.host!r} is neither an address nor a name") from None


def _is_trusted(source: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        # A name: where it leads is not asked for here.
        return bool(networks)
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)


def _public_url(name: str, tls: Tls | None) -> str:
    return f"{'https' if tls else 'http'}://{name}"


def _command(name: str, tls: Tls | None, gateways: Sequence[str], resolver: str) -> str:
    options = [word for gateway in gateways for word in ("--upstream", gateway)]
    options += ["--resolver", resolver] if resolver else []
    return shlex.join(["gateway", "nginx-config", "--server-name", name, *(["--tls", *tls] if tls else []), *options])
