"""Backups: whole, verified copies of the database, made while it is in use."""

import re
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from gateway.errors import DatabaseRefused
from gateway.store.progress import Progress, ignore_progress
from gateway.store.sqlite.file_format import APPLICATION_ID, SCHEMA_VERSION, refusals, require_file
from gateway.store.sqlite.online_copy import Contents, copy_database, identify, opened, verify
from gateway.store.sqlite.part_file import part_file, sync_folder
from gateway.times import format_time

FILE_BACKUP = re.compile(r"gateway-[0-9]{8}T[0-9]{6}\.[0-9]{3}Z\.db")
PART_NAME = "gateway-backup.part"
APPLICATION_ID_OFFSET = 68
"""Of four bytes in the header of an SQLite file (sqlite.org/fileformat2.html)."""


class Backup(msgspec.Struct, frozen=True):
    """A backup that was made just now. `removed` are older ones that made room."""

    path: Path
    contents: Contents
    removed: tuple[Path, ...] = ()


def compact_time(moment: datetime) -> str:
    """Return `20261125T063600.123Z`: the time for names of files, which sort by it."""
    return format_time(moment).replace("-", "").replace(":", "")


def back_up(
    database: Path,
    destination: Path,
    *,
    now: datetime,
    keep: int | None = None,
    progress: Progress = ignore_progress,
) -> Backup:
    """Copy `database` to the new file `destination`, or to a new one in that folder. Raises DatabaseRefused.

    With `keep` only so many of the backups made in that folder stay, the newest.
    """
    require_file(database)
    with refusals(database), opened(database) as connection:
        identify(connection, database)
    in_folder = destination.is_dir()
    path = destination / f"gateway-{compact_time(now)}.db" if in_folder else destination
    contents = write_copy(database, path, part=destination / PART_NAME if in_folder else None, progress=progress)
    removed = remove_oldest(destination, keep, FILE_BACKUP, _is_ours) if in_folder and keep is not None else ()
    return Backup(path, contents, removed)


def write_copy(
    database: Path,
    path: Path,
    *,
    part: Path | None = None,
    newest: int = SCHEMA_VERSION,
    progress: Progress = ignore_progress,
) -> Contents:
    """Write a verified copy to `path`, by way of `part` in the same folder. Raises DatabaseRefused if `path` exists."""
    if path.exists() or path.is_symlink():
        raise DatabaseRefused(f"{path}: already exists; nothing was changed")
    with part_file(part or Path(f"{path}.part")) as file:
        try:
            copy_database(database, file.path, progress)
            contents = verify(file.path, name=database, newest=newest, progress=progress)
            file.publish(path)
        except sqlite3.Error as error:
            raise DatabaseRefused(f"{database}: cannot be copied to {path}: {error}") from None
        except OSError as error:
            raise DatabaseRefused(f"{database}: cannot be copied to {path}: {error.strerror}") from None
    return contents


def remove_oldest(
    folder: Path, keep: int, pattern: re.Pattern[str], is_ours: Callable[[Path], bool]
) -> tuple[Path, ...]:
    """Delete all but the newest `keep` of the files so named that are ours; return the deleted ones."""
    ours = sorted(
        path
        for path in folder.iterdir()
        if pattern.fullmatch(path.name) and path.is_file() and not path.is_symlink() and is_ours(path)
    )
    removed = tuple(ours[:-keep])
    for path in removed:
        path.unlink()
    sync_folder(folder)
    return removed


def _is_ours(path: Path) -> bool:
    """Look for our mark in the file: the name alone could be anybody's."""
    with path.open("rb") as file:
        file.seek(APPLICATION_ID_OFFSET)
        return file.read(4) == APPLICATION_ID.to_bytes(4, "big")
