"""Starting the servers on a core of their own, and ending exactly those."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 15.0
STOP_SECONDS = 10.0
UVICORN = (
    *("--loop", "uvloop", "--http", "httptools", "--ws", "none", "--timeout-keep-alive", "75", "--backlog", "2048"),
    *("--no-access-log", "--no-server-header", "--no-proxy-headers", "--log-level", "warning"),
)
"""The options `gateway.web.server.server` gives uvicorn."""


class Cores:
    """One core for the server under test, another for everything around it; no pinning where there is only one."""

    def __init__(self) -> None:
        available = sorted(os.sched_getaffinity(0))
        self.server = {available[0]}
        self.load = {available[-1]}

    @property
    def are_apart(self) -> bool:
        return self.server != self.load


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    *,
    core: set[int] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process, yield it once it listens on `port`, and end it. Raises RuntimeError with what it said.

    Without a `core` of its own it has those of whoever starts it.
    """
    with log.open("wb") as output, pinned(core or os.sched_getaffinity(0)):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **(environment or {})}
        )
    try:
        _await_port(process, port, log)
        yield process
    finally:
        # Not SIGTERM: after it uvicorn kills its process, and with it a profiler that has yet to write its figures.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def pinned(core: set[int]) -> Iterator[None]:
    """Pin to a core: what is started inside inherits the core, from its first instruction on."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.005)
    raise RuntimeError(f"{process.args!r} does not listen on {port}: {log.read_text()[-2000:]}")


def uvicorn_command(app: str, port: int) -> list[str]:
    return [sys.executable, "-m", "uvicorn", app, "--port", str(port), *UVICORN]
