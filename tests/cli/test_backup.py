"""gateway backup and gateway restore."""

import os
import pty
import re
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

import pytest

from gateway.store.sqlite.file_format import SCHEMA_VERSION
from gateway.store.sqlite.instance_lock import instance_lock
from tests.cli.conftest import Cli, environment, finished
from tests.support import BOUND_SECONDS, PROGRAM

NAME = r"gateway-\d{8}T\d{6}\.\d{3}Z\.db"


@pytest.fixture
def folder(cli: Cli) -> Path:
    """For backups; the database has one client."""
    cli.ok("client", "add", "--name", "Acme", "--slug", "acme")
    path = cli.folder / "backups"
    path.mkdir()
    return path


def slugs(cli: Cli) -> list[str]:
    return [row["slug"] for row in cli.json("client", "list")]


def test_tells_path_size_and_rows(cli: Cli, folder: Path) -> None:
    result = cli.ok("backup", str(folder / "one.db"))

    first, _, *rows = result.stdout.splitlines()
    assert re.fullmatch(rf"Backed up to {folder}/one\.db \(\d+\.\d kB\)\.", first)
    assert dict(row.split() for row in rows)["clients"] == "1"
    assert result.stderr == ""


def test_shows_bars_only_to_a_person_who_waits(cli: Cli, folder: Path) -> None:
    arguments = ("--settings", str(cli.settings), "backup", str(folder))
    reader, terminal = pty.openpty()
    with os.fdopen(reader, "rb") as screen:
        with os.fdopen(terminal, "wb") as stderr:
            done = subprocess.run(
                [*PROGRAM, *arguments],
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=stderr,
                timeout=BOUND_SECONDS,
                check=True,
            )
        shown = seen_on(screen)
    piped = finished(*arguments, folder=cli.folder)

    for what in ("Copying", "Checking"):
        assert re.search(rf"{what}  \[#+\]  100%", shown)
    assert "%" not in done.stdout.decode()
    assert (piped.returncode, piped.stderr) == (0, "")


def seen_on(screen: IO[bytes]) -> str:
    """All that was written to the terminal; when nobody has it open any more, reading on is an error."""
    shown = b""
    with suppress(OSError):
        while part := os.read(screen.fileno(), 4096):
            shown += part
    return shown.decode()


def test_as_json(cli: Cli, folder: Path) -> None:
    row = cli.json("backup", str(folder))

    assert re.fullmatch(rf"{folder}/{NAME}", row["path"])
    assert (row["version"], row["rows"]["clients"], row["removed"]) == (SCHEMA_VERSION, 1, [])
    assert row["bytes"] == Path(row["path"]).stat().st_size


def test_keeps_as_many_as_told(cli: Cli, folder: Path) -> None:
    paths = [cli.json("backup", str(folder), "--keep", "2")["path"] for _ in range(2)]

    assert cli.ok("backup", str(folder), "--keep", "2").stdout.endswith(f"Removed {paths[0]}.\n")
    assert len(list(folder.iterdir())) == 2


def test_keep_needs_a_folder(cli: Cli, folder: Path) -> None:
    assert cli("backup", str(folder / "one.db"), "--keep", "2").exit_code == 2
    assert cli("backup", str(folder), "--keep", "0").exit_code == 2
    assert list(folder.iterdir()) == []


def test_refuses_what_is_there_already(cli: Cli, folder: Path) -> None:
    cli.ok("backup", str(folder / "one.db"))

    assert cli.refusal("backup", str(folder / "one.db")) == f"{folder}/one.db: already exists; nothing was changed"


def test_restores_after_asking_and_keeps_what_was_there(cli: Cli, folder: Path) -> None:
    backup = str(folder / "one.db")
    cli.ok("backup", backup)
    cli.ok("client", "add", "--name", "Later", "--slug", "later")

    assert cli.refusal("restore", backup, answer="n\n") == "nothing was changed"
    assert slugs(cli) == ["acme", "later"]
    result = cli.ok("restore", backup, answer="y\n")

    assert slugs(cli) == ["acme"]
    assert "No key was ended since the backup." in result.stderr
    first, _, *rows, last = result.stdout.splitlines()
    assert first == f"Restored {cli.database.resolve()} from {backup}."
    assert dict(row.split() for row in rows)["clients"] == "1"
    match = re.fullmatch(r"The database that was there is kept as (\S+)\.", last)
    assert match
    with closing(sqlite3.connect(match[1])) as connection:
        assert connection.execute("SELECT count(*) FROM clients").fetchone() == (2,)


