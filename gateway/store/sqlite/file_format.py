"""What tells a database of ours from any other file, which versions there are, and how a wrong one is refused."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import DatabaseRefused

APPLICATION_ID = 0x736D7274
OLDEST_VERSION = 1
SCHEMA_VERSION = 13
"""Of `schema.sql`; the steps in `migrations/` lead there from the oldest."""
FILE_MODE = 0o600


def require_file(path: Path) -> None:
    """Check that `path` is a file we may read and write. Raises DatabaseRefused if not.

    Before SQLite is asked: aiosqlite leaves a thread behind when the file cannot be opened at all.
    """
    if not path.exists():
        raise DatabaseRefused(f"{path}: no such database; create it with: gateway init")
    if not path.is_file():
        raise DatabaseRefused(f"{path}: not a file")
    if not os.access(path, os.R_OK | os.W_OK):
        raise DatabaseRefused(f"{path}: may not be read and written by this user")


def require_known(path: object, *, application_id: int, version: int, newest: int) -> None:
    """Check the database `path`. Raises DatabaseRefused unless it is a gateway's, of a version up to `newest`."""
    if application_id != APPLICATION_ID:
        raise DatabaseRefused(f"{path}: not a gateway database")
    if version > newest:
        raise DatabaseRefused(f"{path}: written by a newer gateway (schema {version}, this one knows {newest})")
    if version < OLDEST_VERSION:
        raise DatabaseRefused(f"{path}: of no known version (schema {version})")


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the file `path` into ours. Raises DatabaseRefused."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise DatabaseRefused(f"{path}: cannot be opened: {error}") from None
    except sqlite3.DatabaseError as error:
        raise DatabaseRefused(f"{path}: not a gateway database, or damaged: {error}") from None
    except OSError as error:
        raise DatabaseRefused(f"{path}: cannot be opened: {error.strerror}") from None
