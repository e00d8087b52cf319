"""What is done to a PostgreSQL database as a whole. The driver is an extra: it is imported when it is needed."""
# ruff: noqa: PLC0415 - see above

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import DatabaseRefused
from gateway.settings.secret import SecretUrl
from gateway.store.backup import Backup
from gateway.store.migration import Migrated, Step
from gateway.store.progress import Progress, ignore_progress
from gateway.store.sqlite.file_format import refusals, require_file
from gateway.store.sqlite.online_copy import opened
from gateway.store.timings import STORE_TIMINGS, StoreTimings

if TYPE_CHECKING:
    from gateway.store.postgres.restoration import ServerRestoration


def require_driver(url: SecretUrl) -> None:
    """Check that the extra is installed. Raises DatabaseRefused."""
    if find_spec("psycopg") is None:
        raise DatabaseRefused(f"{url}: needs more libraries: pip install -r requirements-cluster.lock")


async def create_on_server(url: SecretUrl, timings: StoreTimings = STORE_TIMINGS) -> None:
    """Make our tables in a database that is there and empty. Raises DatabaseRefused."""
    require_driver(url)
    from gateway.store.postgres.schema import create_schema

    await create_schema(url, timings)


async def migrate_server(
    url: SecretUrl,
    steps: Sequence[Step],
    *,
    timings: StoreTimings = STORE_TIMINGS,
    progress: Progress = ignore_progress,
) -> Migrated | None:
    """Take the database to the newest version; return None if it is there already. Raises DatabaseRefused."""
    require_driver(url)
    from gateway.store.postgres.schema import migrate_schema

    return await migrate_schema(url, steps, timings, progress)


def move_to_server(
    path: Path, url: SecretUrl, progress: Progress, timings: StoreTimings = STORE_TIMINGS
) -> dict[str, int]:
    """Copy a file's rows to an empty database; return how many of each table. Raises DatabaseRefused.

    `progress` is called with what is being done, the rows done and all there are. Goes on with a copy of this file that
    was broken off. The caller holds the instance lock.
    """
    require_file(path)
    require_driver(url)
    from gateway.store.postgres.copy import copy_rows, one_moment, require_newest
    from gateway.store.postgres.schema import prepare_copy

    with refusals(path), opened(path) as source, one_moment(source):
        require_newest(source, path)
        asyncio.run(prepare_copy(url, str(path), timings))
        return copy_rows(source, path, url, progress)


def back_up_server(
    url: SecretUrl,
    destination: Path,
    *,
    now: datetime,
    keep: int | None,
    environment: Mapping[str, str],
    progress: Progress = ignore_progress,
) -> Backup:
    """Back the database up by pg_dump, with the arguments of `back_up`. Raises DatabaseRefused."""
    require_driver(url)
    from gateway.store.postgres.dump import dump_database

    return dump_database(url, destination, now=now, keep=keep, environment=environment, progress=progress)


@contextmanager
def restoration_on_server(
    url: SecretUrl,
    backup: Path,
    *,
    now: datetime,
    environment: Mapping[str, str],
    revive_keys: bool,
    progress: Progress = ignore_progress,
) -> Iterator["ServerRestoration"]:
    """Rehearse a restore, as `server_restoration` says. Raises DatabaseRefused."""
    require_driver(url)
    from gateway.store.postgres.restoration import server_restoration

    with server_restoration(
        url, backup, now=now, environment=environment, revive_keys=revive_keys, progress=progress
    ) as prepared:
        yield prepared
