"""gateway init."""

import json
import os
import sqlite3
from pathlib import Path

import pytest

from gateway.store.sqlite.file_format import SCHEMA_VERSION
from tests.cli.conftest import Cli, invoke, refusal_of


def fresh(folder: Path, url: str = "sqlite:///gateway.db") -> Cli:
    settings = folder / "settings.toml"
    settings.write_text(f'[database]\nurl = "{url}"\n')
    return Cli(settings)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_creates_a_database_that_only_its_owner_can_read(tmp_path: Path, mask: int) -> None:
    cli = fresh(tmp_path)
    before = os.umask(mask)
    try:
        result = cli.ok("init")
    finally:
        os.umask(before)

    assert result.stdout == f"Created {cli.database.resolve()}.\n"
    assert cli.database.stat().st_mode & 0o777 == 0o600


def test_the_database_it_creates_is_empty_and_usable(tmp_path: Path) -> None:
    cli = fresh(tmp_path)
    cli.ok("init")

    assert cli.json("client", "list") == []


def test_tells_the_path_as_json(tmp_path: Path) -> None:
    cli = fresh(tmp_path)

    assert cli.json("init") == {"database": str(cli.database.resolve())}


def test_leaves_no_other_file_behind(tmp_path: Path) -> None:
    fresh(tmp_path).ok("init")

    assert {path.name for path in tmp_path.iterdir()} == {"settings.toml", "gateway.db"}


@pytest.mark.parametrize("content", [b"", b"precious", None], ids=["empty file", "other file", "database"])
def test_refuses_a_file_that_exists_and_leaves_it_alone(tmp_path: Path, content: bytes | None) -> None:
    cli = fresh(tmp_path)
    if content is None:
        cli.ok("init")
    else:
        cli.database.write_bytes(content)
    before = cli.database.read_bytes()

    assert cli.refusal("init") == f"{cli.database.resolve()}: already exists; nothing was changed"
    assert cli.database.read_bytes() == before


def test_refuses_to_follow_a_dangling_link(tmp_path: Path) -> None:
    cli = fresh(tmp_path)
    cli.database.symlink_to(tmp_path / "target.db")

    line = refusal_of(invoke("--settings", str(cli.settings), "init"))

    assert "already exists" in line
    assert not (tmp_path / "target.db").exists()


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    cli = fresh(tmp_path, "sqlite:///missing/gateway.db")

    path = tmp_path.resolve() / "missing" / "gateway.db"
    assert cli.refusal("init") == f"{path}: cannot be created: No such file or directory"


def test_a_folder_in_the_place_of_the_file_is_one_line(tmp_path: Path) -> None:
    cli = fresh(tmp_path)
    cli.database.mkdir()

    assert str(cli.database.resolve()) in cli.refusal("init")


def test_a_path_with_spaces_and_signs_of_urls_is_taken_literally(tmp_path: Path) -> None:
    cli = fresh(tmp_path, "sqlite:///my data?mode=ro#1 %20.db")

    cli.ok("init")
    cli.ok("client", "add", "--name", "Acme", "--slug", "acme")

    assert (tmp_path / "my data?mode=ro#1 %20.db").exists()


def test_marks_the_file_as_ours(tmp_path: Path) -> None:
    cli = fresh(tmp_path)
    cli.ok("init")
    connection = sqlite3.connect(cli.database)
    try:
        assert connection.execute("PRAGMA application_id").fetchone() == (0x736D7274,)
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"this is no database at all, whatever its name says" * 50, "not a gateway database"),
        (b"", "not a gateway database"),
    ],
    ids=["text", "empty"],
)
def test_commands_refuse_a_file_that_is_not_ours(tmp_path: Path, content: bytes, words: str) -> None:
    cli = fresh(tmp_path)
    cli.database.write_bytes(content)

    assert words in cli.refusal("client", "list")
    assert cli.database.read_bytes() == content


def test_commands_refuse_a_newer_database(tmp_path: Path) -> None:
    cli = fresh(tmp_path)
    cli.ok("init")
    connection = sqlite3.connect(cli.database)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    assert "written by a newer gateway" in cli.refusal("client", "list")


def test_json_is_the_only_thing_on_stdout(tmp_path: Path) -> None:
    result = fresh(tmp_path).ok("init", "--json")

    json.loads(result.stdout)
    assert result.stderr == ""
