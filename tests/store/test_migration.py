"""Steps from one version of the database to the next, each whole or not at all."""

import asyncio
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway.errors import DatabaseRefused
from gateway.resources import resource_text
from gateway.store.migration import Migrated, is_outdated, migrate, read_steps
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.file_format import OLDEST_VERSION, SCHEMA_VERSION
from tests.cli.conftest import wait_until
from tests.faults.disks import fill, small_disk
from tests.store.crash import PROGRAM
from tests.support import START

OLDEST = Path(__file__).parent / "sqlite" / "schema_1.sql"
COPY = "gateway.db.v1-20260401T030000.000Z.bak"
NOTE = """
-- A semicolon; in a comment, and in a text.
ALTER TABLE clients ADD COLUMN note TEXT NOT NULL DEFAULT 'a;b';
CREATE TRIGGER noted AFTER UPDATE ON clients BEGIN
    UPDATE clients SET note = 'seen' WHERE id = new.id;
    UPDATE clients SET note = note || '!' WHERE id = new.id;
END;
"""
REBUILD = """
CREATE TABLE new_clients (id INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL, created_at TEXT NOT NULL) STRICT;
INSERT INTO new_clients SELECT id, slug, created_at FROM clients;
DROP TABLE clients;
ALTER TABLE new_clients RENAME TO clients;
"""
ENDLESS = """
CREATE TABLE ballast (content TEXT);
INSERT INTO ballast WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 20000)
    SELECT hex(zeroblob(200)) FROM n;
WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n;
"""
MIGRATE = "migrate(Path(sys.argv[2]), read_steps(Path(sys.argv[3])), now=NOW)"


