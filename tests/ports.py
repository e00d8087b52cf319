"""Ports for servers that cannot say which one they got: the kernel gives these to nobody else meanwhile."""

import os
import socket
from collections.abc import Iterator
from itertools import cycle

FIRST, EACH = 12_000, 2_500
"""All below 32768, where the kernel's own choice begins: for each process of a test run a range of its own."""
PROCESSES = 8


def _candidates() -> Iterator[int]:
    """Begin anywhere: another run on this machine has the same ranges."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
    ports = range(FIRST + process * EACH, FIRST + (process + 1) * EACH)
    begin = os.getpid() % EACH
    return cycle([*ports[begin:], *ports[:begin]])


_ports = _candidates()


def free_ports(count: int) -> list[int]:
    """Return so many ports that nobody listens on, and that no test of another process is given."""
    found: list[int] = []
    while len(found) < count:
        port = next(_ports)
        if _is_free(port):
            found.append(port)
    return found


def free_port() -> int:
    """Return one of them."""
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
