"""A file that is written beside its final path and moved there when it is whole and safe on disk."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import DatabaseRefused
from gateway.store.sqlite.file_format import FILE_MODE
from gateway.store.sqlite.owner import give_to_owner

CLAIMS = 3


class PartFile:
    """A file of its owner's alone. The lock on it tells one that is being written from one that a kill left behind."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def take_after(self, model: Path) -> None:
        """Take over owner and mode of `model`. Raises OSError where this user may not."""
        known, ours = model.stat(), os.fstat(self._descriptor)
        if (known.st_uid, known.st_gid) != (ours.st_uid, ours.st_gid):
            os.fchown(self._descriptor, known.st_uid, known.st_gid)
        os.fchmod(self._descriptor, stat.S_IMODE(known.st_mode))

    def publish(self, target: Path) -> None:
        """Move it to `target`, replacing what is there, so that a crash leaves the one or the other."""
        os.fsync(self._descriptor)
        self.path.rename(target)
        sync_folder(target.parent)

    def is_at(self, path: Path) -> bool:
        """Tell whether the file is still the one at `path`."""
        try:
            found = path.lstat()
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._descriptor))


@contextmanager
def part_file(path: Path) -> Iterator[PartFile]:
    """Make an empty file, gone after the block unless published. Raises DatabaseRefused, and OSError in the block."""
    try:
        part = _claim(path)
    except OSError as error:
        raise DatabaseRefused(f"{path}: cannot be created: {error.strerror}") from None
    try:
        yield part
    finally:
        if part.is_at(path):
            path.unlink()
        os.close(part._descriptor)  # noqa: SLF001 - opened here


def _claim(path: Path) -> PartFile:
    for _ in range(CLAIMS):
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        part = PartFile(path, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            break
        if part.is_at(path) and os.fstat(descriptor).st_size == 0:
            os.fchmod(descriptor, FILE_MODE)
            give_to_owner(descriptor, path.parent)
            return part
        # Left behind, or moved to its final path while we came for it: then it is nobody's to empty.
        if part.is_at(path):
            path.unlink()
        os.close(descriptor)
    raise DatabaseRefused(f"{path}: being written by another process")


def sync_folder(folder: Path) -> None:
    """Make what was created and renamed in it outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
