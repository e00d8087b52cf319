"""A real Valkey, or the Redis it comes from, on a free port of this machine; nothing is kept on disk."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from gateway.settings.secret import SecretUrl
from tests.cli.conftest import wait_until
from tests.ports import free_port
from tests.programs import required_program
from tests.support import BOUND_SECONDS

PASSWORD = "planted-password"


def valkey_program() -> str:
    """Return the path of Valkey, or of Redis."""
    return required_program("redis-server")


@dataclass
class ValkeyServer:
    """Can be hurt, and healed again on the same port."""

    folder: Path
    port: int
    password: str = ""
    primary_port: int = 0
    process: "subprocess.Popen[bytes]" = field(init=False)

    @property
    def url(self) -> str:
        return f"redis://{f':{self.password}@' if self.password else ''}127.0.0.1:{self.port}/0"

    @property
    def secret(self) -> SecretUrl:
        return SecretUrl(self.url)

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        options += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        if self.primary_port:
            options += ["--replicaof", f"127.0.0.1 {self.primary_port}"]
        configuration = self.folder / "valkey.conf"
        configuration.write_text(f"requirepass {self.password}\n" if self.password else "")
        self.process = subprocess.Popen([valkey_program(), str(configuration), *options], stdout=subprocess.DEVNULL)
        wait_until(self._answers)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), BOUND_SECONDS) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64) != b""
        return False

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(BOUND_SECONDS)


@contextmanager
def running_valkey(folder: Path, *, password: str = "", primary_port: int = 0) -> Iterator[ValkeyServer]:
    """`primary_port`: that of the server whose replica this one is."""
    server = ValkeyServer(folder, free_port(), password, primary_port)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def operator(server: ValkeyServer) -> Iterator["Redis"]:
    """The operator's own way in, text in and out."""
    with Redis.from_url(server.url, decode_responses=True, encoding_errors="surrogateescape", protocol=2) as redis:
        yield redis
