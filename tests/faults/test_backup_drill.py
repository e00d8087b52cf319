"""Backups made while a gateway and a second process write, and what they are worth when they are needed."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

from gateway.store.backup import back_up
from gateway.store.sqlite.restoration import restoration
from gateway.times import SystemClock
from tests.cli.conftest import Airbyte, environment, finished, wait_until
from tests.faults.disks import fill, small_disk
from tests.faults.installation import Installation, Served, install, refusal

BACKUPS = 20
WRITER = """
import asyncio, itertools
from gateway.times import SystemClock
from gateway.services import build_services
from gateway.settings import load_settings

async def write():
    services = build_services(load_settings(None, {}), SystemClock())
    async with services.opened():
        for number in itertools.count(1):
            await services.keys.create("acme", name=f"n{number}", scope="full", expires=None, rate=None)
            print(number, flush=True)

asyncio.run(write())
"""


class Writer:
    """Keys n1, n2, … as fast as they can be made; each is told when it is kept."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told = 0

    def follow(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.told = int(line)


@contextmanager
def writing(installation: Installation) -> Iterator[Writer]:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER], cwd=installation.folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        writer = Writer(process)
        follower = Thread(target=writer.follow)
        follower.start()
        try:
            wait_until(lambda: writer.told > 0)
            yield writer
        finally:
            process.kill()
            follower.join()


@contextmanager
def triggering(served: Served, connection_id: str, key: str) -> Iterator[list[int]]:
    """The statuses that the gateway's own writes end with."""
    statuses: list[int] = []
    enough = Event()

    def trigger() -> None:
        while not enough.is_set():
            statuses.append(served.trigger(connection_id, key).status_code)

    thread = Thread(target=trigger)
    thread.start()
    try:
        yield statuses
    finally:
        enough.set()
        thread.join()


def numbers_in(path: Path) -> list[int]:
    """Of the writer's keys, in a database that is sound."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        rows = connection.execute("SELECT name FROM api_keys WHERE name GLOB 'n[0-9]*' ORDER BY number").fetchall()
        told = connection.execute("SELECT count(*) FROM activity WHERE action = 'key.create'").fetchone()[0]
    assert told == len(rows) + 1
    return [int(name[1:]) for (name,) in rows]


def test_every_backup_under_load_holds_all_that_was_done_until_then(tmp_path: Path, airbyte: Airbyte) -> None:
    installation = install(tmp_path, airbyte)
    installation.stage("client", "update", "acme", "--most-keys", "100000")
    key = installation.key()
    ((ours, _),) = installation.connections(1)
    folder = tmp_path / "backups"
    folder.mkdir()
    made = []
    with installation.serve() as served, writing(installation) as writer, triggering(served, ours, key) as statuses:
        for _ in range(BACKUPS):
            before = writer.told
            backup = back_up(installation.database, folder, now=SystemClock().now())
            made.append((before, backup.path, backup.contents.rows["api_keys"]))
        assert writer.process.poll() is None
        wait_until(lambda: statuses.count(200) > 1)
    # On a slow disk the other writer may leave no room for two seconds: who triggers is then told to come back.
    assert 200 in statuses
    assert set(statuses) <= {200, 503}

    for number, (before, path, keys) in enumerate(made):
        restored = tmp_path / f"restored-{number}" / "gateway.db"
        restored.parent.mkdir()
        with restoration(restored, path, now=SystemClock().now()) as prepared:
            prepared.install(SystemClock().now())
        numbers = numbers_in(restored)
        assert numbers == list(range(1, len(numbers) + 1))
        assert before <= len(numbers) <= writer.told + 1
        assert keys == len(numbers) + 1
    assert made[0][2] < made[-1][2]

    elsewhere = Installation(tmp_path / f"restored-{BACKUPS - 1}", airbyte)
    elsewhere.settings.write_text(airbyte.settings_toml())
    with elsewhere.serve() as served:
        assert served.get("/status", key).json()["connections"] == 1


def test_a_full_disk_takes_no_backup_and_loses_none(tmp_path: Path, airbyte: Airbyte) -> None:
    installation = install(tmp_path, airbyte)
    with small_disk(tmp_path / "disk") as folder:
        installation.ok("backup", str(folder), "--keep", "1")
        (first,) = folder.iterdir()
        fill(folder)

        line = refusal(installation.run("backup", str(folder), "--keep", "1"))

        assert line.endswith(": database or disk is full")
        assert {path.name for path in folder.iterdir()} == {first.name, "ballast"}
        with closing(sqlite3.connect(first)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_full_disk_restores_nothing_and_loses_nothing(tmp_path: Path, airbyte: Airbyte) -> None:
    with small_disk(tmp_path / "disk") as folder:
        installation = install(folder, airbyte)
        backup = tmp_path / "backup.db"
        installation.ok("backup", str(backup))
        key = installation.key()
        fill(folder)

        line = refusal(finished("restore", str(backup), "--yes", folder=folder))

        assert line.endswith("No space left on device")
        assert {path.name for path in folder.iterdir()} == {"settings.toml", "gateway.db", "gateway.db.lock", "ballast"}
        (folder / "ballast").unlink()
        with installation.serve(tmp_path / "serve.log") as served:
            assert served.get("/status", key).status_code == 200
