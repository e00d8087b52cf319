"""Copies that are made while others write."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store import create_database
from gateway.store.sqlite.online_copy import copy_database
from tests.cli.conftest import wait_until
from tests.support import BOUND_SECONDS

ROWS = 3000
"""Of a page or more each: several steps of copying."""
WRITER = """
import sqlite3, sys, time
from time import perf_counter as now
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
number = 0
print("writing", flush=True)
while True:
    number += 1
    began = now()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE clients SET plan = ? WHERE id = 1", (str(number),))
    connection.execute("UPDATE clients SET plan = ? WHERE id = ?", (str(number), int(sys.argv[2])))
    connection.execute("COMMIT")
    # Whoever reads waits for a moment without a lock: on a slow disk, where commits take long, there must be some, too.
    time.sleep(max(0.002, now() - began))
"""


@pytest.fixture
async def large(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.db"
    await create_database(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO clients (slug, name, plan, created_at) VALUES (?, ?, '0', '2026')",
            [(f"client-{number}", "A" * 4096) for number in range(ROWS)],
        )
    return path


@pytest.fixture
def writer(large: Path) -> Iterator[subprocess.Popen[str]]:
    """Commits all the time, to the first page and the last; ends when it cannot."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(large), str(ROWS)], stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "writing\n"
            yield process
        finally:
            process.kill()


def plans(path: Path) -> list[str]:
    with closing(sqlite3.connect(path, timeout=BOUND_SECONDS)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [plan for (plan,) in connection.execute("SELECT plan FROM clients WHERE id IN (1, ?)", (ROWS,))]


def target_in(folder: Path) -> Path:
    path = folder / "copy.db"
    path.touch()
    return path


def test_a_quiet_database_is_copied_in_small_steps(large: Path, tmp_path: Path) -> None:
    seen = []

    copy_database(large, target_in(tmp_path), lambda _, done, total: seen.append((done, total)))

    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


def test_a_busy_one_is_copied_at_one_moment_and_its_writer_goes_on(
    large: Path, tmp_path: Path, writer: subprocess.Popen[str]
) -> None:
    copies = []
    for _ in range(2):
        target = target_in(tmp_path)
        copy_database(large, target)
        first, last = plans(target)
        assert first == last
        copies.append(int(first))
        target.unlink()

    assert copies == sorted(copies)
    wait_until(lambda: int(plans(large)[0]) > copies[-1] or writer.poll() is not None)
    assert writer.poll() is None


def test_commits_between_the_steps_end_in_one_large_step(large: Path, tmp_path: Path) -> None:
    target = target_in(tmp_path)
    steps = []
    with closing(sqlite3.connect(large, isolation_level=None)) as other:

        def commit(_what: str, done: int, total: int) -> None:
            steps.append((done, total))
            if done < total:
                other.execute("UPDATE clients SET plan = plan + 1")

        copy_database(large, target, commit)

    # Each time it began again after its first step, and the last time did not stop before the end.
    assert [done for done, _ in steps[:-1]] == [steps[0][0]] * (len(steps) - 1)
    assert 3 <= len(steps) <= 6
    assert steps[-1][0] == steps[-1][1]
    first, last = plans(target)
    assert first == last == str(len(steps) - 1)
