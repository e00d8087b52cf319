"""Backups of a PostgreSQL database: what pg_dump writes, read through once.

The programs are those of the server's package; their password is in their environment, never among their arguments.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from gateway.errors import DatabaseRefused
from gateway.settings.secret import SecretUrl
from gateway.store.backup import Backup, compact_time, remove_oldest
from gateway.store.postgres.schema import refusals
from gateway.store.progress import Progress, ignore_progress
from gateway.store.sqlite.file_format import SCHEMA_VERSION, require_known
from gateway.store.sqlite.online_copy import Contents
from gateway.store.sqlite.part_file import part_file
from gateway.store.timings import STORE_TIMINGS

Environment = Mapping[str, str]
"""Of the programs pg_dump and psql: it tells them where they are and may hold the password."""

DEBIAN_PACKAGE = "postgresql-client"
SERVER_BACKUP = re.compile(r"gateway-[0-9]{8}T[0-9]{6}\.[0-9]{3}Z\.dump")
MARK = b"PGDMP"
MEGABYTE = 1_000_000


def dump_database(
    url: SecretUrl,
    destination: Path,
    *,
    now: datetime,
    keep: int | None,
    environment: Environment,
    progress: Progress = ignore_progress,
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
            run_program(
                *("pg_dump", *arguments, f"--file={part.path}"),
                url=url,
                environment=environment,
                watch=lambda: progress("Dumping (MB)", part.path.stat().st_size // MEGABYTE, 0),
            )
            read_through(part.path, part.path, environment, progress)
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


def read_through(dump: Path, script: Path, environment: Environment, progress: Progress = ignore_progress) -> None:
    """Write every row of the dump to `script`, as SQL. `script` may be the dump itself: then it is only read."""
    target = "/dev/null" if script == dump else str(script)
    options = ["--no-owner", "--no-privileges", f"--file={target}"]
    run_on_file("pg_restore", *options, read=dump, what="Checking", environment=environment, progress=progress)


def run_on_file(
    program: str,
    *arguments: str,
    read: Path,
    what: str,
    environment: Environment,
    progress: Progress,
    url: SecretUrl | None = None,
) -> str:
    """Run a program that reads the file as its standard input; return what it prints. Raises DatabaseRefused.

    `progress` is told how many of the bytes were read.
    """
    size = read.stat().st_size
    with read.open("rb", buffering=0) as file:
        # The program and we have one position in the file.
        return run_program(
            *(program, *arguments),
            url=url,
            environment=environment,
            standard_input=file,
            watch=lambda: progress(what, file.tell(), size),
        )


def run_program(
    program: str,
    *arguments: str,
    url: SecretUrl | None,
    environment: Environment,
    standard_input: IO[bytes] | int = subprocess.DEVNULL,
    watch: Callable[[], None] = lambda: None,
    watch_seconds: float = STORE_TIMINGS.program_watch,
) -> str:
    """Run one of the server's programs on the database, and return what it prints. Raises DatabaseRefused.

    `watch` is called every so many seconds, and at the end.
    """
    path = shutil.which(program, path=environment.get("PATH"))
    if path is None:
        raise DatabaseRefused(
            f"{program} is not on the PATH: install {DEBIAN_PACKAGE}, of the server's version or newer"
        )
    with subprocess.Popen(  # noqa: S603 - ours
        [path, *arguments],
        env={**environment, **(_variables(url) if url else {})},
        stdin=standard_input,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        printed, complaint = _communicate(process, watch, watch_seconds)
    if process.returncode:
        lines = [line for line in complaint.splitlines() if line.strip()] or [f"exit status {process.returncode}"]
        raise DatabaseRefused(f"{program}: {lines[0].rpartition('ERROR: ')[2].strip().removeprefix(f'{program}: ')}")
    return printed


def _communicate(process: subprocess.Popen[str], watch: Callable[[], None], watch_seconds: float) -> tuple[str, str]:
    """Return what the process writes to standard output and error until it ends. Kills it if we end before."""
    try:
        while True:
            try:
                written = process.communicate(timeout=watch_seconds)
            except subprocess.TimeoutExpired:
                watch()
            else:
                watch()
                return written
    except BaseException:
        process.kill()
        raise


def _variables(url: SecretUrl) -> dict[str, str]:
    """Return what libpq reads instead of arguments."""
    names = {option.keyword.decode(): option.envvar for option in Conninfo.get_defaults()}
    parts = conninfo_to_dict(url.reveal())
    return {name.decode(): str(value) for key, value in parts.items() if (name := names.get(key)) and value is not None}
