"""Check what is on this machine: settings, files and who may read them, database, disk, trusted proxies."""

import asyncio
import os
import pwd
import sqlite3
import stat
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from gateway.doctor.finding import Finding, failure, passed, warning
from gateway.doctor.timings import DoctorTimings
from gateway.services import Services
from gateway.settings import Settings
from gateway.store.disk import DiskRoom, disk_room
from gateway.store.sqlite.database import journal_mode
from gateway.store.sqlite.instance_lock import LOCK_SUFFIX, is_held
from gateway.store.sqlite.soundness import find_damage

ROOT = 0
"""What root makes beside a database is given to the database's owner."""
SIDE_FILES = ("", "-journal", "-wal")
"""SQLite's files; those beside the database hold pages of it."""
CONTAINER_SECRETS = "/run/secrets"
MEGABYTE = 1_000_000
CHECKED_COPY = "To check all of it: gateway backup, which reads the copy through."
READ_ONLY_ADVICE = (
    "Name the primary in database.url if this is a standby (SELECT pg_is_in_recovery()), or turn "
    "default_transaction_read_only off."
)
LOST_NOTIFICATIONS = (
    "its notifications do not arrive, as behind PgBouncer in transaction mode: a gateway learns up to "
    "{:g} s late what others change, such as a revoked key"
)
DIRECT_ADVICE = "Let database.url name the server itself, or a pooler in session mode."
EVERYBODY = frozenset({"0.0.0.0/0", "::/0"})


async def check_settings(services: Services) -> AsyncGenerator[Finding, None]:
    """Check that the credentials for Airbyte are set."""
    airbyte = services.settings.airbyte
    # Not from the settings: a reload may have brought others.
    values = (bool(services.airbyte.identity), services.airbyte.has_secret)
    names = {"client_credentials": ("client_id", "client_secret"), "basic": ("username", "password"), "none": ()}
    missing = [name for name, is_set in zip(names[airbyte.auth], values, strict=False) if not is_set]
    if missing:
        yield failure("settings", f"airbyte.{' and airbyte.'.join(missing)} not set", _how_to_set(missing))
    else:
        yield passed("settings", f"read; Airbyte is asked at {airbyte.base_url}")
    if airbyte.auth == "basic":
        yield warning(
            "settings",
            'airbyte.auth is "basic", which Airbyte Community 2.2 and later refuse',
            'Make an application in Airbyte (User > Applications), and set airbyte.auth = "client_credentials".',
        )


def _how_to_set(names: list[str]) -> str:
    """Return where to write what is missing: a secret has better places than the settings file."""
    advice = ["Fill in [airbyte]."] if {"client_id", "username"}.intersection(names) else []
    for name in {"client_secret", "password"}.intersection(names):
        variable = f"GATEWAY_AIRBYTE_{name.upper()}"
        advice.append(f"Put the secret into {variable}, or into a file that {variable}_FILE names.")
    return " ".join(advice)


async def check_files(services: Services) -> AsyncGenerator[Finding, None]:
    """Check that other users of the machine can neither read secrets nor the database."""
    settings = services.settings
    problems = await asyncio.to_thread(lambda: list(_exposed_files(settings)))
    for problem in problems:
        yield problem
    if not problems:
        what = "secrets and database" if settings.database.is_file else "secrets"
        yield passed("files", f"{what} are closed to other users")


async def check_database(services: Services) -> AsyncGenerator[Finding, None]:
    """Say whose the database is. It was recognised when it was opened."""
    if not services.settings.database.is_file:
        yield await _server_finding(services)
        return
    path = services.settings.database_path
    owner = await asyncio.to_thread(lambda: path.stat().st_uid)
    sqlite = f"SQLite {sqlite3.sqlite_version}, journal {journal_mode(sqlite3.sqlite_version_info)}"
    yield passed("database", f"{path}; owner {user_name(owner)}; {sqlite}")
    if finding := judged_user(os.geteuid(), owner):
        yield finding
    for finding in await asyncio.to_thread(lambda: list(_other_owners(path, owner))):
        yield finding


def judged_user(user: int, owner: int) -> Finding | None:
    """Return a warning where this user leaves files that the database's owner cannot write."""
    if user in {owner, ROOT}:
        return None
    return warning(
        "database",
        f"belongs to {user_name(owner)}, and this is {user_name(user)}",
        f"Run commands as the owner or as root, or they leave files the service cannot write: "
        f"runuser -u {user_name(owner)} -- gateway …",
    )


def _other_owners(database: Path, owner: int) -> Iterator[Finding]:
    """Compare the owner of the database with those of its folder and of the files beside it, which a command left."""
    for file in (Path(f"{database}{suffix}") for suffix in (*SIDE_FILES[1:], LOCK_SUFFIX)):
        if file.exists() and file.stat().st_uid != owner:
            whose = f"{file} belongs to {user_name(file.stat().st_uid)}, the database to {user_name(owner)}"
            yield failure("database", whose, f"The service cannot open it: chown --reference={database} {file}")
    folder = database.parent.stat().st_uid
    if folder != owner:
        yield warning(
            "database",
            f"its folder {database.parent} belongs to {user_name(folder)}, the database to {user_name(owner)}",
            f"SQLite makes files in it: {user_name(owner)} must be able to write there.",
        )


