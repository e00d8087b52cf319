"""The command line in this process and in its own, and a sandbox Airbyte on a real port."""

import asyncio
import json
import logging
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Condition, Event, Thread
from time import monotonic
from typing import IO, Any

import httpx2
import pytest
import structlog
from click.testing import CliRunner, Result

from gateway.cli.main import gateway
from gateway.doctor import run_checks
from gateway.sandbox import PUBLIC_API, Sandbox
from gateway.settings import ServerSettings
from gateway.web.server.listener import listen
from gateway.web.server.server import Server, build_config
from tests import plain_http
from tests.doctor.canned import PATIENT
from tests.support import BOUND_SECONDS, PROGRAM

NO_UNITS = Path("/nonexistent")
"""Where commands look for an installed service: this machine may have one."""


@dataclass
class Cli:
    """The command `gateway` with its settings file, in this process."""

    settings: Path

    @property
    def folder(self) -> Path:
        return self.settings.parent

    @property
    def database(self) -> Path:
        return self.folder / "gateway.db"

    def __call__(self, *arguments: str, answer: str | None = None) -> Result:
        return invoke("--settings", str(self.settings), *arguments, answer=answer)

    def ok(self, *arguments: str, answer: str | None = None) -> Result:
        result = self(*arguments, answer=answer)
        assert result.exit_code == 0, result.output
        return result

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--json").stdout)

    def refusal(self, *arguments: str, answer: str | None = None) -> str:
        """What the one line says after `Error: `; nothing on standard output."""
        result = self(*arguments, answer=answer)
        assert result.stdout == ""
        return refusal_of(result)

    def dump(self) -> list[str]:
        """All that the database holds."""
        connection = sqlite3.connect(self.database)
        try:
            return list(connection.iterdump())
        finally:
            connection.close()


def invoke(
    *arguments: str, answer: str | None = None, env: dict[str, str] | None = None, units: Path = NO_UNITS
) -> Result:
    return CliRunner().invoke(
        gateway, arguments, input=answer, env=env, prog_name="gateway", catch_exceptions=False, obj=units
    )


def refusal_of(result: Result) -> str:
    assert result.exit_code == 1, result.output
    *before, line = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert not any("Error" in other or "Traceback" in other for other in before)
    return line.removeprefix("Error: ")


@dataclass
class Airbyte:
    """A sandbox behind a real port."""

    sandbox: Sandbox
    address: str
    loop: asyncio.AbstractEventLoop

    @property
    def base_url(self) -> str:
        return self.address + PUBLIC_API

    def settings_toml(self, **more: str) -> str:
        values = {
            "base_url": self.base_url,
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            **more,
        }
        return "[airbyte]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


@contextmanager
def serving(app: Any) -> Iterator[tuple[str, asyncio.AbstractEventLoop]]:
    """An application on a real port of this machine, in a thread: its address and its loop."""
    settings = ServerSettings(host="127.0.0.1", port=0, trusted_proxies=(), public_url="", metrics_networks=())
    started = Event()
    loops: list[asyncio.AbstractEventLoop] = []

    def start() -> None:
        loops.append(asyncio.get_running_loop())
        started.set()

    with listen(settings.host, settings.port) as listener:
        server = Server(build_config(app, settings, date_header=False), start)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.start()
        try:
            assert started.wait(BOUND_SECONDS)
            yield address, loops[0]
        finally:
            server.should_exit = True
            thread.join(BOUND_SECONDS)
            assert not thread.is_alive()


def wait_until(condition: Callable[[], bool]) -> None:
    """Look until it is so, within the bound."""
    end = monotonic() + BOUND_SECONDS
    pause = Event()
    while not condition():
        assert monotonic() < end, "did not come true"
        pause.wait(0.01)


def listens(address: str) -> bool:
    with plain_http.client() as client:
        try:
            client.get(f"{address}/healthz")
        except httpx2.TransportError:
            return False
        return True


@dataclass
class Program:
    """`gateway …` in a process of its own, and what it has printed so far."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    _news: Condition = field(default_factory=Condition)

    def collect(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self._news:
                lines.append(line.rstrip("\n"))
                self._news.notify_all()

    def wait_for_line(self, lines: list[str], pattern: str) -> re.Match[str]:
        """The first of `lines`, printed or yet to be, that matches."""

        def found() -> re.Match[str] | None:
            return next((match for line in list(lines) if (match := re.search(pattern, line))), None)

        with self._news:
            match = self._news.wait_for(found, BOUND_SECONDS)
        assert match, f"{pattern!r} not printed; out: {self.out}, err: {self.err}"
        return match

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(BOUND_SECONDS)


def environment(**more: str) -> dict[str, str]:
    """This machine's, without what would change the gateway."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "UVICORN_"))}
    return {**kept, "PYTHONUNBUFFERED": "1", **more}


@contextmanager
def running(*arguments: str, folder: Path, **env: str) -> Iterator[Program]:
    """The program, ended with the block if it has not ended by itself."""
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    program = Program(process)
    assert process.stdout
    assert process.stderr
    readers = [
        Thread(target=program.collect, args=(process.stdout, program.out)),
        Thread(target=program.collect, args=(process.stderr, program.err)),
    ]
    for reader in readers:
        reader.start()
    try:
        yield program
    finally:
        # Ctrl-C stops without the pause that SIGTERM makes for load balancers.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(BOUND_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for reader in readers:
            reader.join(BOUND_SECONDS)
        process.stdout.close()
        process.stderr.close()


def finished(*arguments: str, folder: Path, before: Sequence[str] = (), **env: str) -> subprocess.CompletedProcess[str]:
    """The program, run to its end; `before` is a program that starts it with fewer rights."""
    return subprocess.run(
        [*before, *PROGRAM, *arguments],
        cwd=folder,
        env=environment(**env),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Commands configure the process's log; a test hands it back as it was."""
    root = logging.getLogger()
    handlers, level, configuration = list(root.handlers), root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configuration)


@pytest.fixture(autouse=True)
def _patient_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine what answers may take longer than an operator would wait."""
    monkeypatch.setattr("gateway.cli.doctor.run_checks", partial(run_checks, timings=PATIENT))


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A new database; nothing listens where its Airbyte should be."""
    settings = tmp_path / "settings.toml"
    settings.write_text('[airbyte]\nbase_url = "http://127.0.0.1:9/api/public/v1"\n')
    command = Cli(settings)
    command.ok("init")
    return command


@pytest.fixture
def airbyte() -> Iterator[Airbyte]:
    """An empty sandbox on a real port."""
    sandbox = Sandbox(empty=True)
    with ExitStack() as stack:
        address, loop = stack.enter_context(serving(sandbox.app))
        yield Airbyte(sandbox, address, loop)


@pytest.fixture
def connected(cli: Cli, airbyte: Airbyte) -> Cli:
    """The command line of `cli` with the sandbox as its Airbyte."""
    cli.settings.write_text(airbyte.settings_toml())
    return cli
