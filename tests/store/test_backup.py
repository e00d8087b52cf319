"""Backups: whole, verified, private, and none that is half."""

import itertools
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.errors import DatabaseRefused
from gateway.store import create_database
from gateway.store.backup import back_up
from gateway.store.sqlite.file_format import SCHEMA_VERSION
from tests.store.crash import is_killed
from tests.support import START

PAGE = 4096
NAME = "gateway-20260401T030000.000Z.db"
BACK_UP = "back_up(Path(sys.argv[2]), Path(sys.argv[3]), now=NOW)"


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.db"
    await create_database(path)
    with written(path) as connection:
        connection.execute("INSERT INTO clients (slug, name, plan, created_at) VALUES ('acme', 'A', 'free', '2026')")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "backups"
    path.mkdir()
    return path


@contextmanager
def written(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def is_sound(path: Path) -> bool:
    with written(path) as connection:
        rows = connection.execute("PRAGMA integrity_check").fetchall()
        return rows == [("ok",)] and connection.execute("SELECT slug FROM clients").fetchall() == [("acme",)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_a_backup_is_the_whole_database_and_its_owners_alone(database: Path, folder: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        backup = back_up(database, folder / "one.db", now=START)
    finally:
        os.umask(before)

    assert is_sound(backup.path)
    assert stat.S_IMODE(backup.path.stat().st_mode) == 0o600
    assert backup.contents.rows["clients"] == 1
    assert backup.contents.bytes == backup.path.stat().st_size
    assert backup.contents.version == SCHEMA_VERSION
    assert names(folder) == ["one.db"]


def test_a_backup_in_a_folder_is_named_after_the_time(database: Path, folder: Path) -> None:
    assert back_up(database, folder, now=START).path == folder / NAME
    assert names(folder) == [NAME]


def test_a_backup_of_a_write_ahead_log_is_one_file(database: Path, folder: Path) -> None:
    with written(database) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE clients SET name = 'in the log'")
        assert Path(f"{database}-wal").stat().st_size > 0

        back_up(database, folder, now=START)

    with written(folder / NAME) as copy:
        assert copy.execute("SELECT name FROM clients").fetchall() == [("in the log",)]
        assert copy.execute("PRAGMA journal_mode").fetchall() == [("delete",)]
        assert names(folder) == [NAME]


@pytest.mark.parametrize("content", [None, b"precious"])
def test_nothing_is_overwritten(database: Path, folder: Path, content: bytes | None) -> None:
    path = folder / "one.db"
    if content is None:
        path.symlink_to(folder / "elsewhere.db")
    else:
        path.write_bytes(content)

    with pytest.raises(DatabaseRefused) as refusal:
        back_up(database, path, now=START)

    assert str(refusal.value) == f"{path}: already exists; nothing was changed"
    assert names(folder) == ["one.db"]
    assert content is None or path.read_bytes() == content


def test_only_our_oldest_backups_make_room(database: Path, folder: Path) -> None:
    others = ["notes.txt", "gateway.db", "gateway-20250101T030000.000Z.db", "gateway-20250101T030000.000Z.db.gz"]
    for other in others:
        (folder / other).write_text("of somebody else")
    (folder / "gateway-20250101T040000.000Z.db").symlink_to(database)
    for day in range(4):
        backup = back_up(database, folder, now=START + timedelta(days=day), keep=2)

    assert [path.name for path in backup.removed] == ["gateway-20260402T030000.000Z.db"]
    ours = ["gateway-20260403T030000.000Z.db", "gateway-20260404T030000.000Z.db"]
    assert names(folder) == sorted([*others, "gateway-20250101T040000.000Z.db", *ours])


def test_a_damaged_database_gives_no_backup_and_costs_no_older_one(database: Path, folder: Path) -> None:
    back_up(database, folder, now=START)
    content = bytearray(database.read_bytes())
    content[5 * PAGE] ^= 0xFF
    database.write_bytes(content)

    with pytest.raises(DatabaseRefused, match="damaged"):
        back_up(database, folder, now=START + timedelta(days=1), keep=1)

    assert names(folder) == [NAME]


def test_a_row_that_refers_to_none_is_damage(database: Path, folder: Path) -> None:
    with written(database) as connection:
        connection.execute("INSERT INTO key_usage VALUES ('key', 99, '2026', 1, 0, 0)")

    with pytest.raises(DatabaseRefused, match="damaged: a row of key_usage refers to none of clients"):
        back_up(database, folder, now=START)

    assert names(folder) == []


@pytest.mark.parametrize("pragma", ["application_id = 1", "user_version = 99", "user_version = 0"])
def test_only_databases_of_ours_are_backed_up(database: Path, folder: Path, pragma: str) -> None:
    with written(database) as connection:
        connection.execute(f"PRAGMA {pragma}")

    with pytest.raises(DatabaseRefused):
        back_up(database, folder, now=START)

    assert names(folder) == []


def test_a_folder_that_is_not_there_is_one_line(database: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="cannot be created: No such file or directory"):
        back_up(database, tmp_path / "missing" / "one.db", now=START)


def test_two_backups_to_one_folder_do_not_mix(database: Path, folder: Path) -> None:
    refusals = []

    def back_up_too(_what: str, _done: int, _all: int) -> None:
        with pytest.raises(DatabaseRefused) as refusal:
            back_up(database, folder, now=START + timedelta(days=1))
        refusals.append(str(refusal.value))

    back_up(database, folder, now=START, progress=back_up_too)

    assert set(refusals) == {f"{folder}/gateway-backup.part: being written by another process"}
    assert names(folder) == [NAME]
    assert is_sound(folder / NAME)


def test_a_locked_database_is_waited_for(database: Path, folder: Path) -> None:
    with written(database) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("UPDATE clients SET name = 'B'")
        with pytest.raises(DatabaseRefused, match="locked"):
            back_up(database, folder, now=START)

    assert names(folder) == []
    assert is_sound(back_up(database, folder, now=START).path)


def test_a_kill_at_any_moment_leaves_no_half_of_a_backup(database: Path, folder: Path) -> None:
    for call in itertools.count(1):
        killed = is_killed(call, BACK_UP, str(database), str(folder))
        whole = [path for path in folder.iterdir() if path.name == NAME]
        assert all(is_sound(path) for path in whole)
        assert set(names(folder)) <= {NAME, "gateway-backup.part"}
        if not killed:
            break
        for path in whole:
            path.unlink()

    assert call > 3
    assert names(folder) == [NAME]


def test_a_kill_in_the_middle_of_copying_leaves_no_backup(database: Path, folder: Path) -> None:
    work = "back_up(Path(sys.argv[2]), Path(sys.argv[3]), now=NOW, progress=lambda *_: os.kill(os.getpid(), 9))"

    assert is_killed(0, work, str(database), str(folder))
    assert names(folder) == ["gateway-backup.part"]
    (folder / "gateway-backup.part").write_text("whatever was written until then")

    back_up(database, folder, now=START)

    assert names(folder) == [NAME]
