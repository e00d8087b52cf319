"""One serving gateway for each database."""

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import DatabaseRefused
from gateway.store import create_database
from gateway.store.sqlite.instance_lock import instance_lock
from tests.support import store_at

HOLDER = """
import sys
from pathlib import Path
from gateway.store.sqlite.instance_lock import instance_lock

with instance_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    created = tmp_path / "gateway.db"
    await create_database(created)
    return created


def lock_again(path: Path) -> None:
    with instance_lock(path):
        pass


def test_the_lock_is_a_file_beside_the_database_for_its_owner_only(path: Path) -> None:
    with instance_lock(path):
        assert stat.S_IMODE(Path(f"{path}.lock").stat().st_mode) == 0o600


def test_a_second_lock_is_refused_in_one_line_and_the_first_goes_on(path: Path) -> None:
    with instance_lock(path):
        for _ in range(2):
            with pytest.raises(DatabaseRefused) as refusal:
                lock_again(path)
            assert str(refusal.value) == f"{path}: in use by another gateway; one database is served once"


def test_the_lock_is_free_again_after_its_block(path: Path) -> None:
    lock_again(path)

    lock_again(path)


def test_another_name_of_the_same_database_is_the_same_lock(path: Path, tmp_path: Path) -> None:
    alias = tmp_path / "elsewhere" / "other.db"
    alias.parent.mkdir()
    alias.symlink_to(path)

    with instance_lock(path), pytest.raises(DatabaseRefused):
        lock_again(alias)


def test_a_killed_holder_leaves_no_lock_behind(path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DatabaseRefused):
            lock_again(path)

        holder.send_signal(signal.SIGKILL)
        holder.wait()

    lock_again(path)


def test_a_lock_file_that_cannot_be_opened_is_one_line(path: Path, tmp_path: Path) -> None:
    Path(f"{path}.lock").mkdir()

    with pytest.raises(DatabaseRefused) as refusal:
        lock_again(path)

    assert re.fullmatch(rf"{path}\.lock: cannot be opened: [A-Za-z ]+", str(refusal.value))


def test_a_link_in_the_place_of_the_lock_file_is_not_followed(path: Path, tmp_path: Path) -> None:
    Path(f"{path}.lock").symlink_to(tmp_path / "victim")

    with pytest.raises(DatabaseRefused):
        lock_again(path)

    assert not os.path.lexists(tmp_path / "victim")


async def test_a_database_that_is_served_can_be_opened_by_other_commands(path: Path) -> None:
    with instance_lock(path):
        async with store_at(path) as store:
            await store.is_read_only()
