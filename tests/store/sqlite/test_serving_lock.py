"""When a gateway reads the whole file before it serves."""

from pathlib import Path

import pytest

from gateway.errors import DatabaseRefused
from gateway.store import create_database
from gateway.store.sqlite.instance_lock import instance_lock, is_held
from gateway.store.sqlite.serving_lock import serving_lock

PAGE = 4096


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    created = tmp_path / "gateway.db"
    await create_database(created)
    return created


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5 * PAGE] ^= 0xFF
    path.write_bytes(content)


def serve(path: Path) -> None:
    with serving_lock(path):
        pass


def test_a_file_that_no_gateway_has_closed_is_read_through(path: Path) -> None:
    damage(path)

    with pytest.raises(DatabaseRefused, match=r"damaged: .*; restore a backup with: gateway restore"):
        serve(path)


def test_a_file_that_the_last_gateway_closed_is_not_read_through(path: Path) -> None:
    serve(path)
    damage(path)

    serve(path)


def test_a_file_is_read_through_after_a_gateway_that_did_not_come_to_its_end(path: Path) -> None:
    serve(path)
    with pytest.raises(RuntimeError), serving_lock(path):
        raise RuntimeError
    damage(path)

    for _ in range(2):
        with pytest.raises(DatabaseRefused, match="damaged"):
            serve(path)


def test_a_command_that_needs_the_file_to_itself_ends_no_gateway(path: Path) -> None:
    with pytest.raises(RuntimeError), serving_lock(path):
        raise RuntimeError
    with instance_lock(path):
        pass
    damage(path)

    with pytest.raises(DatabaseRefused, match="damaged"):
        serve(path)


def test_whether_the_lock_is_held_is_told_without_taking_it(path: Path) -> None:
    assert not is_held(path)
    with instance_lock(path):
        assert is_held(path)
    assert not is_held(path)
