"""Bring what was ended in a database over to the copy of a backup that will replace it."""

import sqlite3
from pathlib import Path

from gateway.store.endings import (
    COUNT_LOST_SECOND_FACTORS,
    KEEP_SECOND_FACTORS,
    NOT_KNOWN,
    SIGN_OUT,
    SNAPSHOT,
    SNAPSHOT_OF_SECOND_FACTORS,
    EndedKey,
    Endings,
    steps,
)
from gateway.store.sqlite.online_copy import opened


def carry_over(database: Path, copy: Path, now: str, *, revive_keys: bool) -> Endings:
    """Sign everybody out in `copy`, and end in it what was ended in `database` since, or with `revive_keys` list it.

    Raises sqlite3.Error if the copy cannot be written; a database that is not there or cannot be read ends nothing.
    """
    with opened(copy) as connection:
        # What ends in a crash is thrown away, and is made safe on disk when it is whole.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(SIGN_OUT)
        if not _has_snapshot(connection, database):
            return NOT_KNOWN
        connection.executescript(steps(now, revive_keys=revive_keys))
        lost = _keep_second_factors(connection)
        keys = connection.execute("SELECT id, client, start, name, ended FROM ended_keys").fetchall()
        users = connection.execute("SELECT email FROM removed_users").fetchall()
        return Endings(
            tuple(EndedKey(*row) for row in keys), tuple(email for (email,) in users), lost_second_factors=lost
        )


def _keep_second_factors(connection: sqlite3.Connection) -> int:
    """Keep them as they are, and return how many cannot be kept."""
    if not _has_table(connection, "temp", "recovery_codes_before"):
        return 0
    if _has_table(connection, "main", "recovery_codes"):
        connection.executescript(KEEP_SECOND_FACTORS)
        return 0
    (lost,) = connection.execute(COUNT_LOST_SECOND_FACTORS).fetchone()
    return int(lost)


def _has_snapshot(connection: sqlite3.Connection, database: Path) -> bool:
    """Note what the database knows; False where there is none, or none that can be read."""
    if not database.exists():
        return False
    try:
        connection.execute("ATTACH ? AS replaced", (f"{database.as_uri()}?mode=ro",))
        connection.executescript(SNAPSHOT.format(replaced="replaced."))
        if _has_table(connection, "replaced", "recovery_codes"):
            connection.executescript(SNAPSHOT_OF_SECOND_FACTORS.format(replaced="replaced."))
        connection.execute("DETACH replaced")
    except sqlite3.DatabaseError:
        return False
    return True


def _has_table(connection: sqlite3.Connection, schema: str, name: str) -> bool:
    found = connection.execute(f"SELECT 1 FROM {schema}.sqlite_schema WHERE name = ?", (name,))  # noqa: S608 - ours
    return found.fetchone() is not None
