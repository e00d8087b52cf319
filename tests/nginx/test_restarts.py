"""Restarts behind nginx under load. systemd keeps the listening socket, so nobody is turned away.

RESTARTS sets how many; `make chaos` makes twenty.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest

from gateway.sandbox.history import JobQuery
from tests.cli.conftest import wait_until
from tests.faults.installation import Installation, install, sandbox_airbyte
from tests.faults.wire import Answer, answers_in
from tests.nginx.support import SERVER_NAME, Nginx, running_nginx
from tests.supervision import Supervisor, stop, supervising
from tests.support import BOUND_SECONDS

RESTARTS = int(os.environ.get("RESTARTS", "5"))
GETS_A_SECOND = 200
TRIGGERS_A_SECOND = 5
GETS_BETWEEN = 60
"""Answers of each process before the next takes its place."""
MOST_WAITING = 12
"""Of the requests that no process has answered yet. On a machine that starts a process slowly, all that would come
meanwhile is too much for it at once and would rightly be shed: another test's matter."""
CONNECTIONS = 600
"""Each is triggered once, so that a second job of one is a duplicate."""


@dataclass
class Load:
    """Requests at a steady pace while few wait for an answer; each on a connection of its own to nginx."""

    nginx: Nginx
    key: str
    connections: Iterator[str]
    gets: list[Answer | Exception] = field(default_factory=list)
    triggers: dict[str, Answer | Exception] = field(default_factory=dict)
    has_ended: Event = field(default_factory=Event)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiting: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            passed = 0
            while not self.has_ended.is_set():
                due = int((loop.time() - began) * GETS_A_SECOND)
                for number in range(passed, due):
                    waiting = {task for task in waiting if not task.done()}
                    if len(waiting) >= MOST_WAITING:
                        break
                    waiting.add(group.create_task(self._get()))
                    is_turn = number % (GETS_A_SECOND // TRIGGERS_A_SECOND) == 0
                    if is_turn and (connection_id := next(self.connections, None)):
                        waiting.add(group.create_task(self._trigger(connection_id)))
                passed = due
                await asyncio.sleep(1 / GETS_A_SECOND)

    async def _get(self) -> None:
        self.gets.append(await self._ask("GET", "/api/v1/status"))

    async def _trigger(self, connection_id: str) -> None:
        self.triggers[connection_id] = await self._ask("POST", f"/api/v1/connections/{connection_id}/sync")

    async def _ask(self, method: str, path: str) -> Answer | Exception:
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {SERVER_NAME}",
            f"Authorization: Bearer {self.key}",
            "Content-Length: 0",
            "Connection: close",
        ]
        try:
            async with asyncio.timeout(BOUND_SECONDS):
                reader, writer = await asyncio.open_connection(*self.nginx.address)
                writer.write("\r\n".join([*lines, "", ""]).encode())
                (answer,) = answers_in(await reader.read())
        except (OSError, TimeoutError, ValueError, AssertionError) as error:
            return error
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return answer


def restart_under(load: Load, supervisor: Supervisor) -> None:
    """So often, each time after the process before has answered its part of the load."""
    for _ in range(RESTARTS + 1):
        with supervisor.serving() as process:
            before = len(load.gets)
            wait_until(lambda before=before: len(load.gets) >= before + GETS_BETWEEN)  # type: ignore[misc]  # a lambda's default
            assert stop(process) == 0


def failures(answers: Iterable[Answer | Exception]) -> Counter[str]:
    return Counter(
        f"{answer.status} {answer.body!r}" if isinstance(answer, Answer) else repr(answer)
        for answer in answers
        if not (isinstance(answer, Answer) and answer.status == 200)
    )


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with sandbox_airbyte() as airbyte:
        yield install(tmp_path, airbyte)


def test_no_read_fails_and_no_trigger_is_sent_twice(installation: Installation, tmp_path: Path) -> None:
    pairs = dict(installation.connections(CONNECTIONS))
    folder = tmp_path / "nginx"
    folder.mkdir()
    with supervising(tmp_path) as supervisor, ThreadPoolExecutor(1) as pool:
        assert supervisor.listener
        with running_nginx(folder, supervisor.listener.getsockname()[1]) as nginx:
            load = Load(nginx, installation.key(), iter(pairs))
            generating = pool.submit(asyncio.run, load.run())
            try:
                restart_under(load, supervisor)
                with supervisor.serving():
                    load.has_ended.set()
                    generating.result()
            finally:
                load.has_ended.set()

    assert failures(load.gets) == {}
    assert len(load.triggers) >= RESTARTS
    history = installation.airbyte.sandbox.world.history
    sent = Counter(
        json.loads(request.body)["connectionId"]
        for request in installation.airbyte.sandbox.requests
        if request.method == "POST" and request.path.endswith("/jobs")
    )
    for ours, answer in load.triggers.items():
        theirs = pairs[ours]
        jobs = [job.job_id for job, _ in history.select(JobQuery(connection_id=theirs))]
        assert sent[theirs] == len(jobs) <= 1
        assert isinstance(answer, Answer), answer
        if answer.status == 200:
            assert [json.loads(answer.body)["job"]["jobId"]] == jobs
        else:
            assert answer.status in {502, 503}, answer
            assert answer.error
            assert int(answer.headers["retry-after"]) >= 1
