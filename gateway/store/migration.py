"""Taking a database of an older version to the newest, step by step, with a verified copy made first."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from gateway.errors import DatabaseRefused
from gateway.resources import PACKAGE
from gateway.store.backup import compact_time, write_copy
from gateway.store.progress import Progress, ignore_progress
from gateway.store.sqlite.file_format import OLDEST_VERSION, refusals, require_file
from gateway.store.sqlite.online_copy import count_rows, identify, opened

MIGRATIONS = PACKAGE / "store" / "migrations"
TICK_INSTRUCTIONS = 1_000_000
"""Of SQLite's machine, between two words on a step's progress: some ten a second."""
ADDITIVE = "-- Additive"
"""The beginning of a step for a server that takes nothing from gateways of the version before."""
FILE_NAME = re.compile(r"(([0-9]{4})_[a-z0-9_]+)\.(sqlite|postgres)\.sql")


class Step(msgspec.Struct, frozen=True):
    """What takes a database from the version before to `version`: SQL for either kind.

    After one that `is_additive`, gateways of the version before may go on using a server's database.
    """

    version: int
    name: str
    sqlite: str
    postgres: str

    @property
    def is_additive(self) -> bool:
        """Whether the release before works with the schema that the step makes."""
        return self.postgres.startswith(ADDITIVE)


class Migrated(msgspec.Struct, frozen=True):
    """What was done. `copy` is the database as it was, where one was made."""

    before: int
    after: int
    copy: Path | None


def read_steps(folder: Path = MIGRATIONS) -> list[Step]:
    """Return the steps in the folder, of two files each: `0002_what.sqlite.sql` and `0002_what.postgres.sql`.

    Raises ValueError when a number is missing, FileNotFoundError when one of two files is.
    """
    matches = filter(None, (FILE_NAME.fullmatch(path.name) for path in folder.iterdir()))
    steps = [
        Step(
            number,
            name,
            sqlite=(folder / f"{name}.sqlite.sql").read_text(encoding="utf-8"),
            postgres=(folder / f"{name}.postgres.sql").read_text(encoding="utf-8"),
        )
        for number, name in sorted({(int(match[2]), match[1]) for match in matches})
    ]
    expected = range(OLDEST_VERSION + 1, OLDEST_VERSION + 1 + len(steps))
    if [step.version for step in steps] != list(expected):
        raise ValueError(f"{folder}: steps must be numbered from {expected.start} on without a gap")
    return steps


def usable_from(steps: Sequence[Step]) -> int:
    """Return the oldest version whose gateways may use a server's database after these steps."""
    return max((step.version for step in steps if not step.is_additive), default=OLDEST_VERSION)


def is_outdated(database: Path, steps: Sequence[Step]) -> bool:
    """Tell whether there is something to migrate. Raises DatabaseRefused."""
    require_file(database)
    with refusals(database), opened(database) as connection:
        return identify(connection, database, newest=_newest(steps)) < _newest(steps)


def migrate(
    database: Path, steps: Sequence[Step], *, now: datetime, progress: Progress = ignore_progress
) -> Migrated | None:
    """Take the database to the newest version; return None if it is there already. Raises DatabaseRefused.

    The caller holds the instance lock.
    """
    require_file(database)
    with refusals(database), opened(database) as connection:
        before = identify(connection, database, newest=_newest(steps))
        if before == _newest(steps):
            return None
        # Within a transaction this would do nothing. Each step's references are checked before it is committed.
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA synchronous = FULL")
        # From here to the end of the first step nobody else writes: the copy is what the step begins with.
        connection.execute("BEGIN IMMEDIATE")
        copy = Path(f"{database.resolve()}.v{before}-{compact_time(now)}.bak")
        part = Path(f"{database.resolve()}.part")
        if write_copy(database, copy, part=part, newest=before, progress=progress).rows != count_rows(connection):
            raise DatabaseRefused(f"{copy}: does not hold the rows of {database}; nothing was changed")
        missing = steps[before - OLDEST_VERSION :]
        for number, step in enumerate(missing):
            taking = partial(progress, "Migrating", number, len(missing))
            taking()
            connection.set_progress_handler(taking, TICK_INSTRUCTIONS)
            _take(connection, step, database, copy)
        progress("Migrating", len(missing), len(missing))
        return Migrated(before, _newest(steps), copy)


def _newest(steps: Sequence[Step]) -> int:
    return OLDEST_VERSION + len(steps)


def _take(connection: sqlite3.Connection, step: Step, database: Path, copy: Path) -> None:
    """Take one step in one transaction, with its version number."""
    try:
        if not connection.in_transaction:
            connection.execute("BEGIN IMMEDIATE")
        for statement in _statements(step.sqlite):
            connection.execute(statement).fetchall()
            if not connection.in_transaction:
                raise ValueError(f"{step.name}: must leave the transaction alone")
        dangling = connection.execute("PRAGMA foreign_key_check").fetchone()
        if dangling is not None:
            raise sqlite3.IntegrityError(f"a row of {dangling[0]} refers to none of {dangling[2]}")
        connection.execute(f"PRAGMA user_version = {step.version}")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise DatabaseRefused(
            f"{database}: the step {step.name} failed: {error}; the database is of version {step.version - 1} still, "
            f"and as it was before all in {copy}"
        ) from None


def _statements(sql: str) -> Iterator[str]:
    """Yield the statements one by one: `executescript` would commit first."""
    statement = ""
    for piece in re.split(r"(?<=;)", sql):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
