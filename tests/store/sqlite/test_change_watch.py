"""How commits of any process are noticed without a query."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from gateway.store.sqlite.change_watch import ChangeWatch

Journal = Literal["delete", "wal"]


@pytest.fixture(params=["delete", "wal"])
def journal(request: pytest.FixtureRequest) -> Journal:
    mode: Journal = request.param
    return mode


@pytest.fixture
def ours(tmp_path: Path, journal: Journal) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
        assert connection.execute(f"PRAGMA journal_mode = {journal}").fetchone() == (journal,)
        connection.execute("CREATE TABLE t (x)")
        yield connection


@pytest.fixture
def theirs(tmp_path: Path, ours: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A second connection to the same file."""
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
        yield connection


@pytest.fixture
def watch(
    tmp_path: Path, journal: Journal, ours: sqlite3.Connection, theirs: sqlite3.Connection
) -> Iterator[ChangeWatch]:
    # Closed first: pytest tears down in reverse, but a watch must outlive SQLite's descriptors.
    watching = ChangeWatch(tmp_path / "a.db", journal=journal)
    yield watching
    ours.close()
    theirs.close()
    watching.close()


def test_every_commit_of_any_connection_is_counted_once(
    watch: ChangeWatch, ours: sqlite3.Connection, theirs: sqlite3.Connection
) -> None:
    start = watch.count()
    counts = []
    for connection in (ours, theirs, theirs, ours):
        connection.execute("INSERT INTO t VALUES (1)")
        counts.append(watch.count() - start)

    assert counts == [1, 2, 3, 4]


def test_a_transaction_of_many_statements_is_one_commit(watch: ChangeWatch, theirs: sqlite3.Connection) -> None:
    start = watch.count()
    theirs.execute("BEGIN")
    theirs.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(1000)])
    assert watch.count() == start
    theirs.execute("COMMIT")

    assert watch.count() == start + 1


def test_reading_and_rolling_back_count_nothing(watch: ChangeWatch, theirs: sqlite3.Connection) -> None:
    start = watch.count()
    theirs.execute("SELECT * FROM t").fetchall()
    theirs.execute("BEGIN IMMEDIATE")
    theirs.execute("INSERT INTO t VALUES (1)")
    theirs.execute("ROLLBACK")
    theirs.execute("BEGIN IMMEDIATE")
    theirs.execute("COMMIT")

    assert watch.count() == start


def test_an_epoch_lasts_until_somebody_commits(watch: ChangeWatch, theirs: sqlite3.Connection) -> None:
    first = watch.epoch()
    assert watch.epoch() == first

    theirs.execute("INSERT INTO t VALUES (1)")
    second = watch.epoch()

    assert second != first
    assert watch.epoch() == second


def test_a_commit_declared_harmless_starts_no_epoch(watch: ChangeWatch, ours: sqlite3.Connection) -> None:
    epoch, before = watch.epoch(), watch.count()
    ours.execute("INSERT INTO t VALUES (1)")

    watch.absorb(before, watch.count())

    assert watch.epoch() == epoch


def test_a_foreign_commit_before_the_harmless_one_still_starts_an_epoch(
    watch: ChangeWatch, ours: sqlite3.Connection, theirs: sqlite3.Connection
) -> None:
    epoch = watch.epoch()
    theirs.execute("INSERT INTO t VALUES (1)")
    before = watch.count()
    ours.execute("INSERT INTO t VALUES (1)")

    watch.absorb(before, watch.count())

    assert watch.epoch() != epoch


def test_a_foreign_commit_right_after_the_harmless_one_still_starts_an_epoch(
    watch: ChangeWatch, ours: sqlite3.Connection, theirs: sqlite3.Connection
) -> None:
    epoch, before = watch.epoch(), watch.count()
    ours.execute("INSERT INTO t VALUES (1)")
    theirs.execute("INSERT INTO t VALUES (1)")

    watch.absorb(before, watch.count())

    assert watch.epoch() != epoch


def test_a_commit_after_an_absorbed_one_starts_an_epoch(
    watch: ChangeWatch, ours: sqlite3.Connection, theirs: sqlite3.Connection
) -> None:
    epoch, before = watch.epoch(), watch.count()
    ours.execute("INSERT INTO t VALUES (1)")
    watch.absorb(before, watch.count())

    theirs.execute("INSERT INTO t VALUES (1)")

    assert watch.epoch() != epoch


def test_an_expected_commit_starts_no_epoch_before_it_is_absorbed(watch: ChangeWatch, ours: sqlite3.Connection) -> None:
    epoch, before = watch.epoch(), watch.count()
    watch.expect(before)

    ours.execute("INSERT INTO t VALUES (1)")
    meanwhile = watch.epoch()
    watch.absorb(before, watch.count())

    assert meanwhile == watch.epoch() == epoch


def test_a_foreign_commit_after_an_expected_one_starts_an_epoch_at_once(
    watch: ChangeWatch, ours: sqlite3.Connection, theirs: sqlite3.Connection
) -> None:
    epoch, before = watch.epoch(), watch.count()
    watch.expect(before)
    ours.execute("INSERT INTO t VALUES (1)")
    theirs.execute("INSERT INTO t VALUES (1)")

    assert watch.epoch() != epoch


def test_a_foreign_commit_in_place_of_one_that_failed_starts_an_epoch(
    watch: ChangeWatch, theirs: sqlite3.Connection
) -> None:
    epoch = watch.epoch()
    watch.expect(watch.count())
    watch.renounce()
    theirs.execute("INSERT INTO t VALUES (1)")

    assert watch.epoch() != epoch


def test_a_commit_is_not_expected_behind_one_that_nobody_has_looked_at(
    watch: ChangeWatch, ours: sqlite3.Connection, theirs: sqlite3.Connection
) -> None:
    epoch = watch.epoch()
    theirs.execute("INSERT INTO t VALUES (1)")
    watch.expect(watch.count())
    ours.execute("INSERT INTO t VALUES (1)")

    assert watch.epoch() != epoch


def test_a_checkpoint_of_the_log_loses_no_commit(watch: ChangeWatch, theirs: sqlite3.Connection) -> None:
    theirs.execute("INSERT INTO t VALUES (1)")
    epoch = watch.epoch()
    theirs.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    theirs.execute("INSERT INTO t VALUES (1)")

    assert watch.epoch() != epoch
