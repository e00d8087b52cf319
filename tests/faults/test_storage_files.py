"""Files that are not what they should be: one clear line, and nothing in the folder changes."""

import hashlib
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store.sqlite.instance_lock import SERVING
from tests.cli.conftest import finished
from tests.faults.disks import mount, small_disk
from tests.faults.installation import refusal

PAGE = 4096
MERE_OWNER = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
"""Root without its right to write everywhere, which hides the modes of files."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a database of several pages."""
    initialise(tmp_path)
    return tmp_path


def initialise(folder: Path) -> None:
    assert finished("init", folder=folder).returncode == 0


def change(sql: str) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(sql)

    return run


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    # The kind of a page: none is 0xff.
    content[2 * PAGE] ^= 0xFF
    path.write_bytes(content)


def overwrite(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 3 * PAGE + 100])


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.suffix != ".lock"
    }


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncate, "damaged"),
        (overwrite(b""), "not a gateway database"),
        (overwrite(b"Dear diary,\n" * 1000), "not a gateway database"),
        (change("PRAGMA application_id = 1"), "not a gateway database"),
        (change("PRAGMA user_version = 99"), "written by a newer gateway"),
    ],
    ids=["truncated", "empty", "text", "of another program", "of a newer gateway"],
)
@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("key", "list")], ids=["serve", "key list"])
def test_a_wrong_file_is_refused_in_one_line_and_left_as_it_is(
    folder: Path, damage: Callable[[Path], None], words: str, command: tuple[str, ...]
) -> None:
    damage(folder / "gateway.db")
    before = fingerprint(folder)

    line = refusal(finished(*command, folder=folder))

    assert words in line
    assert "gateway.db: " in line
    assert fingerprint(folder) == before


def test_a_damaged_page_is_found_when_the_last_gateway_was_killed(folder: Path) -> None:
    flip_a_byte(folder / "gateway.db")
    (folder / "gateway.db.lock").write_bytes(SERVING)

    line = refusal(finished("serve", "--port", "0", folder=folder))

    assert "gateway.db: damaged: " in line
    assert line.endswith("; restore a backup with: gateway restore")


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        initialise(folder)
        assert mount("-o", "remount,ro", str(folder))
        yield folder


def serve_and_list(folder: Path) -> list[subprocess.CompletedProcess[str]]:
    return [finished(*words, folder=folder) for words in (("serve", "--port", "0"), ("key", "list"))]


def test_a_read_only_disk_is_one_line(read_only_disk: Path) -> None:
    for result in serve_and_list(read_only_disk):
        assert refusal(result).endswith("gateway.db: may not be read and written by this user")


def test_nothing_is_created_on_a_read_only_disk(read_only_disk: Path) -> None:
    result = finished("init", "--settings", "settings.toml", folder=read_only_disk)

    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1


def test_a_read_only_database_is_one_line(folder: Path) -> None:
    (folder / "gateway.db").chmod(0o400)

    for arguments in (["serve", "--port", "0"], ["client", "list"]):
        result = finished(*arguments, folder=folder, before=MERE_OWNER)
        assert refusal(result).endswith("gateway.db: may not be read and written by this user")


def test_a_read_only_folder_is_one_line(folder: Path) -> None:
    folder.chmod(0o500)
    try:
        line = refusal(finished("serve", "--port", "0", folder=folder, before=MERE_OWNER))
    finally:
        folder.chmod(0o700)

    assert line.endswith("gateway.db.lock: cannot be opened: Permission denied")
