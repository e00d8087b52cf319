"""Our tables on a server: made once, brought up to date in one transaction, and the same as the file's."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import DatabaseRefused
from gateway.settings.secret import SecretUrl
from gateway.store import Migrated, Step, Store, create_database, migrate_server, read_steps
from gateway.store.database import ConstraintViolated, Transaction
from gateway.store.postgres.schema import require_server_version
from gateway.store.sqlite.file_format import SCHEMA_VERSION
from tests.postgres import PostgresServer, rows_of

NEXT = SCHEMA_VERSION + 1
NOTE = """
-- A comment; with a semicolon.
ALTER TABLE clients ADD COLUMN note TEXT NOT NULL DEFAULT 'a;b';
CREATE TABLE notes (number INTEGER PRIMARY KEY, digest BLOB) STRICT;
UPDATE clients SET note = note || '!';
"""


@pytest.fixture
async def url(postgres: PostgresServer) -> SecretUrl:
    url = postgres.bare()
    await create_database(url)
    return url


def with_step(sql: str) -> list[Step]:
    return [*read_steps(), Step(NEXT, f"{NEXT:04}_step.sql", sql)]


def tables(url: SecretUrl) -> dict[str, set[str]]:
    rows = rows_of(url, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'")
    return {str(table): {str(column) for name, column in rows if name == table} for table, _ in rows}


async def test_both_databases_have_the_same_tables_and_indexes(url: SecretUrl, tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    await create_database(path)
    with closing(sqlite3.connect(path)) as file:
        names = [row[0] for row in file.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        of_file = {
            name: {row[1] for row in file.execute(f"PRAGMA table_info({name})")}
            for name in names
            if not name.startswith("sqlite_")
        }
        indexes = {
            row[0]
            for row in file.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")
            if "auto" not in row[0]
        }

    of_server = tables(url)

    assert of_server.keys() - of_file.keys() == {"gateway_schema", "changes"}
    assert {name: of_server[name] for name in of_file} == of_file
    assert indexes <= {name for (name,) in rows_of(url, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")}


@pytest.mark.parametrize("number", [90624, 130014, 139999])
def test_an_old_server_is_refused_in_one_line(number: int) -> None:
    with pytest.raises(DatabaseRefused) as refusal:
        require_server_version(SecretUrl("postgresql://gateway:correct-horse@db/gateway"), number)

    assert str(refusal.value) == (
        f"postgresql://gateway:********@db/gateway: PostgreSQL {number // 10000} is too old; 14 is the oldest"
    )


def test_a_server_that_is_new_enough_is_not_refused() -> None:
    for number in (140000, 150014, 180000):
        require_server_version(SecretUrl("postgresql://db/gateway"), number)


async def test_the_servers_version_is_looked_at_before_anything_is_done(
    postgres: PostgresServer, url: SecretUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.postgres.schema.OLDEST_SERVER", 990000)

    with pytest.raises(DatabaseRefused, match="is too old; 99 is the oldest"):
        async with Store(url):
            pytest.fail("opened")
    with pytest.raises(DatabaseRefused, match="is too old; 99 is the oldest"):
        await create_database(postgres.bare())


async def test_two_that_make_the_tables_at_once_make_them_once(postgres: PostgresServer) -> None:
    url = postgres.bare()

    done = await asyncio.gather(create_database(url), create_database(url), return_exceptions=True)

    assert {type(each) for each in done} == {type(None), DatabaseRefused}
    async with Store(url):
        pass


async def test_steps_are_taken_in_order_and_only_once(url: SecretUrl) -> None:
    rows_of(url, "INSERT INTO clients (slug, name, plan, created_at) VALUES ('acme', 'A', 'free', '2026')")

    done = await migrate_server(url, with_step(NOTE))

    assert done == Migrated(SCHEMA_VERSION, NEXT, None)
    assert rows_of(url, "SELECT note FROM clients") == [("a;b!",)]
    assert tables(url)["notes"] == {"number", "digest"}
    assert await migrate_server(url, with_step(NOTE)) is None
    with pytest.raises(DatabaseRefused, match=f"written by a newer gateway \\(schema {NEXT}"):
        async with Store(url):
            pass


async def test_a_step_that_fails_leaves_everything_as_it_was(url: SecretUrl) -> None:
    before = tables(url)

    with pytest.raises(
        DatabaseRefused, match=rf"step {NEXT:04}_step.sql failed: .*no_such.* of version {SCHEMA_VERSION} still"
    ):
        await migrate_server(url, with_step(f"{NOTE} UPDATE no_such SET a = 1;"))

    assert tables(url) == before
    async with Store(url):
        pass


async def test_an_older_version_is_not_opened(url: SecretUrl) -> None:
    rows_of(url, f"UPDATE gateway_schema SET version = {SCHEMA_VERSION - 1}")

    with pytest.raises(DatabaseRefused, match="bring it up to date with: gateway migrate"):
        async with Store(url):
            pass


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        ("INSERT INTO clients (slug, name, plan, created_at) VALUES ('acme', '', '', '')", "clients.client_slug"),
        ("INSERT INTO users (id, email, created_at) VALUES ('u2', 'ANN@acme.example', '')", "users.user_email"),
        ("INSERT INTO users (id, email, created_at) VALUES ('u1', 'bob@acme.example', '')", "users.id"),
        ("INSERT INTO links VALUES ('x', 'gossip', NULL, '')", "links.check"),
        ("UPDATE clients SET rate_requests = 0, rate_seconds = 1", "clients.rate_requests_check"),
        ("UPDATE users SET client_id = 99", "users.client_id_fkey"),
        ("UPDATE clients SET name = NULL", "clients."),
    ],
)
async def test_what_is_against_the_rules_is_named(url: SecretUrl, sql: str, constraint: str) -> None:
    rows_of(url, "INSERT INTO clients (slug, name, plan, created_at) VALUES ('acme', '', '', '')")
    rows_of(url, "INSERT INTO users (id, email, created_at) VALUES ('u1', 'ann@acme.example', '')")

    async def unit(connection: Transaction) -> None:
        await connection.execute_fetchall(sql)

    async with Store(url) as store:
        with pytest.raises(ConstraintViolated) as violation:
            await store.database.write(unit)

    assert violation.value.constraint == constraint


async def test_text_sorts_by_its_bytes_whatever_the_servers_language(postgres: PostgresServer) -> None:
    """As in SQLite, on which times and ids rely."""
    name = "swedish"
    postgres.ask(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'sv-SE'")
    url = postgres.url(name)
    await create_database(url)
    slugs = ["a", "B", "ä", "z", "Z", "-", "a-b", "ab"]
    for slug in slugs:
        rows_of(url, f"INSERT INTO clients (slug, name, plan, created_at) VALUES ('{slug}', '', '', '')")

    assert [row[0] for row in rows_of(url, "SELECT slug FROM clients ORDER BY slug")] == sorted(slugs)
