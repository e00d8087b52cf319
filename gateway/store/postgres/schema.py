"""Our tables in a PostgreSQL database: making them, telling them from others', and bringing them up to date."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from gateway.errors import DatabaseRefused
from gateway.resources import PACKAGE
from gateway.settings.secret import SecretUrl
from gateway.store.migration import Migrated, Step, read_steps, usable_from
from gateway.store.postgres.connection import PostgresConnection
from gateway.store.progress import Progress
from gateway.store.sqlite.file_format import APPLICATION_ID, OLDEST_VERSION, SCHEMA_VERSION, require_known
from gateway.store.timings import StoreTimings

SCHEMA = PACKAGE / "store" / "postgres" / "schema.postgres.sql"
OLDEST_SERVER = 140000
NUMBERS_OF_A_VERSION = 10000
TABLE = re.compile(r"^CREATE TABLE (?:IF NOT EXISTS )?(\w+)", re.MULTILINE)
HINTS = {
    r'database ".*" does not exist': "; create it with: createdb --owner USER NAME",
    r"permission denied for schema|no schema has been selected": (
        "; make this user the owner of the database: ALTER DATABASE … OWNER TO …"
    ),
    r"no password supplied": "; set PGPASSWORD or PGPASSFILE, or GATEWAY_DATABASE_URL_FILE",
}
"""By what the server's error says: what to do about it."""


@contextmanager
def refusals(url: SecretUrl) -> Iterator[None]:
    """Turn the server's errors into ours. Raises DatabaseRefused."""
    try:
        yield
    except TimeoutError:
        raise DatabaseRefused(f"{url}: does not answer") from None
    except psycopg.Error as error:
        raise DatabaseRefused(f"{url}: {_in_one_line(error)}") from None


def _in_one_line(error: psycopg.Error) -> str:
    line = " ".join(str(error).partition("\n")[0].split())
    return line + next((hint for pattern, hint in HINTS.items() if re.search(pattern, line)), "")


def our_tables() -> frozenset[str]:
    """Return the names of all tables that a gateway of this version or an older one makes."""
    texts = [SCHEMA.read_text(encoding="utf-8"), *(step.postgres for step in read_steps())]
    return frozenset(name for text in texts for name in TABLE.findall(text))


async def create_schema(
    url: SecretUrl, timings: StoreTimings, *, copy_of: str | None = None, oldest_server: int = OLDEST_SERVER
) -> None:
    """Make the tables in a database that is there and empty. Raises DatabaseRefused.

    `copy_of` names the database whose rows are still to come; until they all have, no gateway opens this one.
    """
    connection = PostgresConnection(url.reveal(), timings)
    with refusals(url):
        try:
            await connection.connect()
            await _require_server(connection, url, oldest_server)
            await connection.run(_begin_alone(timings))
            tables = await connection.run("SELECT 1 FROM pg_tables WHERE schemaname = current_schema() LIMIT 1")
            if tables:
                raise DatabaseRefused(f"{url}: already holds tables; nothing was changed")
            await connection.run(SCHEMA.read_text(encoding="utf-8"), seconds=timings.migration)
            await connection.run(
                """
                INSERT INTO gateway_schema (only_row, application_id, version, copy_of, usable_from)
                VALUES (1, :id, :version, :copy_of, :usable_from)
                """,
                {
                    "id": APPLICATION_ID,
                    "version": SCHEMA_VERSION,
                    "copy_of": copy_of,
                    "usable_from": usable_from(read_steps()),
                },
            )
            await connection.run("COMMIT")
        finally:
            await connection.close_all()


def _begin_alone(timings: StoreTimings) -> str:
    """Return what begins a transaction in which nobody else writes, nor makes the same tables."""
    lock_timeout = int(timings.statement * 1000)
    return f"BEGIN; SET LOCAL lock_timeout = {lock_timeout}; SELECT pg_advisory_xact_lock({APPLICATION_ID});"


