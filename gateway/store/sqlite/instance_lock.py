"""One serving gateway for each database: two would each have their own rate limit, so twice what was promised.

The lock is on a file beside the database and ends with the process, however it ends. Never on the database itself:
closing any other descriptor of that file would drop SQLite's own locks.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import DatabaseRefused
from gateway.store.sqlite.file_format import FILE_MODE
from gateway.store.sqlite.owner import give_to_owner

LOCK_SUFFIX = ".lock"
SERVING = b"serving\n"
ENDED = b"ended\n"


class InstanceLock:
    """The lock that is held. Its file also says whether the gateway that served last came to its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def was_ended(self) -> bool:
        """Whether the last gateway closed the database. Unknown is no."""
        return os.pread(self._descriptor, len(ENDED) + 1, 0) == ENDED

    def note_serving(self) -> None:
        """Note, safe on disk, that a gateway serves."""
        self._write(SERVING)
        os.fsync(self._descriptor)

    def note_ended(self) -> None:
        """Note that the gateway closed the database."""
        self._write(ENDED)

    def _write(self, text: bytes) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)


@contextmanager
def instance_lock(database: Path) -> Iterator[InstanceLock]:
    """Hold the lock of the database. Raises DatabaseRefused while another process does.

    The lock file stays behind: removing it would let a third process lock a new one while a second holds the old.
    """
    path = f"{database.resolve()}{LOCK_SUFFIX}"
    try:
        descriptor = _open(path, database.resolve())
    except OSError as error:
        raise DatabaseRefused(f"{path}: cannot be opened: {error.strerror}") from None
    try:
        _lock(descriptor, database, path)
        yield InstanceLock(descriptor)
    finally:
        os.close(descriptor)


def _open(path: str, database: Path) -> int:
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags | os.O_EXCL, FILE_MODE)
    except FileExistsError:
        return os.open(path, flags, FILE_MODE)
    give_to_owner(descriptor, database if database.exists() else database.parent)
    return descriptor


def _lock(descriptor: int, database: Path, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DatabaseRefused(f"{database}: in use by another gateway; one database is served once") from None
    except OSError as error:
        raise DatabaseRefused(f"{path}: cannot be locked: {error.strerror}") from None


def is_held(database: Path) -> bool:
    """Tell whether a gateway, or a command that needs the database to itself, holds the lock now, or may hold it."""
    try:
        descriptor = os.open(f"{database.resolve()}{LOCK_SUFFIX}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
