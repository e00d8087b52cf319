"""What is kept of records that were read, and for how long."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import StorageUnavailable
from gateway.store import create_database
from gateway.store.database import Transaction
from gateway.store.read_cache import ReadCache
from gateway.store.read_slots import reading_for
from gateway.store.sqlite.database import SqliteDatabase
from tests.support import next_turn


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    await create_database(tmp_path / "gateway.db")
    opened = SqliteDatabase(tmp_path / "gateway.db")
    await opened.open()
    yield opened
    await opened.close()


class Names:
    """A cache of clients' names by slug, and the list of what had to be read for it."""

    def __init__(self, database: SqliteDatabase, *, maxsize: int = 100) -> None:
        self.database = database
        self.reads: list[str] = []
        self.cache: ReadCache[str, str | None] = ReadCache(
            database, self._load, maxsize=maxsize, owner_of=lambda slug, _: slug
        )

    async def _load(self, slug: str) -> str | None:
        self.reads.append(slug)
        row = await self.database.fetch_one("SELECT name FROM clients WHERE slug = :slug", {"slug": slug})
        return row["name"] if row else None

    async def write(self, slug: str, name: str, *, housekeeping: bool = False, forgotten: str | None = None) -> None:
        async def unit(connection: Transaction) -> None:
            await connection.execute_fetchall(
                "INSERT INTO clients (slug, name, plan, created_at) VALUES (:slug, :name, 'free', '2026') "
                "ON CONFLICT (slug) DO UPDATE SET name = :name",
                {"slug": slug, "name": name},
            )

        await self.database.write(
            unit,
            housekeeping=housekeeping,
            committed=None if forgotten is None else lambda: self.cache.forget(forgotten),
        )

    def write_from_another_process(self, slug: str, name: str) -> None:
        with closing(sqlite3.connect(self.database.path, isolation_level=None)) as connection:
            connection.execute("UPDATE clients SET name = ? WHERE slug = ?", (name, slug))


async def test_what_was_read_is_not_read_again(database: SqliteDatabase) -> None:
    names = Names(database)
    await names.write("acme", "Acme")

    assert [await names.cache.get("acme") for _ in range(5)] == ["Acme"] * 5
    assert names.reads == ["acme"]


async def test_what_is_absent_is_not_looked_for_again(database: SqliteDatabase) -> None:
    names = Names(database)

    assert [await names.cache.get("acme") for _ in range(5)] == [None] * 5
    assert names.reads == ["acme"]


async def test_what_was_absent_is_seen_as_soon_as_it_is_there(database: SqliteDatabase) -> None:
    names = Names(database)
    assert await names.cache.get("acme") is None

    await names.write("acme", "Acme")

    assert await names.cache.get("acme") == "Acme"


async def test_a_commit_of_our_own_is_seen_by_the_next_look(database: SqliteDatabase) -> None:
    names = Names(database)
    for number in range(20):
        await names.write("acme", f"Acme {number}")
        assert await names.cache.get("acme") == f"Acme {number}"


async def test_a_commit_of_another_process_is_seen_by_the_next_look(database: SqliteDatabase) -> None:
    names = Names(database)
    await names.write("acme", "Acme")
    for number in range(20):
        names.write_from_another_process("acme", f"Acme {number}")
        await next_turn()
        assert await names.cache.get("acme") == f"Acme {number}"


async def test_housekeeping_leaves_what_was_read(database: SqliteDatabase) -> None:
    names = Names(database)
    await names.write("acme", "Acme")
    await names.cache.get("acme")

    for _ in range(5):
        await names.write("other", "Other", housekeeping=True)
        assert await names.cache.get("acme") == "Acme"

    assert names.reads == ["acme"]


async def test_housekeeping_that_changes_nothing_hides_no_later_commit(database: SqliteDatabase) -> None:
    names = Names(database)
    await names.write("acme", "Acme")
    await names.cache.get("acme")

    async def nothing(connection: Transaction) -> None:
        await connection.execute_fetchall("UPDATE clients SET name = 'x' WHERE slug = 'nobody'")

    await database.write(nothing, housekeeping=True)
    names.write_from_another_process("acme", "New")

    assert await names.cache.get("acme") == "New"


async def test_a_failing_housekeeping_hides_no_commit(database: SqliteDatabase) -> None:
    names = Names(database)
    await names.write("acme", "Acme")
    await names.cache.get("acme")

    async def unit(connection: Transaction) -> None:
        await connection.execute_fetchall("UPDATE clients SET plan = 'gold'")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(unit, housekeeping=True)
    names.write_from_another_process("acme", "New")

    assert await names.cache.get("acme") == "New"


@pytest.mark.parametrize("foreign_first", [True, False])
async def test_housekeeping_between_foreign_commit_and_next_look_hides_nothing(
    database: SqliteDatabase, foreign_first: bool
) -> None:
    names = Names(database)
    await names.write("acme", "Acme")
    await names.cache.get("acme")

    if foreign_first:
        names.write_from_another_process("acme", "New")
    await names.write("other", "Other", housekeeping=True)
    if not foreign_first:
        names.write_from_another_process("acme", "New")

    assert await names.cache.get("acme") == "New"


async def test_a_record_that_a_commit_overtook_while_it_was_read_is_not_kept(database: SqliteDatabase) -> None:
    reading, go_on = asyncio.Event(), asyncio.Event()
    reads: list[str] = []

    async def load(slug: str) -> str:
        row = await database.fetch_one("SELECT name FROM clients WHERE slug = :slug", {"slug": slug})
        assert row is not None
        reads.append(row["name"])
        reading.set()
        await go_on.wait()
        return str(row["name"])

    names = Names(database)
    await names.write("acme", "Old")
    cache: ReadCache[str, str] = ReadCache(database, load, maxsize=10, owner_of=lambda slug, _: slug)
    early = asyncio.create_task(cache.get("acme"))
    await reading.wait()
    names.write_from_another_process("acme", "New")
    go_on.set()
    await early

    assert await cache.get("acme") == "New"
    assert reads == ["Old", "New"]


