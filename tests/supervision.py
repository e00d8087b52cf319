"""A supervisor such as systemd: holds the listening socket, starts the service with it, hears what the service says."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread

from tests.cli.conftest import environment, wait_until
from tests.support import BOUND_SECONDS, PROGRAM

LISTENING = re.compile(r'"address":"([^"]+)",.*"event":"listening"')

LAUNCHER = """
import os, sys
descriptor, *command = sys.argv[1:]
if descriptor != "-":
    os.dup2(int(descriptor), 3)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="gateway.socket")
os.execv(command[0], command)
"""
"""Between fork and exec, as systemd does it: LISTEN_PID is known only there."""


@dataclass
class Notified:
    """What came to NOTIFY_SOCKET, each message as its assignments."""

    address: str
    messages: list[dict[str, str]] = field(default_factory=list)
    _news: Condition = field(default_factory=Condition)

    def collect(self, channel: socket.socket) -> None:
        while message := channel.recv(4096).decode():
            with self._news:
                self.messages.append(dict(line.split("=", 1) for line in message.split("\n")))
                self._news.notify_all()

    def wait_for(self, name: str, value: str = "1", *, after: int = 0) -> int:
        """The place among the messages, from `after` on, of the first that says so."""

        def place() -> int | None:
            found = (at for at, message in enumerate(self.messages) if at >= after and message.get(name) == value)
            return next(found, None)

        with self._news:
            assert self._news.wait_for(lambda: place() is not None, BOUND_SECONDS), (name, self.messages)
        at = place()
        assert at is not None
        return at


@contextmanager
def notify_socket(folder: Path, *, abstract: bool = False) -> Iterator[Notified]:
    address = f"@gateway-test-{os.getpid()}-{folder.name}" if abstract else str(folder / "notify")
    bound = address.replace("@", "\0", 1) if abstract else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(bound)
        notified = Notified(address)
        reader = Thread(target=notified.collect, args=(channel,))
        reader.start()
        try:
            yield notified
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"", bound)
            reader.join(BOUND_SECONDS)


@dataclass
class Supervisor:
    """Starts one service after the other on one and the same listener; their log is one file."""

    folder: Path
    listener: socket.socket | None
    notified: Notified

    @property
    def log(self) -> Path:
        return self.folder / "serve.log"

    @property
    def address(self) -> str:
        if self.listener is not None:
            return f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        # The log is written by a thread, which may come after the word that the gateway is ready.
        wait_until(lambda: LISTENING.search(self.log.read_text()) is not None)
        return LISTENING.findall(self.log.read_text())[-1]  # type: ignore[no-any-return]

    @contextmanager
    def serving(self, *arguments: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        """`gateway serve`, ready; killed at the end if it still runs."""
        already = len(self.notified.messages)
        process = self.start(*arguments, **env)
        try:
            self.notified.wait_for("READY", after=already)
            yield process
        finally:
            process.kill()
            process.wait()

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        number = "-" if self.listener is None else str(self.listener.fileno())
        command = [*PROGRAM, "serve", *arguments]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", LAUNCHER, number, *command],
                cwd=self.folder,
                env=environment(NOTIFY_SOCKET=self.notified.address, **env),
                pass_fds=[] if self.listener is None else [self.listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )


@contextmanager
def supervising(folder: Path, *, socket_activated: bool = True, abstract: bool = False) -> Iterator[Supervisor]:
    with notify_socket(folder, abstract=abstract) as notified:
        if not socket_activated:
            yield Supervisor(folder, None, notified)
            return
        with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
            yield Supervisor(folder, listener, notified)


def stop(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(BOUND_SECONDS)