async def prepare_copy(url: SecretUrl, copy_of: str, timings: StoreTimings) -> None:
    """Make the tables for `copy_of`'s rows, unless a gateway's are there. Raises DatabaseRefused."""
    connection = PostgresConnection(url.reveal(), timings)
    with refusals(url):
        try:
            await connection.connect()
            is_ours = await _has_mark(connection)
        finally:
            await connection.close_all()
    if not is_ours:
        await create_schema(url, timings, copy_of=copy_of)


async def check_schema(connection: PostgresConnection, url: SecretUrl, version: int, *, oldest_server: int) -> None:
    """Connect. Raises DatabaseRefused unless the database is ours, whole and of a version this one can use."""
    await connection.connect()
    await _require_server(connection, url, oldest_server)
    found = await read_version(connection, url, newest=version)
    if found < version:
        raise DatabaseRefused(
            f"{url}: written by an older gateway (schema {found}, this one needs {version}); "
            "bring it up to date with: gateway migrate"
        )


async def read_version(connection: PostgresConnection, url: SecretUrl, *, newest: int) -> int:
    """Return the version. Raises DatabaseRefused if the database is not ours, half a copy, or too new.

    One newer than `newest` is not too new if it says that gateways of `newest` may use it.
    """
    if not await _has_mark(connection):
        raise DatabaseRefused(f"{url}: no gateway database; make its tables with: gateway init")
    (row,) = await connection.run("SELECT * FROM gateway_schema")
    marks = dict(row)
    # The column is younger than the table; NULL is a step's that was never taken here.
    oldest_user = marks.get("usable_from") or marks["version"]
    is_usable = oldest_user <= newest <= marks["version"]
    require_known(
        url,
        application_id=marks["application_id"],
        version=newest if is_usable else marks["version"],
        newest=newest,
    )
    if row["copy_of"] is not None:
        raise DatabaseRefused(
            f"{url}: the copy of {row['copy_of']} is not whole; finish it with: gateway database copy"
        )
    return int(row["version"])


async def _has_mark(connection: PostgresConnection) -> bool:
    (row,) = await connection.run("SELECT to_regclass('gateway_schema') IS NOT NULL AS is_there")
    return bool(row["is_there"])


async def _require_server(connection: PostgresConnection, url: SecretUrl, oldest: int) -> None:
    (row,) = await connection.run("SELECT current_setting('server_version_num') AS number")
    require_server_version(url, int(row["number"]), oldest)


def require_server_version(url: SecretUrl, number: int, oldest: int = OLDEST_SERVER) -> None:
    """Check the server's own number, as 140005 for 14.5. Raises DatabaseRefused if it is below `oldest`."""
    if number < oldest:
        raise DatabaseRefused(
            f"{url}: PostgreSQL {number // NUMBERS_OF_A_VERSION} is too old; "
            f"{oldest // NUMBERS_OF_A_VERSION} is the oldest"
        )


async def migrate_schema(
    url: SecretUrl, steps: Sequence[Step], timings: StoreTimings, progress: Progress
) -> Migrated | None:
    """Take all missing steps in one transaction; return None if there are none. Raises DatabaseRefused."""
    newest = OLDEST_VERSION + len(steps)
    connection = PostgresConnection(url.reveal(), timings)
    with refusals(url):
        try:
            await connection.connect()
            await connection.run(_begin_alone(timings))
            before = await read_version(connection, url, newest=newest)
            missing = steps[before - OLDEST_VERSION :]
            for number, step in enumerate(missing):
                progress("Migrating", number, len(missing))
                await _take(connection, step, url, before, seconds=timings.migration)
            if missing:
                await connection.run(
                    "UPDATE gateway_schema SET usable_from = :version", {"version": usable_from(steps)}
                )
            await connection.run("COMMIT")
        finally:
            await connection.close_all()
    return Migrated(before, newest, None) if before < newest else None


async def _take(connection: PostgresConnection, step: Step, url: SecretUrl, before: int, *, seconds: float) -> None:
    try:
        await connection.run(step.postgres, seconds=seconds)
        await connection.run("UPDATE gateway_schema SET version = :version", {"version": step.version})
    except psycopg.Error as error:
        raise DatabaseRefused(
            f"{url}: the step {step.name} failed: {_in_one_line(error)}; the database is of version {before} still"
        ) from None
