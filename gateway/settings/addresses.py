"""Host and port of a listener: as text, and where other programs of the machine reach it."""

LARGEST_PORT = 65535
REACHABLE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}  # noqa: S104 - nothing is bound to it
"""By the host that is listened on. `localhost` may also mean `::1`, where the gateway does not listen."""


def reachable_host(host: str) -> str:
    """Return where a program on the same machine reaches a listener on `host`."""
    return REACHABLE.get(host, host)


def host_and_port(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
