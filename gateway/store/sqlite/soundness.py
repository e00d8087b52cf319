"""Reading a whole database file to see whether it is sound.

That takes seconds for each gigabyte, so it is done after a gateway was killed, by the doctor and in a backup.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Timer

from gateway.errors import DatabaseRefused
from gateway.store.sqlite.file_format import refusals
from gateway.store.sqlite.online_copy import opened

REMEDY = "restore a backup with: gateway restore"


def require_sound(database: Path) -> None:
    """Read all pages. Raises DatabaseRefused if one is damaged."""
    with refusals(database), opened(database) as connection:
        verdict = _verdict(connection)
    if verdict != "ok":
        raise DatabaseRefused(f"{database}: damaged: {verdict}; {REMEDY}")


def find_damage(database: Path, *, seconds: float) -> str | None:
    """Read all pages and return what is damaged, empty if nothing is; None if that takes longer than `seconds`.

    In a rollback journal nobody can commit meanwhile. Raises DatabaseRefused.
    """
    if seconds <= 0:
        return None
    uri = f"{database.absolute().as_uri()}?mode=rw"
    with refusals(database), closing(sqlite3.connect(uri, uri=True, check_same_thread=False)) as connection:
        timer = Timer(seconds, connection.interrupt)
        timer.start()
        try:
            verdict = _verdict(connection)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                return None
            raise
        finally:
            timer.cancel()
            timer.join()
    return "" if verdict == "ok" else verdict


def _verdict(connection: sqlite3.Connection) -> str:
    ((verdict,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
    return " ".join(str(verdict).split())
