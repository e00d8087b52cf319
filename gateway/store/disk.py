"""How much room the disk has for a database's file."""

import shutil
from pathlib import Path

import msgspec

LEAST_FREE_BYTES = 100_000_000
FREE_TIMES_DATABASE = 3
"""Room for the database to grow, for a copy of it, and for the journal of a large change."""
AMPLE = 1.2


class DiskRoom(msgspec.Struct, frozen=True):
    """Free bytes of the disk, and the bytes that the file has."""

    free: int
    size: int

    @property
    def is_scarce(self) -> bool:
        """Whether less is free than the database needs."""
        return self.free < self._needed

    @property
    def is_ample(self) -> bool:
        """Whether there is clearly more than is needed: what is told of the disk does not change with every file."""
        return self.free > AMPLE * self._needed

    @property
    def _needed(self) -> int:
        return max(LEAST_FREE_BYTES, FREE_TIMES_DATABASE * self.size)


def disk_room(path: Path) -> DiskRoom:
    """Return the room for the file at `path`. Raises OSError."""
    return DiskRoom(shutil.disk_usage(path.parent).free, path.stat().st_size)