async def check_pages(timings: DoctorTimings, services: Services) -> AsyncGenerator[Finding, None]:
    """Read the whole file, unless a gateway serves it and would have to wait with its commits."""
    if not services.settings.database.is_file:
        return
    path = services.settings.database_path
    is_wal = journal_mode(sqlite3.sqlite_version_info) == "wal"
    if not is_wal and await asyncio.to_thread(is_held, path):
        yield passed("database", "not read through while it is served", CHECKED_COPY)
        return
    damage = await asyncio.to_thread(find_damage, path, seconds=timings.whole_read)
    if damage is None:
        yield passed("database", f"not read to its end within {timings.whole_read:g} s", CHECKED_COPY)
    elif damage:
        yield failure("database", f"damaged: {damage}", "Restore a backup with: gateway restore")
    else:
        yield passed("database", "read through: sound")


async def _server_finding(services: Services) -> Finding:
    """Say what the server of the database tells. It was checked when it was opened."""
    facts = await services.store.facts()
    gateways = f"{facts.gateways} gateways live" if facts.gateways != 1 else "1 gateway lives"
    text = f"{services.settings.database.url} answers; {facts.server}, {facts.bytes / MEGABYTE:.1f} MB; {gateways}"
    if await services.store.is_read_only():
        return failure("database", f"{text}; it takes no writes", READ_ONLY_ADVICE)
    return passed("database", text)


async def check_notifications(timings: DoctorTimings, services: Services) -> AsyncGenerator[Finding, None]:
    """Send a notification over one connection and listen on another. A pooler in transaction mode loses it."""
    if services.settings.database.is_file or await services.store.is_read_only():
        return
    if await services.store.are_notifications_heard(seconds=timings.notification):
        yield passed("database", "its notifications arrive")
    else:
        yield warning("database", LOST_NOTIFICATIONS.format(services.timings.store.poll), DIRECT_ADVICE)


async def check_disk(services: Services) -> AsyncGenerator[Finding, None]:
    """Check that the disk has room for the database to grow."""
    if not services.settings.database.is_file:
        return
    path = services.settings.database_path
    yield free_disk(await asyncio.to_thread(disk_room, path), path.parent)


async def check_proxies(services: Services) -> AsyncGenerator[Finding, None]:
    """Check that not every address may say who the caller is."""
    server = services.settings.server
    trusted = server.trusted_proxies
    if trusted and not server.public_url:
        yield warning(
            "public url",
            f"a proxy is trusted and server.public_url is empty: links and the documentation say {server.address}",
            "Write what callers type into server.public_url.",
        )
    if not trusted:
        yield passed("proxies", "none trusted: forwarding headers are ignored")
    elif EVERYBODY.intersection(trusted):
        yield failure(
            "proxies",
            "every address is trusted to say who the caller is",
            "List only your proxy's own address in server.trusted_proxies.",
        )
    else:
        yield passed("proxies", f"forwarding headers are believed from {', '.join(trusted)}")


def free_disk(room: DiskRoom, folder: Path) -> Finding:
    """Return whether there is enough room for the database."""
    text = f"{room.free // MEGABYTE} MB free in {folder}, the database has {room.size / MEGABYTE:.1f} MB"
    if room.is_scarce:
        return failure("disk", text, "Make room: on a full disk nothing can be changed.")
    return passed("disk", text)


def user_name(number: int) -> str:
    """Return the name of a user of this machine, or the number where it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _exposed_files(settings: Settings) -> Iterator[Finding]:
    yield from _exposed_secrets(settings.secret_files)
    if settings.database.is_file:
        yield from _exposed_database(settings.database_path)


def is_open_to_all(path: Path, mode: int) -> bool:
    """Return whether other users of the machine can read a secret in a file with this path and mode.

    What a container engine mounts is not: nobody else is in the container, and its file is 0444 by default.
    """
    return bool(mode & (stat.S_IROTH | stat.S_IWOTH)) and not path.is_relative_to(CONTAINER_SECRETS)


def _exposed_secrets(files: tuple[Path, ...]) -> Iterator[Finding]:
    for path in files:
        if is_open_to_all(path, path.stat().st_mode):
            yield failure("files", f"every user of this machine can read the secret in {path}", f"chmod 640 {path}")


def _exposed_database(path: Path) -> Iterator[Finding]:
    for file in (path.with_name(path.name + suffix) for suffix in SIDE_FILES):
        if file.exists() and file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            yield failure("files", f"every user of this machine can read {file}", f"chmod 600 {file}")
    mode = path.parent.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield failure(
            "files", f"every user of this machine can replace files in {path.parent}", f"chmod o-w {path.parent}"
        )