@contextmanager
def written(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def oldest_in(folder: Path) -> Path:
    """A database as the first version made it, with a client that has connections."""
    path = folder / "gateway.db"
    with written(path) as connection:
        connection.executescript(OLDEST.read_text(encoding="utf-8"))
        connection.execute("INSERT INTO clients (slug, name, plan, created_at) VALUES ('acme', 'A', 'free', '2026')")
        connection.execute(
            """
            INSERT INTO connections (id, client_id, connector_type, label, status, created_at)
            VALUES ('conn_1', 1, 'shopify', 'Shop', 'pending', '2026')
            """
        )
    return path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return oldest_in(tmp_path)


def steps_in(folder: Path, *texts: str) -> Path:
    path = folder / "steps"
    path.mkdir()
    for number, text in enumerate(texts, start=2):
        (path / f"{number:04}_step.sqlite.sql").write_text(text)
        (path / f"{number:04}_step.postgres.sql").touch()
    return path


def run(database: Path, *texts: str) -> Migrated | None:
    return migrate(database, read_steps(steps_in(database.parent, *texts)), now=START)


def dump(path: Path) -> tuple[int, list[str]]:
    with written(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute("PRAGMA user_version").fetchone()[0], list(connection.iterdump())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "steps"}


Schema = tuple[dict[str, list[str]], int, int]


def schema_of(path: Path) -> Schema:
    """Each thing's definition without comments, spaces, quotes and the order of its parts; the two numbers."""
    with written(path) as connection:
        rows = connection.execute("SELECT type || ' ' || name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
        return (
            {name: sorted(" ".join(part.split()) for part in parts_of(sql)) for name, sql in rows},
            connection.execute("PRAGMA application_id").fetchone()[0],
            connection.execute("PRAGMA user_version").fetchone()[0],
        )


def parts_of(sql: str) -> Iterator[str]:
    """What stands between commas, but not those within inner brackets."""
    text = re.sub(r"--.*", "", sql).replace('"', "")
    part, depth = "", 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter in ",()" and depth <= 1 and not (letter == ")" and depth == 1):
            yield part
            part = ""
        else:
            part += letter
    yield part


def test_the_oldest_version_and_all_steps_make_the_newest_schema(database: Path, tmp_path: Path) -> None:
    migrate(database, read_steps(), now=START)
    newest = tmp_path / "newest.db"
    with written(newest) as connection:
        connection.executescript(resource_text("schema.sql"))

    assert schema_of(database) == schema_of(newest)
    assert schema_of(newest)[2] == SCHEMA_VERSION == OLDEST_VERSION + len(read_steps())


def test_schemas_are_the_same_in_whatever_order_and_tell_every_difference(database: Path, tmp_path: Path) -> None:
    run(database, "ALTER TABLE clients ADD COLUMN note TEXT CHECK (note <> '')")
    for number, definition in enumerate(["note TEXT CHECK (note <> '')", "note TEXT", "remark TEXT"]):
        path = tmp_path / f"{number}.db"
        with written(path) as connection:
            schema = OLDEST.read_text(encoding="utf-8").replace("user_version = 1", "user_version = 2")
            connection.executescript(schema.replace("    disabled_at   TEXT,", f"    disabled_at TEXT, {definition},"))

        assert (schema_of(path) == schema_of(database)) == (number == 0)


def test_steps_are_taken_in_order_and_a_copy_is_kept(database: Path) -> None:
    before = dump(database)

    done = run(database, NOTE, "UPDATE clients SET plan = note")

    copy = database.parent / COPY
    assert done == Migrated(1, 3, copy)
    assert dump(copy) == before
    assert copy.stat().st_mode & 0o777 == 0o600
    with written(database) as connection:
        assert connection.execute("SELECT plan, note FROM clients").fetchall() == [("a;b", "seen!")]
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    assert names(database.parent) == {"gateway.db", COPY}


def test_the_progress_is_told_also_within_a_long_step(database: Path) -> None:
    told: list[tuple[str, int, int]] = []
    long_step = """
        UPDATE clients SET plan = (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 1000000)
            SELECT count(*) FROM n);
    """

    steps = read_steps(steps_in(database.parent, NOTE, long_step))
    migrate(database, steps, now=START, progress=lambda *word: told.append(word))

    assert {what for what, _, _ in told} == {"Copying", "Checking", "Migrating"}
    steps_told = [(done, total) for what, done, total in told if what == "Migrating"]
    assert [each for number, each in enumerate(steps_told) if each not in steps_told[:number]] == [
        (0, 2),
        (1, 2),
        (2, 2),
    ]
    assert steps_told.count((1, 2)) > 3


def test_a_table_that_others_refer_to_can_be_made_anew(database: Path) -> None:
    run(database, REBUILD)

    with written(database) as connection:
        assert connection.execute("SELECT id, client_id FROM connections").fetchall() == [("conn_1", 1)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_only_the_missing_steps_are_taken(database: Path) -> None:
    steps = read_steps(steps_in(database.parent, "CREATE TABLE second (a)", "CREATE TABLE third (a)"))
    migrate(database, steps[:1], now=START)
    assert is_outdated(database, steps)

    done = migrate(database, steps, now=START)

    assert done is not None
    assert (done.before, done.after) == (2, 3)
    assert not is_outdated(database, steps)
    assert migrate(database, steps, now=START) is None


def test_a_write_ahead_log_is_migrated_too(database: Path) -> None:
    with written(database) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE clients SET name = 'in the log'")
        run(database, NOTE)

    with written(database) as connection:
        assert connection.execute("SELECT name, note FROM clients").fetchall() == [("in the log", "a;b")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CREATE TABLE second (a);\nDELETE FROM clients;\nCREATE TABL third (a);", "syntax error"),
        ("DELETE FROM clients;", "a row of connections refers to none of clients"),
        ("CREATE TABLE second (a); BEGIN;", "cannot start a transaction"),
        ("DELETE FROM connections; ATTACH ':memory:' AS other; VACUUM;", "cannot VACUUM from within a transaction"),
    ],
    ids=["syntax", "reference", "transaction", "vacuum"],
)
def test_a_step_that_fails_leaves_the_file_as_it_was(database: Path, text: str, words: str) -> None:
    before = dump(database)

    with pytest.raises(DatabaseRefused) as refusal:
        run(database, text)

    assert str(refusal.value).startswith(f"{database}: the step 0002_step failed: ")
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert dump(database) == before
    assert dump(database.parent / COPY) == before


def test_a_later_step_that_fails_leaves_the_version_before_it(database: Path) -> None:
    with pytest.raises(DatabaseRefused, match=r"0003_step failed: .*is of version 2 still"):
        run(database, "CREATE TABLE second (a)", "CREATE TABLE second (a)")

    version, statements = dump(database)
    assert version == 2
    assert "CREATE TABLE second (a);" in statements
    assert dump(database.parent / COPY)[0] == 1


def test_a_step_may_not_end_its_transaction(database: Path) -> None:
    with pytest.raises(ValueError, match="must leave the transaction alone"):
        run(database, "CREATE TABLE second (a); COMMIT;")


@pytest.mark.parametrize("names", [["0003_b"], ["0001_a"], ["0002_a", "0002_b"]])
def test_steps_are_numbered_without_a_gap(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / f"{name}.sqlite.sql").touch()
        (tmp_path / f"{name}.postgres.sql").touch()

    with pytest.raises(ValueError, match="numbered from 2 on"):
        read_steps(tmp_path)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_step_needs_a_file_for_each_kind_of_database(tmp_path: Path, kind: str) -> None:
    (tmp_path / f"0002_a.{kind}.sql").touch()

    with pytest.raises(FileNotFoundError, match="0002_a"):
        read_steps(tmp_path)


def test_a_newer_file_is_refused(database: Path) -> None:
    with written(database) as connection:
        connection.execute("PRAGMA user_version = 9")

    for look in (lambda: is_outdated(database, []), lambda: migrate(database, [], now=START)):
        with pytest.raises(DatabaseRefused, match="written by a newer gateway"):
            look()


def test_a_damaged_file_is_not_migrated(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[5 * 4096] ^= 0xFF
    database.write_bytes(content)

    with pytest.raises(DatabaseRefused, match="damaged"):
        run(database, NOTE)

    assert database.read_bytes() == bytes(content)
    assert names(database.parent) == {"gateway.db"}


def test_a_writer_that_does_not_end_is_one_line(database: Path) -> None:
    before = dump(database)
    with written(database) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseRefused, match="database is locked"):
            run(database, NOTE)

    assert dump(database) == before
    assert names(database.parent) == {"gateway.db"}


def test_a_full_disk_is_one_line_and_changes_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder:
        database = oldest_in(folder)
        before = dump(database)
        fill(folder)
        steps = read_steps(steps_in(tmp_path, NOTE))
        with pytest.raises(DatabaseRefused) as refusal:
            migrate(database, steps, now=START)

        assert str(refusal.value).endswith("database or disk is full")
        assert dump(database) == before
        assert names(folder) == {"gateway.db", "ballast"}


def test_a_kill_during_a_step_leaves_the_file_as_it_was(database: Path) -> None:
    before = dump(database)
    folder = steps_in(database.parent, ENDLESS)
    journal = Path(f"{database}-journal")
    process = subprocess.Popen([sys.executable, "-c", PROGRAM + MIGRATE, "0", str(database), str(folder)])
    with process:
        try:
            wait_until(lambda: journal.exists() and journal.stat().st_size > 0 and database.stat().st_size > 1_000_000)
        finally:
            process.kill()

    assert dump(database) == before
    assert dump(database.parent / COPY) == before
    (folder / "0002_step.sqlite.sql").write_text(NOTE)
    (database.parent / COPY).unlink()
    assert migrate(database, read_steps(folder), now=START) is not None


def test_other_commands_refuse_an_older_file_and_say_what_to_do(database: Path) -> None:
    with pytest.raises(DatabaseRefused) as refusal:
        asyncio.run(SqliteDatabase(database, version=2).open())

    assert str(refusal.value) == (
        f"{database}: written by an older gateway (schema 1, this one needs 2); "
        "bring it up to date with: gateway migrate"
    )
