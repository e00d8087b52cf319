"""A small server of the tests' own that speaks the protocol of Valkey and answers scripts with any bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from gateway.cluster.scripts import PROBE
from gateway.settings.secret import SecretUrl


@dataclass
class RespServer:
    """`to_scripts` goes out for each script; `to_probes` for the probe, which is answered well without it."""

    port: int = 0
    to_scripts: bytes = b""
    to_probes: bytes = b""
    scripts: int = 0

    @property
    def secret(self) -> SecretUrl:
        return SecretUrl(f"redis://127.0.0.1:{self.port}/0")

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while answer := self._answer(await command(reader)):
                writer.write(answer)
        writer.close()

    def _answer(self, words: list[bytes]) -> bytes:
        match words:
            case [b"EVALSHA", digest, b"1", _, nonce] if digest == PROBE.digest.encode():
                return self.to_probes or bulk(nonce)
            case [b"EVALSHA", *_]:
                self.scripts += 1
                return self.to_scripts
            case [b"SCRIPT", *_]:
                return bulk(PROBE.digest.encode())
            case [b"PING"]:
                return b"+PONG\r\n"
            case _:
                return b"+OK\r\n"


async def command(reader: asyncio.StreamReader) -> list[bytes]:
    """Read one command: an array of texts, each with its length before it."""
    count = int((await reader.readuntil())[1:])
    words = []
    for _ in range(count):
        length = int((await reader.readuntil())[1:])
        words.append((await reader.readexactly(length + 2))[:-2])
    return words


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text)


@asynccontextmanager
async def resp_server() -> AsyncIterator[RespServer]:
    server = RespServer()
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
