"""Who may read what, whose the database is, and room on the disk."""

import os
import sqlite3
from pathlib import Path

import msgspec
import pytest

from gateway.doctor import Finding, run_checks
from gateway.doctor.installation import (
    check_notifications,
    check_pages,
    free_disk,
    is_open_to_all,
    judged_user,
    user_name,
)
from gateway.doctor.timings import DoctorTimings
from gateway.settings.secret import Secret, SecretUrl
from gateway.store.disk import DiskRoom
from gateway.store.sqlite.database import journal_mode
from gateway.store.sqlite.instance_lock import instance_lock
from tests.doctor.canned import PATIENT
from tests.postgres import PostgresServer, pgbouncer
from tests.support import World, running_gateway

MEGABYTE = 1_000_000


@pytest.mark.postgresql_only
@pytest.mark.parametrize("is_pooled", [False, True])
async def test_notifications_that_never_arrive_are_noticed(
    tmp_path: Path, postgres: PostgresServer, database_location: SecretUrl, is_pooled: bool
) -> None:
    with pgbouncer(postgres, database_location) as pooled:
        async with running_gateway(tmp_path, location=pooled if is_pooled else database_location) as world:
            timings = DoctorTimings() if is_pooled else PATIENT
            (finding,) = [each async for each in check_notifications(timings, world.services)]

    assert finding.level == ("warn" if is_pooled else "ok"), finding
    assert ("do not arrive" in finding.text) == is_pooled


async def findings(world: World, check: str) -> list[Finding]:
    return [finding async for finding in run_checks(world.services, is_serving=True) if finding.check == check]


def with_secret_in(world: World, *files: Path) -> World:
    settings = msgspec.structs.replace(world.services.settings, secret_files=files)
    object.__setattr__(world.services, "settings", settings)
    return world


@pytest.mark.parametrize(("mode", "level"), [(0o600, "ok"), (0o640, "ok"), (0o644, "fail"), (0o602, "fail")])
async def test_a_secret_that_everybody_can_read_is_told(world: World, tmp_path: Path, mode: int, level: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("")
    path.chmod(mode)

    (finding,) = await findings(with_secret_in(world, path), "files")

    assert finding.level == level
    assert (finding.advice == f"chmod 640 {path}") == (level == "fail")


@pytest.mark.parametrize("suffix", ["", "-journal"])
async def test_a_database_that_everybody_can_read_is_told(world: World, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"gateway.db{suffix}"
    path.touch()
    path.chmod(0o604)

    (finding,) = await findings(world, "files")

    assert (finding.level, finding.advice) == ("fail", f"chmod 600 {path}")


@pytest.mark.parametrize(("mode", "level"), [(0o755, "ok"), (0o757, "fail"), (0o1777, "ok")])
async def test_a_folder_where_everybody_can_replace_the_database_is_told(
    world: World, tmp_path: Path, mode: int, level: str
) -> None:
    tmp_path.chmod(mode)

    (finding,) = await findings(world, "files")

    assert finding.level == level


async def test_a_file_that_went_away_stops_no_other_check(world: World, tmp_path: Path) -> None:
    found = [
        finding async for finding in run_checks(with_secret_in(world, tmp_path / "gone").services, is_serving=True)
    ]

    assert [finding.text for finding in found if finding.level == "fail"] == ["could not be checked: FileNotFoundError"]
    assert found[-1].check == "connections"


async def test_the_database_s_owner_and_check_are_named(world: World) -> None:
    finding, pages = await findings(world, "database")

    assert f"/gateway.db; owner {user_name(os.geteuid())}; SQLite" in finding.text
    assert pages == Finding("database", "ok", "read through: sound")


async def test_a_damaged_page_is_told(world: World, tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    content = bytearray(path.read_bytes())
    content[5 * 4096] ^= 0xFF
    path.write_bytes(content)

    _, finding = await findings(world, "database")

    assert finding.level == "fail"
    assert finding.text.startswith("damaged: ")
    assert finding.advice == "Restore a backup with: gateway restore"


@pytest.mark.skipif(journal_mode(sqlite3.sqlite_version_info) == "wal", reason="readers hold nobody up")
async def test_a_database_that_is_served_is_not_read_through(world: World, tmp_path: Path) -> None:
    with instance_lock(tmp_path / "gateway.db"):
        _, finding = await findings(world, "database")

    assert (finding.level, finding.text) == ("ok", "not read through while it is served")
    assert "gateway backup" in finding.advice


async def test_a_database_that_is_too_large_to_read_through_is_told(world: World) -> None:
    at_once = DoctorTimings(whole_read=0)

    found = [each async for each in check_pages(at_once, world.services)]

    assert [(finding.level, finding.text) for finding in found] == [("ok", "not read to its end within 0 s")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_a_database_of_another_user_than_its_folder_is_told(world: World, tmp_path: Path) -> None:
    os.chown(tmp_path / "gateway.db", 54321, -1)

    _, folder, _ = await findings(world, "database")

    assert (folder.level, folder.text) == (
        "warn",
        f"its folder {tmp_path} belongs to {user_name(0)}, the database to 54321",
    )


@pytest.mark.parametrize(
    ("path", "mode", "expected"),
    [
        ("/etc/gateway/secret", 0o640, False),
        ("/etc/gateway/secret", 0o644, True),
        ("/run/secrets/database_url", 0o444, False),
        ("/run/secrets-of-mine/database_url", 0o444, True),
    ],
)
def test_a_secret_that_a_container_engine_mounts_is_open_to_nobody_else(path: str, mode: int, expected: bool) -> None:
    assert is_open_to_all(Path(path), mode) is expected


def test_a_user_who_leaves_files_that_the_owner_cannot_write_is_told() -> None:
    finding = judged_user(54322, 54321)

    assert finding is not None
    assert (finding.level, finding.text) == ("warn", "belongs to 54321, and this is 54322")


@pytest.mark.parametrize("user", [0, 54321])
def test_root_and_the_owner_leave_none(user: int) -> None:
    assert judged_user(user, 54321) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_a_lock_of_another_user_is_told(world: World, tmp_path: Path) -> None:
    lock = tmp_path / "gateway.db.lock"
    lock.touch()
    os.chown(lock, 54321, -1)

    _, finding, _ = await findings(world, "database")

    assert (finding.level, finding.text) == ("fail", f"{lock} belongs to 54321, the database to {user_name(0)}")
    assert finding.advice.endswith(f"chown --reference={tmp_path / 'gateway.db'} {lock}")


@pytest.mark.parametrize(
    ("free", "size", "level"),
    [
        (100 * MEGABYTE, MEGABYTE, "ok"),
        (100 * MEGABYTE - 1, MEGABYTE, "fail"),
        (600 * MEGABYTE, 200 * MEGABYTE, "ok"),
        (600 * MEGABYTE - 1, 200 * MEGABYTE, "fail"),
    ],
)
def test_free_space_is_measured_by_the_database(free: int, size: int, level: str) -> None:
    assert free_disk(DiskRoom(free, size), Path("/srv")).level == level


async def test_http_basic_is_warned_of(tmp_path: Path) -> None:
    airbyte = {"auth": "basic", "username": "airbyte", "password": Secret("password")}
    async with running_gateway(tmp_path, airbyte=airbyte) as world:
        read, warned = await findings(world, "settings")

    assert (read.level, warned.level) == ("ok", "warn")
    assert "Airbyte Community 2.2 and later refuse" in warned.text
    assert "client_credentials" in warned.advice
