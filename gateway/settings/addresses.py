"""Host and port of a listener: as text, and where other programs of the machine reach it."""

import ipaddress

LARGEST_PORT = 65535
LOOPBACK = "127.0.0.1"
LOCALHOST = "localhost"
"""May also mean `::1`, where the gateway does not listen."""
REACHABLE = {"": LOOPBACK, "0.0.0.0": LOOPBACK, "::": "::1", LOCALHOST: LOOPBACK}  # noqa: S104 - nothing is bound to it
"""By the host that is listened on."""


def listened_host(host: str) -> str:
    """Return the one address that is listened on for `host`; of `localhost` the one that every machine has."""
    return LOOPBACK if host == LOCALHOST else host


def reachable_host(host: str) -> str:
    """Return where a program on the same machine reaches a listener on `host`."""
    return REACHABLE.get(host, host)


def is_this_machine(host: str) -> bool:
    """Return whether a host's name or address can only mean the machine that says it (RFC 6761 section 6.3)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == LOCALHOST or host.endswith(f".{LOCALHOST}")


def host_of(address: str) -> str:
    """Return the host of an address as `SocketAddress` writes it."""
    return address.rpartition(":")[0].strip("[]")
