"""A gateway as its operator has it: a folder, real processes, a sandbox Airbyte on a real port."""

import json
import re
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import time
from typing import Any

import httpx2

from gateway.sandbox import Sandbox
from gateway.sandbox.timeline import Pace, triggered_run
from tests import plain_http
from tests.cli.conftest import Airbyte, environment, finished, invoke, serving, wait_until
from tests.support import BOUND_SECONDS, PROGRAM

LISTENING = re.compile(r'"address":"(http://127\.0\.0\.1:[1-9]\d*)",.*"event":"listening"')
LONG_FRESH = "2999-01-01T00:00:00.000Z"
"""What is known since then need not be asked for while a test runs."""


def key_header(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@dataclass
class Served:
    """A running `gateway serve`; its log is a file, as under a supervisor."""

    process: subprocess.Popen[bytes]
    address: str
    log: Path

    def get(self, path: str, key: str) -> httpx2.Response:
        return self._ask("GET", path, key)

    def trigger(self, connection_id: str, key: str) -> httpx2.Response:
        return self._ask("POST", f"/connections/{connection_id}/sync", key)

    def _ask(self, method: str, path: str, key: str) -> httpx2.Response:
        url = f"{self.address}/api/v1{path}"
        return plain_http.request(method, url, headers=key_header(key))

    def kill(self) -> None:
        """As the kernel does when memory is short: no handler runs."""
        self.process.kill()
        self.process.wait()


@contextmanager
def sandbox_airbyte() -> Iterator[Airbyte]:
    sandbox = Sandbox(empty=True)
    with serving(sandbox.app) as (address, loop):
        yield Airbyte(sandbox, address, loop)


def run_from_now_on(sandbox: Sandbox, job_id: int) -> None:
    """Let a job that is pending run for an hour."""
    known = sandbox.world.history.find(job_id)
    assert known is not None
    job, state = known
    assert state.status == "pending"
    pace = Pace(pending_seconds=time() - job.created_at, running_seconds=3600.0)
    sandbox.world.history.put(replace(job, steps=triggered_run("succeeds", job.created_at, pace)))


@dataclass
class Installation:
    """One client, `acme`, in a new database in `folder`."""

    folder: Path
    airbyte: Airbyte

    @property
    def database(self) -> Path:
        return self.folder / "gateway.db"

    @property
    def settings(self) -> Path:
        return self.folder / "settings.toml"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return finished(*arguments, folder=self.folder)

    def ok(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def stage(self, *arguments: str) -> str:
        """As `ok`, without a process: for what only prepares a test. In a thread, whose event loop is nobody else's."""
        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(invoke, "--settings", str(self.settings), *arguments).result()
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    def key(self) -> str:
        return self.stage("key", "create", "--client", "acme", "--name", "test", "--rate", "100000/60")

    def connections(self, count: int) -> list[tuple[str, str]]:
        """So many new mapped connections of the client's: our ids and Airbyte's."""
        world = self.airbyte.sandbox.world
        workspace = next(iter(world.workspaces), None) or world.add_workspace("Work").workspace_id
        theirs = [world.add_connection(workspace).connection_id for _ in range(count)]
        pairs = [(f"conn_{airbyte_id[:8]}{airbyte_id[-8:]}", airbyte_id) for airbyte_id in theirs]
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.executemany(
                """
                INSERT INTO connections (id, client_id, connector_type, label, status, airbyte_id, workspace_id,
                    status_checked_at, schedule_since, backfilled_at, created_at)
                VALUES (?, 1, 'shopify', 'Shop', 'active', ?, ?, ?, ?, ?, ?)
                """,
                [(ours, airbyte_id, workspace, *[LONG_FRESH] * 4) for ours, airbyte_id in pairs],
            )
        return pairs

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """As another process reads them."""
        with closing(sqlite3.connect(self.database, timeout=BOUND_SECONDS)) as connection:
            return connection.execute(sql, parameters).fetchall()

    @contextmanager
    def serve(self, log: Path | None = None, *, program: Sequence[str] = PROGRAM) -> Iterator[Served]:
        """The service in a process of its own, killed at the end if it still runs."""
        path = log or self.folder / "serve.log"
        path.unlink(missing_ok=True)
        with (
            path.open("wb") as stream,
            subprocess.Popen(
                [*program, "serve", "--port", "0"],
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stream,
            ) as process,
        ):
            try:
                wait_until(lambda: bool(LISTENING.search(path.read_text())) or process.poll() is not None)
                match = LISTENING.search(path.read_text())
                assert match, path.read_text()
                yield Served(process, match[1], path)
            finally:
                process.kill()


def install(folder: Path, airbyte: Airbyte) -> Installation:
    installation = Installation(folder, airbyte)
    installation.settings.write_text(airbyte.settings_toml())
    installation.stage("init")
    installation.stage("client", "add", "--name", "Acme Inc", "--slug", "acme")
    return installation


def refusal(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that was refused."""
    assert result.returncode == 1, result
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    if line.startswith("{"):
        # What serve says goes into its log, which is JSON.
        return f"Error: {json.loads(line)['error']}"
    assert line.startswith("Error: ")
    return line
