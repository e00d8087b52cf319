"""Putting a backup in the place of the database: the old one or the new, never something between."""

import asyncio
import hashlib
import itertools
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.errors import DatabaseRefused
from gateway.store import create_database
from gateway.store.backup import back_up
from gateway.store.sqlite.file_format import SCHEMA_VERSION
from gateway.store.sqlite.instance_lock import instance_lock
from gateway.store.sqlite.restoration import restoration
from tests.store.crash import is_killed
from tests.support import START

PAGE = 4096
KEPT = "gateway.db.replaced-20260401T030000.000Z"
RESTORE = """
with restoration(Path(sys.argv[2]), Path(sys.argv[3]), now=NOW) as prepared:
    prepared.install(NOW)
"""
CRASH = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 2")
connection.execute("BEGIN")
connection.execute("UPDATE clients SET name = 'half done' || zeroblob(20000)")
connection.execute("UPDATE clients SET plan = 'half done'")
os.kill(os.getpid(), 9)
"""


@contextmanager
def written(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


async def database_of(path: Path, slug: str) -> Path:
    await create_database(path)
    with written(path) as connection:
        connection.executemany(
            "INSERT INTO clients (slug, name, plan, created_at) VALUES (?, ?, 'free', '2026')",
            [(slug, "A"), *((f"{slug}-{number}", "A" * 2000) for number in range(20))],
        )
    return path


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return await database_of(tmp_path / "data" / "gateway.db", "old")


@pytest.fixture
async def backup(tmp_path: Path) -> Path:
    source = await database_of(tmp_path / "source.db", "new")
    return back_up(source, tmp_path / "backup.db", now=START).path


def slug_in(path: Path) -> str:
    """The first client's, of a sound database."""
    with written(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (row,) = connection.execute("SELECT slug FROM clients ORDER BY id LIMIT 1").fetchall()
    return str(row[0])


def restore(database: Path, backup: Path) -> Path | None:
    with restoration(database, backup, now=START) as prepared:
        return prepared.install(START)


def fingerprint(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_backup_takes_the_place_of_the_database_which_is_kept(database: Path, backup: Path) -> None:
    before = backup.read_bytes()

    kept = restore(database, backup)

    assert kept == database.parent / KEPT
    assert (slug_in(database), slug_in(kept)) == ("new", "old")
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert backup.read_bytes() == before
    assert not database.samefile(backup)
    assert {path.name for path in database.parent.iterdir()} == {"gateway.db", KEPT}


def test_a_new_machine_has_nothing_to_replace(tmp_path: Path, backup: Path) -> None:
    assert restore(tmp_path / "gateway.db", backup) is None
    assert slug_in(tmp_path / "gateway.db") == "new"


def test_a_link_to_the_database_stays_one(database: Path, backup: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(database)

    restore(link, backup)

    assert link.is_symlink()
    assert slug_in(database) == "new"


def crash(database: Path) -> None:
    """Leave a hot journal."""
    subprocess.run([sys.executable, "-c", CRASH, str(database)], check=False)
    assert Path(f"{database}-journal").stat().st_size > 0


def test_what_a_crash_left_half_done_harms_neither_of_them(database: Path, backup: Path) -> None:
    crash(database)

    kept = restore(database, backup)

    assert kept is not None
    assert (slug_in(database), slug_in(kept)) == ("new", "old")
    with written(kept) as connection:
        assert connection.execute("SELECT DISTINCT plan FROM clients").fetchall() == [("free",)]


def test_a_file_that_is_no_database_is_kept_with_what_lies_beside_it(database: Path, backup: Path) -> None:
    database.write_bytes(b"Dear diary,\n" * 1000)
    Path(f"{database}-wal").write_bytes(b"rubbish")

    kept = restore(database, backup)

    assert kept is not None
    assert slug_in(database) == "new"
    assert kept.read_bytes() == b"Dear diary,\n" * 1000
    assert Path(f"{kept}-wal").read_bytes() == b"rubbish"
    assert not Path(f"{database}-wal").exists()


def test_a_journal_without_a_database_does_not_harm_the_restored_one(database: Path, backup: Path) -> None:
    crash(database)
    database.unlink()

    assert restore(database, backup) is None

    assert slug_in(database) == "new"
    assert Path(f"{database.parent / KEPT}-journal").exists()


def test_a_write_ahead_log_goes_into_the_database_that_is_kept(database: Path, backup: Path) -> None:
    with written(database) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE clients SET slug = 'in-the-log' WHERE id = 1")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        with pytest.raises(DatabaseRefused, match="in use by another process; nothing was changed"):
            restore(database, backup)
    kept = restore(database, backup)

    assert kept is not None
    assert (slug_in(database), slug_in(kept)) == ("new", "in-the-log")


def test_a_command_that_is_writing_is_not_robbed_of_its_file(database: Path, backup: Path) -> None:
    before = fingerprint(database.parent)
    with written(database) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseRefused) as refusal:
            restore(database, backup)

    assert str(refusal.value) == f"{database}: in use by another process; nothing was changed"
    assert fingerprint(database.parent) == before


def test_a_command_that_waited_is_told_that_its_file_was_moved(database: Path, backup: Path) -> None:
    with written(database) as connection:
        connection.execute("SELECT * FROM clients").fetchall()
        restore(database, backup)

        with pytest.raises(sqlite3.OperationalError):
            connection.execute("UPDATE clients SET slug = 'lost' WHERE id = 1")


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5 * PAGE] ^= 0xFF
    path.write_bytes(content)


def pragma(text: str) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        with written(path) as connection:
            connection.execute(f"PRAGMA {text}")

    return run


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip_a_byte, "damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[: 3 * PAGE + 100]), "damaged"),
        (lambda path: path.write_bytes(b""), "not a gateway database"),
        (lambda path: path.write_bytes(b"Dear diary,\n" * 1000), "not a gateway database"),
        (pragma("application_id = 1"), "not a gateway database"),
        (pragma("user_version = 99"), f"written by a newer gateway (schema 99, this one knows {SCHEMA_VERSION})"),
        (lambda path: path.unlink(), "no such backup"),
        (lambda path: (path.unlink(), path.mkdir()), "not a file"),
        (lambda path: Path(f"{path}-journal").write_bytes(b"hot"), "a database in use, not a backup"),
    ],
    ids=["byte", "truncated", "empty", "text", "foreign", "newer", "missing", "folder", "live"],
)
def test_a_wrong_backup_is_one_line_and_changes_nothing(
    database: Path, backup: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(backup)
    before = fingerprint(database.parent)

    with pytest.raises(DatabaseRefused) as refusal:
        restore(database, backup)

    assert str(refusal.value).startswith(f"{backup}: ")
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert fingerprint(database.parent) == before


def test_the_database_itself_is_no_backup(database: Path) -> None:
    with pytest.raises(DatabaseRefused, match="is the database itself"):
        restore(database, database)

    assert slug_in(database) == "old"


def test_a_kill_at_any_moment_leaves_the_old_one_or_the_new(database: Path, backup: Path) -> None:
    found = []
    for call in itertools.count(1):
        crash(database)
        killed = is_killed(call, RESTORE, str(database), str(backup))
        found.append(slug_in(database))
        kept = database.parent / KEPT
        assert found[-1] == "old" or slug_in(kept) == "old"
        if not killed:
            break
        if found[-1] == "new":
            kept.replace(database)
        kept.unlink(missing_ok=True)

    assert found == ["old"] * found.count("old") + ["new"] * found.count("new")
    assert found.count("old") > 3
    assert not Path(f"{database}.part").exists()


KEY = """
INSERT INTO api_keys (id, client_id, digest, start, name, scope, created_at, expires_at)
VALUES (:id, 1, CAST(:id AS BLOB), 'smrt_' || :id || '…', 'nightly', 'full', '2026', :expires_at)
"""
KEYS = ("kept", "revd", "rota", "lost", "gone")


@pytest.fixture
async def copied(tmp_path: Path) -> tuple[Path, Path]:
    """A database and the backup of it, made while everything in it worked."""
    path = await database_of(tmp_path / "gateway.db", "acme")
    with written(path) as connection:
        for name in KEYS:
            connection.execute(KEY, {"id": name, "expires_at": None})
        connection.executescript(
            """
            INSERT INTO users (id, client_id, email, password_hash, created_at)
                VALUES ('ann', 1, 'ann@acme.example', 'old', '2026'), ('bob', 1, 'bob@acme.example', 'old', '2026');
            INSERT INTO sessions (id, digest, user_id, created_at, last_seen_at, address, agent)
                VALUES ('s', x'00', 'ann', '2026', '2026', '', '');
            INSERT INTO links (digest, purpose, user_id, expires_at) VALUES (x'00', 'password', 'bob', '2030');
            """
        )
    return path, back_up(path, tmp_path / "one.db", now=START).path


def ended_keys(database: Path, backup: Path, *, revive_keys: bool = False) -> dict[str, str]:
    with restoration(database, backup, now=START, revive_keys=revive_keys) as prepared:
        prepared.install(START)
        return {key.id: key.ended for key in prepared.endings.keys}


def working_keys(path: Path) -> set[str]:
    with written(path) as connection:
        rows = connection.execute(
            """
            SELECT api_keys.id FROM api_keys JOIN clients ON clients.id = client_id WHERE revoked_at IS NULL
            AND disabled_at IS NULL AND (expires_at IS NULL OR expires_at > '2026-04-01T03:00:00.000Z')
            """
        )
        return {key_id for (key_id,) in rows}


END_KEYS = """
UPDATE api_keys SET revoked_at = '2026-03-01T00:00:00.000Z' WHERE id = 'revd';
UPDATE api_keys SET expires_at = '2026-03-01T00:00:00.000Z' WHERE id = 'rota';
DELETE FROM api_keys WHERE id IN ('lost', 'gone');
INSERT INTO activity (at, client_id, actor, action, subject, by_operator)
    VALUES ('2026', 1, 'operator', 'key.revoke', 'smrt_lost… (nightly)', 1);
"""
"""A key that is gone without an entry may have come after the backup's database was put back: it was not ended."""


def test_keys_that_were_ended_since_stay_ended_and_are_named(copied: tuple[Path, Path]) -> None:
    database, backup = copied
    with written(database) as connection:
        connection.executescript(END_KEYS)

    assert ended_keys(database, backup) == {"revd": "revoked", "rota": "expired", "lost": "removed"}
    assert working_keys(database) == {"kept", "gone"}


def test_keys_that_were_ended_since_work_again_when_that_is_asked_for(copied: tuple[Path, Path]) -> None:
    database, backup = copied
    with written(database) as connection:
        connection.executescript(END_KEYS)

    assert ended_keys(database, backup, revive_keys=True) == {"revd": "revoked", "rota": "expired", "lost": "removed"}
    assert working_keys(database) == set(KEYS)


def test_a_client_that_was_disabled_since_stays_disabled(copied: tuple[Path, Path]) -> None:
    database, backup = copied
    with written(database) as connection:
        connection.execute("UPDATE clients SET disabled_at = '2026' WHERE id = 1")

    assert ended_keys(database, backup) == dict.fromkeys(KEYS, "client disabled")
    assert working_keys(database) == set()


def test_the_keys_of_a_client_that_was_removed_since_stay_ended(copied: tuple[Path, Path]) -> None:
    database, backup = copied
    with written(database) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM clients WHERE id = 1")
        connection.execute(
            """
            INSERT INTO activity (at, client_id, actor, action, subject, by_operator)
            VALUES ('2026', 1, 'operator', 'client.remove', 'A (acme)', 1)
            """
        )

    assert ended_keys(database, backup) == dict.fromkeys(KEYS, "removed")
    assert working_keys(database) == set()


async def test_a_new_installation_ends_nothing(copied: tuple[Path, Path], tmp_path: Path) -> None:
    _, backup = copied
    (tmp_path / "new").mkdir()
    database = await database_of(tmp_path / "new" / "gateway.db", "other")
    with written(database) as connection:
        connection.execute("UPDATE clients SET disabled_at = '2026', created_at = '2027'")

    assert ended_keys(database, backup) == {}
    assert working_keys(database) == set(KEYS)


def test_everybody_is_signed_out_and_no_link_works_again(copied: tuple[Path, Path]) -> None:
    database, backup = copied

    with restoration(database, backup, now=START) as prepared:
        prepared.install(START)

    assert (prepared.contents.rows["sessions"], prepared.contents.rows["links"]) == (0, 0)
    with written(database) as connection:
        assert connection.execute("SELECT * FROM sessions").fetchall() == []
        assert connection.execute("SELECT * FROM links").fetchall() == []


def test_everybody_is_signed_out_on_a_new_machine_too(copied: tuple[Path, Path]) -> None:
    database, backup = copied
    database.unlink()

    with restoration(database, backup, now=START) as prepared:
        prepared.install(START)

    assert not prepared.endings.is_known
    with written(database) as connection:
        assert connection.execute("SELECT * FROM sessions").fetchall() == []
        assert connection.execute("SELECT * FROM links").fetchall() == []


def test_the_keys_of_a_client_that_was_renamed_and_then_removed_stay_ended(copied: tuple[Path, Path]) -> None:
    database, backup = copied
    with written(database) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM clients WHERE id = 1")
        connection.executescript(
            """
            INSERT INTO activity (at, client_id, actor, action, subject, by_operator) VALUES
                ('2026', 1, 'operator', 'client.rename', 'A (acme → acme-inc)', 1),
                ('2026', 1, 'operator', 'client.remove', 'A (acme-inc)', 1);
            """
        )

    assert ended_keys(database, backup) == dict.fromkeys(KEYS, "removed")
    assert working_keys(database) == set()


def test_a_password_stays_the_newest_and_a_removed_user_has_none(copied: tuple[Path, Path]) -> None:
    database, backup = copied
    with written(database) as connection:
        connection.executescript(
            """
            UPDATE users SET password_hash = 'new' WHERE id = 'ann';
            DELETE FROM users WHERE id = 'bob';
            INSERT INTO activity (at, client_id, actor, action, subject, by_operator)
                VALUES ('2026', 1, 'operator', 'user.remove', 'bob@acme.example', 1);
            """
        )

    with restoration(database, backup, now=START) as prepared:
        prepared.install(START)

    assert prepared.endings.users == ("bob@acme.example",)
    with written(database) as connection:
        assert connection.execute("SELECT password_hash FROM users ORDER BY id").fetchall() == [("new",), (None,)]


def test_second_factors_stay_as_they_are_and_used_recovery_codes_stay_used(copied: tuple[Path, Path]) -> None:
    database, _ = copied
    factors = "SELECT id, totp_secret, totp_last_step, totp_since FROM users ORDER BY id"
    codes = "SELECT user_id, digest FROM recovery_codes ORDER BY digest"
    with written(database) as connection:
        connection.executescript(
            """
            UPDATE users SET totp_secret = 'former', totp_since = '2026', totp_last_step = 1 WHERE id = 'ann';
            INSERT INTO recovery_codes (user_id, digest) VALUES ('ann', x'01'), ('ann', x'02');
            INSERT INTO pending_sign_ins (digest, user_id, expires_at, tries) VALUES (x'03', 'ann', '2030', 0);
            """
        )
    backup = back_up(database, database.with_name("two.db"), now=START).path
    with written(database) as connection:
        connection.executescript(
            """
            DELETE FROM recovery_codes WHERE digest = x'01';
            UPDATE users SET totp_last_step = 2 WHERE id = 'ann';
            UPDATE users SET totp_secret = 'new', totp_since = '2026', totp_last_step = 3 WHERE id = 'bob';
            INSERT INTO recovery_codes (user_id, digest) VALUES ('bob', x'04');
            """
        )
        before = connection.execute(factors).fetchall(), connection.execute(codes).fetchall()

    with restoration(database, backup, now=START) as prepared:
        prepared.install(START)

    with written(database) as connection:
        assert (connection.execute(factors).fetchall(), connection.execute(codes).fetchall()) == before
        assert connection.execute("SELECT * FROM pending_sign_ins").fetchall() == []


def test_a_backup_that_is_older_than_second_factors_says_how_many_it_would_drop(copied: tuple[Path, Path]) -> None:
    database, backup = copied
    with written(backup) as connection:
        connection.executescript("DROP TABLE recovery_codes; DROP TABLE pending_sign_ins;")
    with written(database) as connection:
        connection.executescript(
            """
            UPDATE users SET totp_secret = 'on', totp_since = '2026' WHERE id = 'ann';
            UPDATE users SET totp_secret = 'being set up' WHERE id = 'bob';
            """
        )

    with restoration(database, backup, now=START) as prepared:
        assert prepared.endings.lost_second_factors == 1


def test_the_database_that_was_replaced_can_be_put_back(copied: tuple[Path, Path]) -> None:
    database, backup = copied
    with written(database) as connection:
        connection.execute(KEY, {"id": "later", "expires_at": None})
    with restoration(database, backup, now=START) as prepared:
        replaced = prepared.install(START)
    assert replaced is not None
    assert working_keys(database) == set(KEYS)

    with restoration(database, replaced, now=START) as prepared:
        prepared.install(START + timedelta(seconds=1))

    assert working_keys(database) == {*KEYS, "later"}


def test_nobody_writes_between_the_comparison_and_the_replacement(copied: tuple[Path, Path]) -> None:
    database, backup = copied
    with restoration(database, backup, now=START), written(database) as other:
        other.execute("PRAGMA busy_timeout = 0")

        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("UPDATE api_keys SET revoked_at = '2026'")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_the_files_to_whom_they_belong(copied: tuple[Path, Path]) -> None:
    database, backup = copied
    os.chown(database, 12345, 23456)
    database.chmod(0o640)

    with instance_lock(database):
        restore(database, backup)

    restored, lock = database.stat(), Path(f"{database}.lock").stat()
    assert (restored.st_uid, restored.st_gid, stat.S_IMODE(restored.st_mode)) == (12345, 23456, 0o640)
    assert (lock.st_uid, lock.st_gid) == (12345, 23456)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_a_new_database_to_the_owner_of_its_folder(backup: Path, tmp_path: Path) -> None:
    folder = tmp_path / "owned"
    folder.mkdir()
    os.chown(folder, 12345, 23456)

    restore(folder / "gateway.db", backup)
    asyncio.run(create_database(folder / "other.db"))

    for name in ("gateway.db", "other.db"):
        assert ((folder / name).stat().st_uid, (folder / name).stat().st_gid) == (12345, 23456)


def test_what_was_ended_since_stays_ended_in_a_backup_of_the_oldest_version(database: Path, tmp_path: Path) -> None:
    backup = tmp_path / "oldest.db"
    with written(backup) as connection:
        connection.executescript((Path(__file__).parent / "schema_1.sql").read_text(encoding="utf-8"))
        connection.execute(
            "INSERT INTO clients (id, slug, name, plan, created_at) VALUES (1, 'a', 'A', 'free', '2026')"
        )
        connection.execute(KEY, {"id": "revd", "expires_at": None})
    with written(database) as connection:
        connection.execute(KEY, {"id": "revd", "expires_at": None})
        connection.execute("UPDATE api_keys SET revoked_at = '2026'")

    assert ended_keys(database, backup) == {"revd": "revoked"}
    assert working_keys(database) == set()
