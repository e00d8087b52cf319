"""The file: created, refused, read, and written in whole transactions."""

import asyncio
import hashlib
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway.errors import DatabaseRefused, StorageUnavailable
from gateway.store import create_database
from gateway.store.database import ConstraintViolated, Transaction, Unit
from gateway.store.sqlite.database import SqliteDatabase, journal_mode
from gateway.store.sqlite.file_format import SCHEMA_VERSION
from tests.support import store_at

PAGE = 4096


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    created = tmp_path / "gateway.db"
    await create_database(created)
    return created


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(path)
    await opened.open()
    yield opened
    await opened.close()


def fingerprint(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


async def add_client(connection: Transaction, slug: str) -> None:
    await connection.execute_fetchall(
        "INSERT INTO clients (slug, name, plan, created_at) VALUES (:slug, 'A', 'free', '2026-04-01T03:00:00.000Z')",
        {"slug": slug},
    )


async def slugs(database: SqliteDatabase) -> list[str]:
    return [row["slug"] for row in await database.fetch_all("SELECT slug FROM clients ORDER BY id")]


@contextmanager
def another_process(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that shares nothing with the database under test but the file."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        yield connection


def test_a_new_database_is_readable_by_its_owner_only(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_new_database_is_marked_as_ours(path: Path) -> None:
    with another_process(path) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (0x736D7274,)
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


@pytest.mark.parametrize("content", [b"", b"my diary", b"SQLite format 3\x00"])
async def test_creating_refuses_an_existing_file_and_leaves_it_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gateway.db"
    path.write_bytes(content)

    with pytest.raises(DatabaseRefused) as refusal:
        await create_database(path)

    assert str(refusal.value) == f"{path}: already exists; nothing was changed"
    assert path.read_bytes() == content


async def test_creating_refuses_our_own_database_and_leaves_it_as_it_is(path: Path) -> None:
    before = fingerprint(path.parent)

    with pytest.raises(DatabaseRefused):
        await create_database(path)

    assert fingerprint(path.parent) == before


async def test_creating_where_there_is_no_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "gateway.db"

    with pytest.raises(DatabaseRefused) as refusal:
        await create_database(path)

    assert str(refusal.value) == f"{path}: cannot be created: No such file or directory"


async def refused(path: Path) -> str:
    """The one line with which opening is refused, after which the folder holds the same bytes as before."""
    before = fingerprint(path.parent)
    with pytest.raises(DatabaseRefused) as refusal:
        async with store_at(path):
            pass
    assert fingerprint(path.parent) == before
    assert str(refusal.value).isprintable()
    return str(refusal.value)


async def test_a_missing_database_is_not_created_by_opening(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"

    assert await refused(path) == f"{path}: no such database; create it with: gateway init"


async def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.touch()

    assert await refused(path) == f"{path}: not a gateway database"


async def test_a_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_text("Dear diary,\n" * 1000)

    assert await refused(path) == f"{path}: not a gateway database, or damaged: file is not a database"


async def test_a_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.mkdir()

    with pytest.raises(DatabaseRefused) as refusal:
        async with store_at(path):
            pass

    assert str(refusal.value) == f"{path}: not a file"


@pytest.mark.parametrize("journal", ["delete", "wal"])
async def test_a_database_of_another_program_is_refused(tmp_path: Path, journal: str) -> None:
    path = tmp_path / "gateway.db"
    with another_process(path) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE clients (id INTEGER PRIMARY KEY, slug TEXT)")

    assert await refused(path) == f"{path}: not a gateway database"


async def test_a_database_of_a_newer_gateway_is_refused(path: Path) -> None:
    with another_process(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")

    words = f"(schema {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION})"
    assert await refused(path) == f"{path}: written by a newer gateway {words}"


async def test_a_database_of_no_known_version_is_refused(path: Path) -> None:
    with another_process(path) as connection:
        connection.execute("PRAGMA user_version = 0")

    assert str(path) in await refused(path)


@pytest.fixture
async def large(path: Path) -> Path:
    """A database of a good hundred pages."""
    with another_process(path) as connection:
        connection.execute(
            "INSERT INTO clients (id, slug, name, plan, created_at) VALUES (1, 'acme', 'Acme', 'free', '2026')"
        )
        connection.execute(
            """
            WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2000)
            INSERT INTO connections (id, client_id, connector_type, label, status, created_at)
            SELECT 'conn_' || n, 1, 'shopify', hex(randomblob(100)), 'pending', '2026' FROM numbers
            """
        )
        assert connection.execute("PRAGMA page_count").fetchone() > (100,)
    return path


def overwrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize("kept", [50, 100, 1000, PAGE, PAGE + 1, 5 * PAGE, 50 * PAGE, 100 * PAGE])
async def test_a_truncated_database_is_refused(large: Path, kept: int) -> None:
    overwrite(large, lambda content: content[:kept])

    assert (await refused(large)).startswith(f"{large}: not a gateway database, or damaged: ")


async def test_a_spoilt_page_that_is_read_is_told_with_the_remedy(large: Path) -> None:
    # Pages of `connections`, which nobody reads when the file is opened.
    overwrite(large, lambda content: content[: -20 * PAGE] + b"\xff" * (20 * PAGE))

    async with store_at(large) as store:
        with pytest.raises(StorageUnavailable) as error:
            await store.connections.all()

    assert error.value.detail.startswith(f"{large}: damaged: ")
    assert error.value.detail.endswith("; restore a backup with: gateway restore")


async def test_a_refusal_leaves_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.touch()
    await refused(path)
    path.unlink()
    await create_database(path)

    async with store_at(path) as store:
        await store.is_read_only()


async def test_a_file_whose_journal_cannot_be_switched_now_is_refused(path: Path) -> None:
    other = {"delete": "wal", "wal": "delete"}[journal_mode(sqlite3.sqlite_version_info)]
    with another_process(path) as connection:
        connection.execute(f"PRAGMA journal_mode = {other}")
        connection.execute("BEGIN IMMEDIATE")

        with pytest.raises(DatabaseRefused) as refusal:
            async with store_at(path):
                pass

    assert str(refusal.value) == f"{path}: cannot be opened: database is locked"


@pytest.mark.parametrize(
    ("version", "mode"),
    [((3, 40, 1), "delete"), ((3, 51, 2), "delete"), ((3, 51, 3), "wal"), ((3, 54, 0), "wal"), ((4, 0, 0), "wal")],
)
def test_write_ahead_logging_waits_for_the_sqlite_that_does_it_safely(version: tuple[int, int, int], mode: str) -> None:
    assert journal_mode(version) == mode


async def test_the_file_uses_the_journal_that_suits_the_linked_sqlite(database: SqliteDatabase) -> None:
    (row,) = await database.fetch_all("PRAGMA journal_mode")

    assert row[0] == journal_mode(sqlite3.sqlite_version_info)


@pytest.mark.parametrize(("pragma", "value"), [("foreign_keys", 1), ("synchronous", 2)])
async def test_reader_and_writer_both_keep_what_they_promise(database: SqliteDatabase, pragma: str, value: int) -> None:
    async def ask(connection: Transaction) -> int:
        rows = await connection.execute_fetchall(f"PRAGMA {pragma}")
        return int(next(iter(rows))[0])

    (read,) = await database.fetch_all(f"PRAGMA {pragma}")

    assert (read[0], await database.write(ask)) == (value, value)


async def test_the_reader_cannot_write(database: SqliteDatabase) -> None:
    with pytest.raises(StorageUnavailable) as refusal:
        await database.fetch_all("DELETE FROM clients")

    assert "SQLITE_READONLY" in refusal.value.detail


async def test_a_failure_of_the_storage_is_told_to_the_log_only(database: SqliteDatabase) -> None:
    with pytest.raises(StorageUnavailable) as refusal:
        await database.fetch_all("SELECT * FROM nowhere")

    assert refusal.value.message == "Storage is unavailable"
    assert refusal.value.detail == "SQLITE_ERROR: no such table: nowhere"


async def test_a_path_with_odd_characters_is_a_path_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "a ?mode=memory&x#%41 ü.db"
    await create_database(path)

    async with store_at(path) as store:
        await store.clients.add(slug="acme", name="Acme", plan="free", created_at="2026-04-01T03:00:00.000Z")

    with another_process(path) as connection:
        assert connection.execute("SELECT slug FROM clients").fetchall() == [("acme",)]


async def test_a_failing_unit_leaves_nothing_behind(database: SqliteDatabase) -> None:
    async def unit(connection: Transaction) -> None:
        await add_client(connection, "one")
        await add_client(connection, "two")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(unit)

    assert await slugs(database) == []
    await database.write(lambda connection: add_client(connection, "three"))
    assert await slugs(database) == ["three"]


async def test_a_unit_stopped_by_a_constraint_leaves_nothing_behind(database: SqliteDatabase) -> None:
    async def unit(connection: Transaction) -> None:
        await add_client(connection, "one")
        await add_client(connection, "one")

    with pytest.raises(ConstraintViolated):
        await database.write(unit)

    assert await slugs(database) == []


async def test_two_writes_at_once_never_mix(database: SqliteDatabase) -> None:
    first_began, second_waits = asyncio.Event(), asyncio.Event()
    order: list[str] = []

    async def first(connection: Transaction) -> None:
        await add_client(connection, "first")
        order.append("first begins")
        first_began.set()
        await second_waits.wait()
        for _ in range(20):
            await connection.execute_fetchall("SELECT 1")
        order.append("first fails")
        raise ZeroDivisionError

    async def second(connection: Transaction) -> None:
        order.append("second begins")
        await add_client(connection, "second")

    failing = asyncio.create_task(database.write(first))
    succeeding = asyncio.create_task(database.write(second))
    await first_began.wait()
    second_waits.set()
    await succeeding
    with pytest.raises(ZeroDivisionError):
        await failing

    assert order == ["first begins", "first fails", "second begins"]
    assert await slugs(database) == ["second"]


def numbered(unit: Callable[[Transaction, int], Awaitable[None]], number: int) -> Unit[None]:
    """`unit` for one number."""
    return lambda connection: unit(connection, number)


async def test_fifty_writes_at_once_are_fifty_transactions(database: SqliteDatabase) -> None:
    async def unit(connection: Transaction, number: int) -> None:
        await add_client(connection, f"a{number}")
        await add_client(connection, f"b{number}")
        if number % 5 == 0:
            raise ZeroDivisionError

    outcomes = await asyncio.gather(
        *[database.write(numbered(unit, number)) for number in range(50)],
        return_exceptions=True,
    )

    assert [number for number, outcome in enumerate(outcomes) if outcome is not None] == list(range(0, 50, 5))
    assert sorted(await slugs(database)) == sorted(
        f"{letter}{number}" for number in range(50) if number % 5 for letter in "ab"
    )


async def test_the_write_of_a_caller_who_leaves_is_whole_or_absent_and_the_next_one_works(
    database: SqliteDatabase,
) -> None:
    async def unit(connection: Transaction, number: int) -> None:
        await add_client(connection, f"a{number}")
        await connection.execute_fetchall("SELECT 1")
        await add_client(connection, f"b{number}")

    async def add_next(connection: Transaction, number: int) -> None:
        await add_client(connection, f"next{number}")

    for number in range(100):
        caller = asyncio.create_task(database.write(numbered(unit, number)))
        for _ in range(number % 25):
            await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait({caller})
        await database.write(numbered(add_next, number))

    stored = set(await slugs(database))
    torn = [number for number in range(100) if (f"a{number}" in stored) != (f"b{number}" in stored)]
    assert torn == []
    assert {f"next{number}" for number in range(100)} <= stored


async def test_a_write_that_began_is_finished_although_its_caller_left(database: SqliteDatabase) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def unit(connection: Transaction) -> None:
        begun.set()
        await go_on.wait()
        await add_client(connection, "acme")

    caller = asyncio.create_task(database.write(unit))
    await begun.wait()
    caller.cancel()
    await asyncio.wait({caller})
    go_on.set()
    await database.write(lambda connection: add_client(connection, "next"))

    assert caller.cancelled()
    assert await slugs(database) == ["acme", "next"]


async def test_closing_waits_for_the_write_of_a_caller_who_left(path: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def unit(connection: Transaction) -> None:
        begun.set()
        await go_on.wait()
        await add_client(connection, "acme")

    async with store_at(path) as store:
        caller = asyncio.create_task(store.database.write(unit))
        await begun.wait()
        caller.cancel()
        await asyncio.wait({caller})
        asyncio.get_running_loop().call_soon(go_on.set)

    with another_process(path) as connection:
        assert connection.execute("SELECT slug FROM clients").fetchall() == [("acme",)]


async def test_a_write_while_another_process_writes_is_refused_in_the_end_and_works_again_later(
    database: SqliteDatabase,
) -> None:
    with another_process(database.path) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StorageUnavailable) as refusal:
            await database.write(lambda connection: add_client(connection, "acme"))
        assert refusal.value.detail == "SQLITE_BUSY: database is locked"
        assert await slugs(database) == []

        other.execute("ROLLBACK")
        await database.write(lambda connection: add_client(connection, "acme"))

    assert await slugs(database) == ["acme"]


async def test_a_write_waits_for_another_process_that_is_soon_done(database: SqliteDatabase) -> None:
    with another_process(database.path) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO clients (slug, name, plan, created_at) VALUES ('theirs', 'A', 'free', '2026')")
        ours = asyncio.create_task(database.write(lambda connection: add_client(connection, "ours")))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not ours.done()

        other.execute("COMMIT")
        await ours

    assert await slugs(database) == ["theirs", "ours"]
