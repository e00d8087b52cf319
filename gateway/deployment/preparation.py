"""What a machine must have before systemd can run the gateway: a user, folders, owners, settings, a database.

Each step is a command of the shell, so that it can be shown, run, or typed by hand.
"""

import os
import pwd
import shlex
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

import msgspec

from gateway.deployment.systemd import STATE_FOLDER, Installation, is_in_a_home
from gateway.deployment.systemd_backup import BACKUP_FOLDER
from gateway.errors import InvalidInput

NEW_DATABASE = f"{STATE_FOLDER}/gateway.db"
NEW_SETTINGS = f"""\
# What differs from the defaults. docs/settings.md has every setting; "gateway config" shows those in force.

[airbyte]
# Self-managed: http://HOST:8000/api/public/v1   Cloud: https://api.airbyte.com/v1
base_url = "http://localhost:8000/api/public/v1"
# Of an application made in Airbyte (User > Applications). Its secret has a file of its own.
client_id = ""

[database]
url = "sqlite:///{NEW_DATABASE}"
"""
BESIDE_DATABASE = ("-journal", "-wal", "-shm", ".lock")
SYSTEM_FOLDERS = frozenset({"/", "/home", "/opt", "/root", "/srv", "/usr", "/usr/local", "/var", "/var/lib"})


class Step(msgspec.Struct, frozen=True):
    """One command, with what it reads. `changes_existing`: it changes the owner or the rights of what was there."""

    command: tuple[str, ...]
    reads: str = ""
    changes_existing: bool = False

    def __str__(self) -> str:
        """Return what is typed into a shell."""
        line = shlex.join(self.command)
        return f"{line} <<'END'\n{self.reads}END" if self.reads else line


class Machine(msgspec.Struct, frozen=True):
    """The machine below the folder `root`, and the service's user on it: None if there is none yet."""

    root: Path
    user: int | None
    group: int | None

    def exists(self, path: str) -> bool:
        """Return whether there is something at an absolute path."""
        return self._at(path).exists()

    def is_filled(self, path: str) -> bool:
        """Return whether there is a file with something in it. Raises OSError."""
        return self.exists(path) and self._at(path).stat().st_size > 0

    def is_owned(self, path: str) -> bool:
        """Return whether it belongs to the user that prepares the machine. Raises OSError."""
        return self._at(path).stat().st_uid == self.user

    def is_usable(self, path: str) -> bool:
        """Return whether the service's user may read the file, or enter the folder."""
        found = self._at(path).stat()
        right = stat.S_IXOTH if stat.S_ISDIR(found.st_mode) else stat.S_IROTH
        shift = 6 if found.st_uid == self.user else 3 if found.st_gid == self.group else 0
        return bool(found.st_mode & right << shift)

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")


def find_machine(root: Path, user: str) -> Machine:
    """Return this machine with its user of that name. Below another root there are no users."""
    try:
        found = pwd.getpwnam(user) if root == Path("/") else None
    except KeyError:
        found = None
    return Machine(root, found and found.pw_uid, found and found.pw_gid)


def missing_steps(installation: Installation, database: str | None, machine: Machine) -> tuple[Step, ...]:
    """Return what the machine lacks. `database` is the path of an SQLite file, if it is one.

    Raises InvalidInput for a database in a folder that cannot be given to the service's user.
    """
    return tuple(_missing_steps(installation, database, machine))


def closed_programs(paths: Iterable[str], user: str, machine: Machine) -> Iterator[str]:
    """Yield a warning for what keeps the service's user from a program, as after an installation with umask 077.

    In a home there is more that others should not see, so that is not opened.
    """
    closed = [_closed_place(path, machine) for path in paths if not is_in_a_home(path)]
    for place in dict.fromkeys(filter(None, closed)):
        yield f"{place} is closed to {user}: chmod -R go+rX {place}"


def _closed_place(path: str, machine: Machine) -> str:
    """Return the first folder on the way to `path`, or the file, that the service's user may not use."""
    way = [place for place in (*map(os.fspath, reversed(PurePath(path).parents)), path) if place not in SYSTEM_FOLDERS]
    return next((place for place in way if machine.exists(place) and not machine.is_usable(place)), "")


def init_step(installation: Installation) -> Step:
    """Return what makes the database, as the service's user."""
    program = (*installation.program, "init", "--settings", installation.settings)
    return Step(("runuser", "-u", installation.user, "--", *program))


def _missing_steps(installation: Installation, database: str | None, machine: Machine) -> Iterator[Step]:
    user, settings = installation.user, installation.settings
    if machine.user is None:
        yield Step(("useradd", "--system", "--home-dir", STATE_FOLDER, "--shell", "/usr/sbin/nologin", user))
    folder = os.fspath(PurePath(settings).parent)
    if not machine.exists(folder):
        yield Step(("install", "-d", "-g", user, "-m", "750", folder))
    if not machine.exists(settings):
        yield Step(("install", "-g", user, "-m", "640", "/dev/stdin", settings), reads=NEW_SETTINGS)
    if installation.credential and not machine.exists(installation.secret_file):
        yield Step(("install", "-g", user, "-m", "640", "/dev/null", installation.secret_file))
    yield from _made_readable((folder, settings, installation.credential and installation.secret_file), user, machine)
    yield from _own_folder(BACKUP_FOLDER, user, machine)
    if database is not None:
        yield from _own_database(database, user, machine)
        if not machine.exists(database):
            yield init_step(installation)


def _made_readable(paths: tuple[str, ...], user: str, machine: Machine) -> Iterator[Step]:
    for path in filter(None, paths):
        if machine.exists(path) and not machine.is_usable(path):
            yield Step(("chgrp", user, path), changes_existing=True)
            yield Step(("chmod", "g+rX", path), changes_existing=True)


def _own_folder(folder: str, user: str, machine: Machine) -> Iterator[Step]:
    if not machine.exists(folder):
        yield Step(("install", "-d", "-o", user, "-g", user, "-m", "700", folder))
    elif not machine.is_owned(folder):
        yield Step(("chown", f"{user}:{user}", folder), changes_existing=True)


def _own_database(database: str, user: str, machine: Machine) -> Iterator[Step]:
    folder = os.fspath(PurePath(database).parent)
    is_there = machine.exists(database)
    if folder in SYSTEM_FOLDERS or (not is_there and PurePath(folder).is_relative_to("/etc")):
        raise InvalidInput(
            f"database.url: {database} would lie in {folder}, which cannot belong to {user}: "
            f'write an absolute path into [database], as url = "sqlite:///{NEW_DATABASE}"'
        )
    yield from _own_folder(folder, user, machine)
    files = [path for path in (database, *(database + end for end in BESIDE_DATABASE)) if machine.exists(path)]
    if not all(map(machine.is_owned, files)):
        yield Step(("chown", f"{user}:{user}", *files), changes_existing=True)
