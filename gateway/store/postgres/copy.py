"""Moving an SQLite database over to a PostgreSQL server, row by row, and proving that every row arrived as it was.

Batches go in the order of each table's key and each is committed whole, so what is there already tells where a copy
that was interrupted goes on. Until all is compared and complete, no gateway opens the target.
"""
# ruff: noqa: S608 - the names in these statements are the file's own, whose schema was checked

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from graphlib import TopologicalSorter
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from gateway.errors import DatabaseRefused
from gateway.settings.secret import SecretUrl
from gateway.store.database import Parameters
from gateway.store.postgres.placeholders import with_psycopg_placeholders
from gateway.store.postgres.schema import refusals
from gateway.store.progress import Progress
from gateway.store.sqlite.file_format import APPLICATION_ID, SCHEMA_VERSION
from gateway.store.sqlite.online_copy import count_rows, identify

BATCH_ROWS = 5000
NOT_COPIED = frozenset({"gateways", "leases"})
"""They tell of what runs now."""


class Table(msgspec.Struct, frozen=True):
    """One that is copied: its columns, and those of them that are its key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def order(self) -> str:
        """The columns to order by, so that rows come in the same order from both databases."""
        return ", ".join(self.key)


def require_newest(source: sqlite3.Connection, path: Path) -> None:
    """Check that the file has the newest schema. Raises DatabaseRefused."""
    if identify(source, path) != SCHEMA_VERSION:
        raise DatabaseRefused(f"{path}: written by an older gateway; bring it up to date with: gateway migrate")


def read_tables(source: sqlite3.Connection) -> list[Table]:
    """Return the tables to copy; each comes after those that its rows refer to."""
    names = [name for name in count_rows(source) if name not in NOT_COPIED]
    parents = {name: {row[2] for row in source.execute(f"PRAGMA foreign_key_list({name})")} for name in names}
    return [_table(source, name) for name in TopologicalSorter(parents).static_order()]


def _table(source: sqlite3.Connection, name: str) -> Table:
    info = source.execute(f"PRAGMA table_info({name})").fetchall()
    key = sorted((rank, column) for _, column, _, _, _, rank in info if rank)
    return Table(name, tuple(row[1] for row in info), tuple(column for _, column in key))


def copy_rows(source: sqlite3.Connection, path: Path, url: SecretUrl, progress: Progress) -> dict[str, int]:
    """Bring the rows of `source`, the file at `path`, to the tables that wait for them at `url`.

    Return how many each table has. `source` is in a transaction. Raises DatabaseRefused; what was done is not undone.
    """
    tables = read_tables(source)
    rows = {table.name: count_rows(source)[table.name] for table in tables}
    with refusals(url), psycopg.connect(url.reveal(), prepare_threshold=None) as target:
        _claim(target, path, url)
        steps = _Steps(progress, sum(rows.values()))
        for table in tables:
            _copy_table(source, target, table, steps)
        steps.begin("Comparing")
        for table in tables:
            _compare(source, target, table, url, steps)
        for table in tables:
            _continue_numbers(source, target, table)
        target.execute("UPDATE gateway_schema SET copy_of = NULL")
        target.commit()
        target.autocommit = True
        target.execute("ANALYZE")
    return dict(sorted(rows.items()))


class _Steps:
    """Counts what is done."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self.begin("Copying")

    def begin(self, what: str) -> None:
        """Count from nothing for another piece of work."""
        self._what, self._done = what, 0

    def add(self, rows: int) -> None:
        """Count rows that are done."""
        self._done += rows
        self._progress(self._what, self._done, self._total)


def _claim(target: psycopg.Connection[Any], path: Path, url: SecretUrl) -> None:
    """Keep others from copying to it while the connection lives. Check that it waits for this very file's rows."""
    (is_ours,) = _one(target, f"SELECT pg_try_advisory_lock({APPLICATION_ID}, 1)")
    if not is_ours:
        raise DatabaseRefused(f"{url}: is being copied to by another process")
    (copy_of,) = _one(target, "SELECT copy_of FROM gateway_schema WHERE only_row = 1")
    if copy_of != str(path):
        raise DatabaseRefused(
            f"{url}: has a gateway's tables already, not those of a copy of {path} that was broken off; "
            "name an empty database, without gateway init"
        )
    target.commit()


