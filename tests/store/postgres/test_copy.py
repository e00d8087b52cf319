"""A file's rows on a server: all of them, as they were, whatever happened on the way."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway.errors import DatabaseRefused
from gateway.models import Client
from gateway.settings.secret import SecretUrl
from gateway.store import create_database
from gateway.store.postgres.copy import read_tables
from gateway.store.postgres.server import move_to_server
from gateway.store.sqlite.online_copy import opened
from tests.postgres import PostgresServer, rows_of
from tests.support import BOUND_SECONDS, store_at

CLIENTS = 60
KILLED = """
import os, signal, sys
from pathlib import Path
from gateway.settings.secret import SecretUrl
from gateway.store.postgres.server import move_to_server
from gateway.store.postgres import copy
copy.BATCH_ROWS = 7
steps = 0
def step(what, done, total):
    global steps
    steps += 1
    if steps == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
move_to_server(Path(sys.argv[1]), SecretUrl(sys.argv[2]), step)
"""


def silent(what: str, done: int, total: int) -> None:
    """No progress is shown."""


@contextmanager
def written(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with rows in every table, of every kind of value; its last client was removed."""
    file = tmp_path / "gateway.db"
    asyncio.run(create_database(file))
    with written(file) as connection:
        for number in range(1, CLIENTS + 1):
            values = (number, f"client-{number}", f"Größe ‘{number}’\n\\N\t", "free", "2026-04-01T03:00:00.000Z")
            connection.execute("INSERT INTO clients (id, slug, name, plan, created_at) VALUES (?, ?, ?, ?, ?)", values)
        for name, columns in columns_of(connection).items():
            if name not in {"clients", "gateways", "leases"}:
                connection.execute(f"INSERT INTO {name} VALUES ({', '.join(columns)})")
        connection.execute("INSERT INTO clients (slug, name, plan, created_at) VALUES ('last', 'Last', 'free', '')")
        connection.execute("DELETE FROM clients WHERE slug = 'last'")
    return file


def columns_of(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """A value of the right kind for each column of each table."""
    values = {
        "client_id": "1",
        "scope": "'read'",
        "only_row": "1",
        "outcome": "'failed'",
        "next_at": "NULL",
        "disabled_reason": "'gone'",
        "user_id": "'id'",
        "purpose": "'visit'",
        "by_operator": "1",
        "rate_requests": "NULL",
        "rate_seconds": "NULL",
    }
    kinds = {"TEXT": "'{}'", "INTEGER": str((1 << 63) - 5), "BLOB": "x'00ff0a5c'"}
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {
        name: [
            values.get(column, kinds[kind].format(column))
            for _, column, kind, *_ in connection.execute(f"PRAGMA table_info({name})")
        ]
        for name in names
        if not name.startswith("sqlite_")
    }


async def clients_of(url: SecretUrl) -> list[Client]:
    async with store_at(url) as store:
        return await store.clients.all()


@pytest.fixture
def url(postgres: PostgresServer) -> SecretUrl:
    return postgres.bare()


def content(path: Path, url: SecretUrl) -> tuple[dict[str, list[tuple[object, ...]]], ...]:
    """All rows of the file, and of the server's tables of the same names, in the order of their keys."""
    with opened(path) as source:
        tables = read_tables(source)
        sql = {
            table.name: f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {table.order}"
            for table in tables
        }
        ours = {name: source.execute(text).fetchall() for name, text in sql.items()}
    return ours, {name: rows_of(url, text) for name, text in sql.items()}


def test_every_row_arrives_as_it_was(path: Path, url: SecretUrl) -> None:
    before = path.read_bytes()

    rows = move_to_server(path, url, silent)

    ours, theirs = content(path, url)
    assert ours == theirs
    assert all(ours.values())
    assert rows == {name: len(each) for name, each in sorted(ours.items())}
    assert path.read_bytes() == before


def test_a_removed_clients_number_is_not_given_again(path: Path, url: SecretUrl) -> None:
    move_to_server(path, url, silent)

    async def add() -> Client:
        async with store_at(url) as store:
            return await store.clients.add(slug="new", name="New", plan="free", created_at="2026")

    assert asyncio.run(add()).id == CLIENTS + 2


@pytest.mark.parametrize("step", [2, 5, 12, 30])
def test_a_copy_that_was_killed_goes_on(path: Path, url: SecretUrl, step: int) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), url.reveal(), str(step)], check=False, timeout=BOUND_SECONDS
    )
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(DatabaseRefused, match="is not whole"):
        asyncio.run(clients_of(url))

    move_to_server(path, url, silent)

    ours, theirs = content(path, url)
    assert ours == theirs
    assert len(asyncio.run(clients_of(url))) == CLIENTS


def test_a_file_that_changed_meanwhile_is_noticed(path: Path, url: SecretUrl) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(path), url.reveal(), "30"], check=False, timeout=BOUND_SECONDS)
    with written(path) as connection:
        connection.execute("UPDATE clients SET plan = 'pro' WHERE id = 3")

    with pytest.raises(DatabaseRefused, match="row 3 of clients is not as in the file"):
        move_to_server(path, url, silent)

    with pytest.raises(DatabaseRefused, match="is not whole"):
        asyncio.run(clients_of(url))


def test_another_files_copy_is_left_alone(path: Path, url: SecretUrl, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(path), url.reveal(), "5"], check=False, timeout=BOUND_SECONDS)
    other = tmp_path / "other.db"
    asyncio.run(create_database(other))

    with pytest.raises(DatabaseRefused, match="has a gateway's tables already"):
        move_to_server(other, url, silent)


@pytest.mark.parametrize("sql", ["CREATE TABLE diary (day TEXT)", "CREATE TABLE gateway_schema_2 (day TEXT)"])
def test_a_foreign_database_is_left_alone(path: Path, url: SecretUrl, sql: str) -> None:
    rows_of(url, sql)

    with pytest.raises(DatabaseRefused, match="already holds tables; nothing was changed"):
        move_to_server(path, url, silent)

    assert len(rows_of(url, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'")) == 1


def test_a_file_of_an_older_version_is_migrated_first(path: Path, url: SecretUrl) -> None:
    with written(path) as connection:
        connection.execute("PRAGMA user_version = 1")

    with pytest.raises(DatabaseRefused, match="gateway migrate"):
        move_to_server(path, url, silent)

    assert rows_of(url, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []
