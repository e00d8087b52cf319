"""Backups of a PostgreSQL database: what pg_dump writes, read through once.

The programs are those of the server's package; their password is in their environment, never among their arguments.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from gateway.errors import DatabaseRefused
from gateway.settings.secret import SecretUrl
from gateway.store.backup import Backup, compact_time, remove_oldest
from gateway.store.postgres.schema import refusals
from gateway.store.sqlite.file_format import SCHEMA_VERSION, require_known
from gateway.store.sqlite.online_copy import Contents
from gateway.store.sqlite.part_file import part_file

Environment = Mapping[str, str]
"""Of the programs pg_dump and psql: it tells them where they are and may hold the password."""

DEBIAN_PACKAGE = "postgresql-client"
SERVER_BACKUP = re.compile(r"gateway-[0-9]{8}T[0-9]{6}\.[0-9]{3}Z\.dump")
MARK = b"PGDMP"


def dump_database(
    url: SecretUrl, destination: Path, *, now: datetime, keep: int | None, environment: Environment
) -> Backup:
    """Write a dump to the new file `destination`, or to a new one in that folder. Raises DatabaseRefused.

    With `keep` only so many of the backups made in that folder stay, the newest.
    """
    in_folder = destination.is_dir()
    path = destination / f"gateway-{compact_time(now)}.dump" if in_folder else destination
    if path.exists() or path.is_symlink():
        raise DatabaseRefused(f"{path}: already exists; nothing was changed")
    with refusals(url), psycopg.connect(url.reveal(), prepare_threshold=None) as connection:
        # What is counted and what is dumped are of one moment.
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        version = _read_version(connection, url)
        (snapshot,) = fetch_row(connection, "SELECT pg_export_snapshot()")
        rows = _count_rows(connection)
        with part_file(Path(f"{path}.part")) as part:
            arguments = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
            run_program("pg_dump", *arguments, f"--file={part.path}", url=url, environment=environment)
            read_through(part.path, part.path, environment)
            part.publish(path)
    removed = remove_oldest(destination, keep, SERVER_BACKUP, is_dump) if in_folder and keep is not None else ()
    return Backup(path, Contents(version, path.stat().st_size, rows), removed)


def _read_version(connection: psycopg.Connection[Any], url: SecretUrl) -> int:
    if fetch_row(connection, "SELECT to_regclass('gateway_schema')")[0] is None:
        raise DatabaseRefused(f"{url}: no gateway database; make its tables with: gateway init")
    application_id, version = fetch_row(connection, "SELECT application_id, version FROM gateway_schema")
    require_known(url, application_id=application_id, version=version, newest=SCHEMA_VERSION)
    return int(version)


def _count_rows(connection: psycopg.Connection[Any]) -> dict[str, int]:
    tables = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() "
        "AND tablename NOT IN ('gateway_schema', 'changes') ORDER BY 1"
    ).fetchall()
    return {name: fetch_row(connection, f'SELECT count(*) FROM "{name}"')[0] for (name,) in tables}  # noqa: S608 - its own


def fetch_row(connection: psycopg.Connection[Any], sql: str) -> Any:
    """Return the first row of the answer, or an empty tuple."""
    return connection.execute(sql.encode()).fetchone() or ()


def is_dump(path: Path) -> bool:
    """Tell whether the file begins as pg_dump begins one."""
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK


def read_through(dump: Path, script: Path, environment: Environment) -> None:
    """Write every row of the dump to `script`, as SQL. `script` may be the dump itself: then it is only read."""
    target = "/dev/null" if script == dump else str(script)
    options = ["--no-owner", "--no-privileges", f"--file={target}"]
    run_program("pg_restore", *options, str(dump), url=None, environment=environment)


def run_program(program: str, *arguments: str, url: SecretUrl | None, environment: Environment) -> str:
    """Run one of the server's programs on the database, and return what it prints. Raises DatabaseRefused."""
    path = shutil.which(program, path=environment.get("PATH"))
    if path is None:
        raise DatabaseRefused(
            f"{program} is not on the PATH: install {DEBIAN_PACKAGE}, of the server's version or newer"
        )
    done = subprocess.run(  # noqa: S603 - ours
        [path, *arguments],
        env={**environment, **(_variables(url) if url else {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        raise DatabaseRefused(f"{program}: {lines[0].rpartition('ERROR: ')[2].strip().removeprefix(f'{program}: ')}")
    return done.stdout


def _variables(url: SecretUrl) -> dict[str, str]:
    """Return what libpq reads instead of arguments."""
    names = {option.keyword.decode(): option.envvar for option in Conninfo.get_defaults()}
    parts = conninfo_to_dict(url.reveal())
    return {name.decode(): str(value) for key, value in parts.items() if (name := names.get(key)) and value is not None}