def test_lists_the_keys_that_were_ended_since_and_keeps_them_ended(cli: Cli, folder: Path) -> None:
    key = cli.json("key", "create", "--client", "acme", "--name", "nightly report")
    cli.ok("backup", str(folder / "one.db"))
    cli.ok("key", "revoke", key["id"], "--yes")

    result = cli.ok("restore", str(folder / "one.db"), answer="y\n")

    (line,) = (line for line in result.stderr.splitlines() if line.startswith(key["id"]))
    assert re.split("  +", line) == [key["id"], "acme", key["start"], "nightly report", "revoked"]
    assert "The keys listed above stay ended. [y/N]" in result.stderr
    assert [row["revoked_at"] is None for row in cli.json("key", "list")] == [False]


def test_revives_keys_only_when_told_and_asks_with_their_list(cli: Cli, folder: Path) -> None:
    key = cli.json("key", "create", "--client", "acme", "--name", "nightly report")
    cli.ok("backup", str(folder / "one.db"))
    cli.ok("key", "revoke", key["id"], "--yes")

    asked = cli("restore", str(folder / "one.db"), "--revive-keys", answer="n\n")
    assert key["id"] in asked.stderr
    assert "The keys listed above will work again. [y/N]" in asked.stderr
    assert [row["revoked_at"] is None for row in cli.json("key", "list")] == [False]
    told = cli.json("restore", str(folder / "one.db"), "--revive-keys", "--yes")

    assert [(ended["id"], ended["ended"]) for ended in told["ended_keys"]] == [(key["id"], "revoked")]
    assert [row["revoked_at"] is None for row in cli.json("key", "list")] == [True]


def test_says_before_it_asks_how_many_second_factors_the_backup_would_drop(cli: Cli, folder: Path) -> None:
    cli.ok("user", "invite", "--client", "acme", "--email", "ann@acme.example")
    cli.ok("backup", str(folder / "one.db"))
    with closing(sqlite3.connect(folder / "one.db", isolation_level=None)) as older:
        older.executescript("DROP TABLE recovery_codes; DROP TABLE pending_sign_ins;")
    with closing(sqlite3.connect(cli.database, isolation_level=None)) as database:
        database.execute("UPDATE users SET totp_secret = 'A', totp_since = '2026'")

    asked = cli("restore", str(folder / "one.db"), answer="n\n")

    assert "1 person has one today: it will be off, and the password alone signs in." in asked.stderr


def test_says_that_nothing_is_known_of_ended_keys_where_the_database_is_broken(cli: Cli, folder: Path) -> None:
    cli.ok("backup", str(folder / "one.db"))
    cli.database.write_text("Dear diary")

    result = cli.ok("restore", str(folder / "one.db"), answer="y\n")

    assert "There is no database to compare it with: keys revoked since the backup will work again." in result.stderr


def test_restores_on_a_new_machine(cli: Cli, folder: Path) -> None:
    cli.ok("backup", str(folder / "one.db"))
    cli.database.unlink()

    row = cli.json("restore", str(folder / "one.db"), "--yes")

    assert (row["database"], row["replaced"], row["rows"]["clients"]) == (str(cli.database.resolve()), None, 1)
    assert slugs(cli) == ["acme"]


def test_restores_nothing_under_a_gateway_that_serves(cli: Cli, folder: Path) -> None:
    cli.ok("backup", str(folder / "one.db"))
    with instance_lock(cli.database):
        line = cli.refusal("restore", str(folder / "one.db"), "--yes")

    assert line == f"{cli.database.resolve()}: in use by another gateway; one database is served once"


def test_a_wrong_backup_is_one_line(cli: Cli, folder: Path) -> None:
    (folder / "one.db").write_text("Dear diary")

    assert "not a gateway database" in cli.refusal("restore", str(folder / "one.db"), "--yes")
    assert slugs(cli) == ["acme"]
