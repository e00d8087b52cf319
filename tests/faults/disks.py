"""Disks that are full or may only be read, made without harm to the machine's own."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PIECE = b"\0" * 4096


def mount(*arguments: str) -> bool:
    """Whether this user may; in containers and for ordinary users it is often forbidden."""
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0  # noqa: S607


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of one megabyte in memory. Skips the test where mounting is forbidden."""
    folder.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(folder)):
        pytest.skip("mounting is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


def fill(folder: Path) -> Path:
    """Leave not a page free; the file that takes it all."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(PIECE):
                pass
        except OSError:
            return ballast
    raise AssertionError("the disk has no end")


@contextmanager
def no_file_may_grow(process_id: int) -> Iterator[None]:
    """Every write of the process to a regular file fails, as on a failing disk. Needs no rights."""
    soft, hard = resource.prlimit(process_id, resource.RLIMIT_FSIZE)
    resource.prlimit(process_id, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(process_id, resource.RLIMIT_FSIZE, (soft, hard))
