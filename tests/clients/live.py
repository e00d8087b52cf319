"""Let a client itself talk to `gateway serve`, and write down what was said on the way between them."""

import asyncio
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep, time

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from gateway.cli.options import with_services
from gateway.settings import load_settings
from gateway.times import parse_duration
from tests.cli.conftest import serving
from tests.clients.catalog import Client
from tests.clients.drivers.scene import PREPARE
from tests.clients.recording import Exchange, Names, Preparation, Recording
from tests.clients.scene import SHORT_LIFE, Scene, names_of, set_up
from tests.faults.installation import Installation, sandbox_airbyte
from tests.plain_http import NO_AUTHORITIES
from tests.support import BOUND_SECONDS

ROOT = Path(__file__).parents[2]
NOT_PASSED_ON = {"connection", "content-length", "transfer-encoding", "accept-encoding", "date", "server"}
QUIET = {"DO_NOT_TRACK": "1", "DAGSTER_DISABLE_TELEMETRY": "1", "AIRBYTE_OFFLINE_MODE": "1", "PYTHONUNBUFFERED": "1"}
"""Nothing is told to anybody else."""


class Recorder:
    """Pure ASGI: a proxy that passes everything on, and writes it down."""

    def __init__(self, upstream: str, now: Callable[[], float]) -> None:
        self.events: list[Exchange | Preparation] = []
        self.began = now()
        self.names = Names({})
        self._upstream = upstream
        self._now = now

    def since(self) -> float:
        """Return the seconds since the beginning."""
        return round(self._now() - self.began, 2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, at = Request(scope, receive), self.since()
        body = await request.body()
        target = scope["raw_path"].decode() + (f"?{request.url.query}" if request.url.query else "")
        headers = [pair for pair in request.headers.items() if pair[0] not in NOT_PASSED_ON]
        async with httpx2.AsyncClient(verify=NO_AUTHORITIES, timeout=BOUND_SECONDS) as http:
            answer = await http.request(request.method, self._upstream + target, headers=headers, content=body)
        said = self.names.request(request.method, target, request.headers, body)
        heard = self.names.answer(answer.status_code, answer.headers, answer.content)
        self.events.append(Exchange(at, said, heard))
        kept = {name: value for name, value in answer.headers.items() if name not in NOT_PASSED_ON}
        await Response(answer.content, answer.status_code, kept)(scope, receive, send)


@dataclass
class Stage:
    """A scene behind a served gateway, and what is recorded of it."""

    scene: Scene
    recorder: Recorder
    address: str
    folder: Path

    def perform(self, client: Client) -> tuple[int, str]:
        """Run the client's driver; return how it ended, and what it printed."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(ROOT), **QUIET}
        with subprocess.Popen(
            [client.python, "-m", f"tests.clients.drivers.{client.driver}"],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdin
            assert process.stdout
            self._tell(process, json.dumps(self.scene.told(self.address)))
            printed = []
            for line in process.stdout:
                printed.append(line)
                if line.startswith(PREPARE):
                    self._prepare(line.removeprefix(PREPARE).strip())
                    self._tell(process, "done")
        return process.returncode, "".join(printed)

    def _prepare(self, what: str) -> None:
        self.recorder.events.append(Preparation(self.recorder.since(), what))
        self.scene.prepare(what, time())

    @staticmethod
    def _tell(process: subprocess.Popen[str], line: str) -> None:
        assert process.stdin
        process.stdin.write(f"{line}\n")
        process.stdin.flush()


@contextmanager
def staged() -> Iterator[Stage]:
    """A gateway in a process of its own, and a recorder in front."""
    with sandbox_airbyte() as airbyte, tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        installation = Installation(folder, airbyte)
        installation.settings.write_text(airbyte.settings_toml())
        installation.stage("init")
        settings = load_settings(installation.settings, {}, working_directory=folder)
        scene = with_services(settings, lambda services: set_up(services, airbyte.sandbox, time()))
        # The key that is to have expired has, also on a quick machine.
        sleep(parse_duration(SHORT_LIFE).total_seconds())
        with installation.serve() as served:
            recorder = Recorder(served.address, time)
            with serving(Starlette(routes=[Mount("", app=recorder)])) as (address, _):
                recorder.names = Names(asyncio.run(_names(scene, served.address, address)))
                yield Stage(scene, recorder, address, folder)


async def _names(scene: Scene, served: str, address: str) -> dict[str, str]:
    async with httpx2.AsyncClient(base_url=served, verify=NO_AUTHORITIES) as http:
        return await names_of(scene, http, address)


def perform(client: Client) -> tuple[Recording, Scene]:
    """Return what was said, and whose the ids in it are. Raises AssertionError with what the driver printed."""
    with staged() as stage:
        status, printed = stage.perform(client)
        assert status == 0, printed
    recorder = stage.recorder
    return Recording(client.name, client.installed(), recorder.began, recorder.events), stage.scene