async def test_a_record_read_while_the_cache_was_cleared_is_not_kept(database: SqliteDatabase) -> None:
    reading, go_on = asyncio.Event(), asyncio.Event()
    reads: list[str] = []

    async def load(slug: str) -> str:
        reads.append(slug)
        reading.set()
        await go_on.wait()
        return slug

    cache: ReadCache[str, str] = ReadCache(database, load, maxsize=10, owner_of=lambda slug, _: slug)
    early = asyncio.create_task(cache.get("acme"))
    await reading.wait()
    cache.clear()
    go_on.set()
    await early
    await cache.get("acme")

    assert reads == ["acme", "acme"]


async def test_a_failed_read_is_not_kept(database: SqliteDatabase) -> None:
    attempts: list[str] = []

    async def load(slug: str) -> str:
        attempts.append(slug)
        if len(attempts) == 1:
            raise StorageUnavailable
        return slug

    cache: ReadCache[str, str] = ReadCache(database, load, maxsize=10, owner_of=lambda slug, _: slug)
    with pytest.raises(StorageUnavailable):
        await cache.get("acme")

    assert await cache.get("acme") == "acme"


async def test_the_cache_keeps_no_more_than_its_size(database: SqliteDatabase) -> None:
    names = Names(database, maxsize=3)
    for slug in ("a", "b", "c", "d", "d", "c", "b", "a"):
        await names.cache.get(slug)

    assert names.reads == ["a", "b", "c", "d", "a"]


async def test_what_was_read_is_served_while_another_process_locks_the_file(database: SqliteDatabase) -> None:
    names = Names(database)
    await names.write("acme", "Acme")
    await names.cache.get("acme")

    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        assert await names.cache.get("acme") == "Acme"
    assert names.reads == ["acme"]


async def test_all_who_wait_for_a_record_share_one_reading_of_it(database: SqliteDatabase) -> None:
    names = Names(database)
    await names.write("acme", "Acme")

    assert await asyncio.gather(*(names.cache.get("acme") for _ in range(50))) == ["Acme"] * 50
    assert names.reads == ["acme"]


async def test_who_asks_after_a_commit_does_not_share_a_reading_begun_before_it(database: SqliteDatabase) -> None:
    names = Names(database)
    await names.write("acme", "Acme")
    early = asyncio.create_task(names.cache.get("acme"))
    await asyncio.sleep(0)
    await names.write("acme", "Acme Inc")
    await next_turn()

    assert await names.cache.get("acme") == "Acme Inc"
    assert await early in {"Acme", "Acme Inc"}
    assert names.reads == ["acme", "acme"]


async def test_one_who_gives_up_does_not_end_the_reading_of_the_others(database: SqliteDatabase) -> None:
    names = Names(database)
    await names.write("acme", "Acme")
    first, second = [asyncio.create_task(names.cache.get("acme")) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()

    assert await second == "Acme"
    assert names.reads == ["acme"]


async def test_what_is_committed_about_one_record_leaves_the_others(database: SqliteDatabase) -> None:
    names = Names(database)
    for slug in ("acme", "other"):
        await names.write(slug, slug.title())
        await names.cache.get(slug)

    await names.write("acme", "Acme Ltd", housekeeping=True, forgotten="acme")

    assert [await names.cache.get(slug) for slug in ("acme", "other")] == ["Acme Ltd", "Other"]
    assert names.reads == ["acme", "other", "acme"]


async def test_a_commit_about_one_record_is_nobody_s_from_the_moment_the_file_tells_of_it(
    database: SqliteDatabase,
) -> None:
    """The file tells of it long before its writer knows that it is done."""
    names = Names(database)
    await names.write("acme", "Acme")
    await names.cache.get("acme")
    writing = asyncio.create_task(names.write("other", "Other", housekeeping=True, forgotten="other"))

    while not writing.done():
        await next_turn()
        assert names.cache.peek("acme") == "Acme"

    assert names.reads == ["acme"]


async def test_a_reading_that_began_before_its_record_was_forgotten_is_not_kept(database: SqliteDatabase) -> None:
    names = Names(database)
    await names.write("acme", "Acme")
    await names.cache.get("other")
    reading = asyncio.create_task(names.cache.get("acme"))
    while names.reads != ["other", "acme"]:
        await next_turn()

    names.cache.forget("acme")
    await reading

    assert names.cache.peek("acme") is None
    assert await names.cache.get("acme") == "Acme"
    assert names.reads == ["other", "acme", "acme"]


async def test_what_another_process_commits_beside_ours_is_seen(database: SqliteDatabase) -> None:
    names = Names(database)
    for slug in ("acme", "other"):
        await names.write(slug, slug.title())
        await names.cache.get(slug)

    await names.write("acme", "Acme Ltd", housekeeping=True, forgotten="acme")
    names.write_from_another_process("other", "Other Ltd")
    await next_turn()

    assert [await names.cache.get(slug) for slug in ("acme", "other")] == ["Acme Ltd", "Other Ltd"]


async def test_a_record_that_all_may_share_is_read_in_nobodys_turn(database: SqliteDatabase) -> None:
    async def reader(_slug: str) -> object:
        return reading_for.get()

    cache: ReadCache[str, object] = ReadCache(database, reader, maxsize=1, owner_of=lambda slug, _: slug)
    token = reading_for.set("a member of Acme, with a hundred pages open")
    try:
        assert await cache.get("acme") is None
    finally:
        reading_for.reset(token)
