"""A DNS server that knows one kind of answer: the addresses its test gives to every name."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

A = 1
HEADER_BYTES = 12
ANSWER = 0x8180
"""A response, with recursion."""
NO_SUCH_NAME = 3


@dataclass
class NameServer:
    """Where it is asked, and what it answers from now on; no addresses mean that there is no such name."""

    port: int
    addresses: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answer_to(self, query: bytes) -> bytes:
        (number,) = struct.unpack_from("!H", query)
        end = query.index(0, HEADER_BYTES) + 1
        (kind,) = struct.unpack_from("!H", query, end)
        found = self.addresses if kind == A else []
        flags = ANSWER | (0 if self.addresses else NO_SUCH_NAME)
        rows = b"".join(struct.pack("!HHHIH4s", 0xC00C, A, 1, 600, 4, socket.inet_aton(each)) for each in found)
        return struct.pack("!HHHHHH", number, flags, 1, len(found), 0, 0) + query[HEADER_BYTES : end + 4] + rows


@contextmanager
def name_server(*addresses: str) -> Iterator[NameServer]:
    """Answer, on a port of its own."""
    over = Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind(("127.0.0.1", 0))
        channel.settimeout(0.1)
        server = NameServer(channel.getsockname()[1], list(addresses))

        def serve() -> None:
            while not over.is_set():
                try:
                    query, caller = channel.recvfrom(512)
                except TimeoutError:
                    continue
                channel.sendto(server.answer_to(query), caller)

        thread = Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            over.set()
            thread.join()