def _one(target: psycopg.Connection[Any], sql: str, parameters: Parameters | None = None) -> Any:
    text = with_psycopg_placeholders(sql) if parameters else sql
    return target.execute(text.encode(), parameters).fetchone() or (None,)


def _copy_table(source: sqlite3.Connection, target: psycopg.Connection[Any], table: Table, steps: _Steps) -> None:
    (there,) = _one(target, f"SELECT count(*) FROM {table.name}")
    steps.add(there)
    last = (
        _one(target, f"SELECT {table.order} FROM {table.name} ORDER BY {_descending(table)} LIMIT 1") if there else None
    )
    columns = ", ".join(table.columns)
    while rows := _rows_after(source, table, last):
        with target.cursor().copy(f"COPY {table.name} ({columns}) FROM STDIN".encode()) as pipe:
            for row in rows:
                pipe.write_row(row)
        target.commit()
        last = tuple(rows[-1][table.columns.index(column)] for column in table.key)
        steps.add(len(rows))


def _descending(table: Table) -> str:
    return ", ".join(f"{column} DESC" for column in table.key)


def _rows_after(source: sqlite3.Connection, table: Table, last: Sequence[Any] | None) -> list[tuple[Any, ...]]:
    marks = ", ".join(f":{column}" for column in table.key)
    condition = f"WHERE ({table.order}) > ({marks})" if last else ""
    sql = f"SELECT * FROM {table.name} {condition} ORDER BY {table.order} LIMIT {BATCH_ROWS}"
    return source.execute(sql, dict(zip(table.key, last, strict=True)) if last else {}).fetchall()


def _compare(
    source: sqlite3.Connection, target: psycopg.Connection[Any], table: Table, url: SecretUrl, steps: _Steps
) -> None:
    columns = ", ".join(table.columns)
    ours = source.execute(f"SELECT {columns} FROM {table.name} ORDER BY {table.order}")
    with target.cursor(name="compared") as theirs:
        theirs.itersize = BATCH_ROWS
        theirs.execute(f"SELECT {columns} FROM {table.name} ORDER BY {table.order}".encode())
        number = 0
        for number, (mine, copied) in enumerate(zip_longest(map(_digest, ours), map(_digest, theirs)), start=1):
            if mine != copied:
                raise DatabaseRefused(
                    f"{url}: row {number} of {table.name} is not as in the file, which was changed since the copy "
                    "began; empty the database and begin anew"
                )
            if number % BATCH_ROWS == 0:
                steps.add(BATCH_ROWS)
        steps.add(number % BATCH_ROWS)


def _digest(row: Iterable[Any]) -> bytes:
    return hashlib.sha256(repr(tuple(row)).encode()).digest()


def _continue_numbers(source: sqlite3.Connection, target: psycopg.Connection[Any], table: Table) -> None:
    """Give no number again that was given once, not even that of a removed client."""
    (column,) = table.key[:1]
    (sequence,) = _one(
        target, "SELECT pg_get_serial_sequence(:table, :column)", {"table": table.name, "column": column}
    )
    if sequence is None:
        return
    statement = "SELECT seq FROM sqlite_sequence WHERE name = :table"
    known = source.execute(statement, {"table": table.name}).fetchone() or (0,)
    (largest,) = source.execute(f"SELECT coalesce(max({column}), 0) FROM {table.name}").fetchone()
    following = max(known[0], largest) + 1
    _one(target, "SELECT setval(:sequence, :following, false)", {"sequence": sequence, "following": following})


@contextmanager
def one_moment(source: sqlite3.Connection) -> Iterator[None]:
    """Read the file as it is at one moment, to the end of the block."""
    source.execute("BEGIN")
    try:
        yield
    finally:
        source.execute("ROLLBACK")
