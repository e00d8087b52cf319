"""Backups of a PostgreSQL database: what pg_dump writes, read through once, and put back in one transaction.

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
from gateway.store.sqlite.file_format import APPLICATION_ID, SCHEMA_VERSION, require_known
from gateway.store.sqlite.online_copy import Contents
from gateway.store.sqlite.part_file import part_file
from gateway.store.timings import LIVE_SECONDS

Environment = Mapping[str, str]
"""Of the programs pg_dump and psql: it tells them where they are and may hold the password."""

DEBIAN_PACKAGE = "postgresql-client"
SERVER_BACKUP = re.compile(r"gateway-[0-9]{8}T[0-9]{6}\.[0-9]{3}Z\.dump")
MARK = b"PGDMP"
MARK_TABLE = re.compile(r" TABLE DATA \S+ gateway_schema ")
EMPTY = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
        EXECUTE format('DROP TABLE %I CASCADE', name);
    END LOOP;
    DROP FUNCTION IF EXISTS announce_change();
END $$;
"""
REQUIRE_OURS = f"""
RESET search_path;
DO $$
BEGIN
    IF (SELECT application_id <> {APPLICATION_ID} OR version > {SCHEMA_VERSION} FROM gateway_schema) THEN
        RAISE EXCEPTION 'the backup was written by a newer gateway; nothing was changed';
    END IF;
    -- Whatever a cache remembers is of another time.
    UPDATE changes SET number = number + 1000000;
END $$;
"""  # noqa: S608 - ours


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
        version = _version(connection, url)
        (snapshot,) = _only(connection, "SELECT pg_export_snapshot()")
        rows = _count_rows(connection)
        with part_file(Path(f"{path}.part")) as part:
            arguments = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
            _run("pg_dump", *arguments, f"--file={part.path}", url=url, environment=environment)
            _read_through(part.path, part.path, environment)
            part.publish(path)
    removed = remove_oldest(destination, keep, SERVER_BACKUP, _is_dump) if in_folder and keep is not None else ()
    return Backup(path, Contents(version, path.stat().st_size, rows), removed)


def restore_dump(url: SecretUrl, backup: Path, *, now: datetime, environment: Environment) -> tuple[Contents, Path]:
    """Replace all there is by the backup, whole or not at all; return its contents and the dump of what there was.

    Raises DatabaseRefused.
    """
    if not backup.is_file() or not _is_dump(backup):
        raise DatabaseRefused(f"{backup}: not a backup of a PostgreSQL database")
    listed = _run("pg_restore", "--list", str(backup), url=None, environment=environment)
    if not MARK_TABLE.search(listed):
        raise DatabaseRefused(f"{backup}: not a backup of a gateway's database")
    script = backup.with_name(f"{backup.name}.sql.part")
    with part_file(script) as part:
        _read_through(backup, part.path, environment)
        _require_nobody(url)
        kept = dump_database(
            url, backup.with_name(f"replaced-{compact_time(now)}.dump"), now=now, keep=None, environment=environment
        ).path
        options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction"]
        steps = [f"--command={EMPTY}", f"--file={part.path}", f"--command={REQUIRE_OURS}"]
        _run("psql", *options, *steps, url=url, environment=environment)
    with refusals(url), psycopg.connect(url.reveal(), prepare_threshold=None) as connection:
        return Contents(_version(connection, url), backup.stat().st_size, _count_rows(connection)), kept


def _require_nobody(url: SecretUrl) -> None:
    with refusals(url), psycopg.connect(url.reveal(), prepare_threshold=None) as connection:
        if _only(connection, "SELECT to_regclass('gateways')")[0] is None:
            return
        live = _only(
            connection,
            "SELECT name FROM gateways WHERE seen_at > "  # noqa: S608 - ours
            f"extract(epoch FROM clock_timestamp()) * 1000 - {LIVE_SECONDS * 1000} LIMIT 1",
        )
        if live:
            raise DatabaseRefused(
                f"{url}: in use by the gateway {live[0]}; stop it first. It leaves in {LIVE_SECONDS:.0f} s"
            )


def _version(connection: psycopg.Connection[Any], url: SecretUrl) -> int:
    if _only(connection, "SELECT to_regclass('gateway_schema')")[0] is None:
        raise DatabaseRefused(f"{url}: no gateway database; make its tables with: gateway init")
    application_id, version = _only(connection, "SELECT application_id, version FROM gateway_schema")
    require_known(url, application_id=application_id, version=version, newest=SCHEMA_VERSION)
    return int(version)


def _count_rows(connection: psycopg.Connection[Any]) -> dict[str, int]:
    tables = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() "
        "AND tablename NOT IN ('gateway_schema', 'changes') ORDER BY 1"
    ).fetchall()
    return {name: _only(connection, f'SELECT count(*) FROM "{name}"')[0] for (name,) in tables}  # noqa: S608 - its own


def _only(connection: psycopg.Connection[Any], sql: str) -> Any:
    return connection.execute(sql.encode()).fetchone() or ()


def _is_dump(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK


def _read_through(dump: Path, script: Path, environment: Environment) -> None:
    """Write every row of the dump to `script`, as SQL. `script` may be the dump itself: then it is only read."""
    target = "/dev/null" if script == dump else str(script)
    options = ["--no-owner", "--no-privileges", f"--file={target}"]
    _run("pg_restore", *options, str(dump), url=None, environment=environment)


def _run(program: str, *arguments: str, url: SecretUrl | None, environment: Environment) -> str:
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
