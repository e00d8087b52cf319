"""Putting a dump back into a PostgreSQL database in one transaction, which is rehearsed before anybody is asked."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import psycopg

from gateway.errors import DatabaseRefused
from gateway.settings.secret import SecretUrl
from gateway.store.backup import compact_time
from gateway.store.endings import (
    COUNT_LOST_SECOND_FACTORS,
    KEEP_SECOND_FACTORS,
    SIGN_OUT,
    SNAPSHOT,
    SNAPSHOT_OF_SECOND_FACTORS,
    EndedKey,
    Endings,
    steps,
)
from gateway.store.postgres.dump import (
    Environment,
    dump_database,
    fetch_row,
    is_dump,
    read_through,
    run_on_file,
    run_program,
)
from gateway.store.postgres.schema import our_tables, refusals
from gateway.store.progress import Progress, ignore_progress
from gateway.store.sqlite.file_format import APPLICATION_ID, SCHEMA_VERSION
from gateway.store.sqlite.online_copy import Contents
from gateway.store.sqlite.part_file import part_file
from gateway.store.timings import STORE_TIMINGS, StoreTimings
from gateway.times import format_time

MARK_TABLE = re.compile(r" TABLE DATA \S+ gateway_schema ")
EMPTY = """
SET LOCAL client_min_messages = warning;
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
        EXECUTE format('DROP TABLE %I CASCADE', name);
    END LOOP;
    DROP FUNCTION IF EXISTS announce_change(), forget_syncs();
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
IF_THERE = """
DO $$
BEGIN
    IF {there} THEN
        {statements}
    END IF;
END $$;
"""
SNAPSHOT_OF_FACTORS_THERE = IF_THERE.format(
    there="to_regclass('recovery_codes') IS NOT NULL", statements=SNAPSHOT_OF_SECOND_FACTORS.format(replaced="")
)
KEEP_FACTORS_THERE = IF_THERE.format(
    there="to_regclass('recovery_codes') IS NOT NULL AND to_regclass('pg_temp.recovery_codes_before') IS NOT NULL",
    statements=KEEP_SECOND_FACTORS,
)
COUNT_LOST_FACTORS = "CREATE TEMP TABLE lost_second_factors (people BIGINT);" + IF_THERE.format(
    there="to_regclass('recovery_codes') IS NULL AND to_regclass('pg_temp.recovery_codes_before') IS NOT NULL",
    statements=f"INSERT INTO lost_second_factors {COUNT_LOST_SECOND_FACTORS};",
)
COUNT = """
CREATE TEMP TABLE counted (name TEXT, rows BIGINT);
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema()
            AND tablename NOT IN ('gateway_schema', 'changes') LOOP
        EXECUTE format('INSERT INTO counted SELECT %L, count(*) FROM %I', name, name);
    END LOOP;
END $$;
"""
TELL = """
SELECT jsonb_build_object(
    'version', (SELECT version FROM gateway_schema),
    'rows', (SELECT jsonb_object_agg(name, rows) FROM counted),
    'keys', (SELECT coalesce(jsonb_agg(to_jsonb(ended_keys)), '[]') FROM ended_keys),
    'users', (SELECT coalesce(jsonb_agg(email), '[]') FROM removed_users),
    'lost_second_factors', (SELECT coalesce(sum(people), 0) FROM lost_second_factors)
);
"""
"""Its answer is one line, the last that psql prints."""


NAMED_TABLES = 3
"""So many foreign tables are named: enough to know whose they are."""


class Restored(msgspec.Struct, frozen=True):
    """What the transaction says of the database that it made."""

    version: int
    rows: Mapping[str, int]
    keys: tuple[EndedKey, ...]
    users: tuple[str, ...]
    lost_second_factors: int


class ServerRestoration:
    """A restore that was rehearsed: whole, and rolled back. `endings` are what it would undo."""

    def __init__(
        self, url: SecretUrl, backup: Path, script: Path, environment: Environment, after: str, *, progress: Progress
    ) -> None:
        """`script` is the backup in SQL; `after` are the statements that follow it."""
        self._url = url
        self._backup = backup
        self._script = script
        self._environment = environment
        self._after = after
        restored = self._run("ROLLBACK", "Rehearsing", progress)
        self.endings = Endings(restored.keys, restored.users, lost_second_factors=restored.lost_second_factors)
        self.contents = Contents(restored.version, backup.stat().st_size, dict(sorted(restored.rows.items())))

    def install(self, now: datetime, progress: Progress = ignore_progress) -> Path:
        """Replace all there is; return the dump of it. Raises DatabaseRefused, with nothing changed."""
        replaced = self._backup.with_name(f"replaced-{compact_time(now)}.dump")
        kept = dump_database(
            self._url, replaced, now=now, keep=None, environment=self._environment, progress=progress
        ).path
        self._run("COMMIT", "Restoring", progress)
        return kept

    def _run(self, end: Literal["COMMIT", "ROLLBACK"], what: str, progress: Progress) -> Restored:
        """Run the whole transaction to this end; `progress` is told `what` that is. Raises DatabaseRefused."""
        before = ["BEGIN", SNAPSHOT.format(replaced=""), SNAPSHOT_OF_FACTORS_THERE, EMPTY]
        after = [REQUIRE_OURS, self._after, COUNT, TELL, end]
        arguments = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        arguments += [*_commands(before), "--file=-", *_commands(after)]
        said = run_on_file(
            *("psql", *arguments),
            read=self._script,
            what=what,
            url=self._url,
            environment=self._environment,
            progress=progress,
        )
        return msgspec.json.decode(said.strip().rpartition("\n")[2], type=Restored)


def _commands(statements: list[str]) -> list[str]:
    return [f"--command={statement}" for statement in statements]


@contextmanager
def server_restoration(
    url: SecretUrl,
    backup: Path,
    *,
    now: datetime,
    environment: Environment,
    revive_keys: bool,
    timings: StoreTimings = STORE_TIMINGS,
    progress: Progress = ignore_progress,
) -> Iterator[ServerRestoration]:
    """Rehearse the restore of a dump, in which what was ended since is ended too. Raises DatabaseRefused.

    `revive_keys`: keys that were ended since work again.
    """
    if not backup.is_file() or not is_dump(backup):
        raise DatabaseRefused(f"{backup}: not a backup of a PostgreSQL database")
    listed = run_program("pg_restore", "--list", str(backup), url=None, environment=environment)
    if not MARK_TABLE.search(listed):
        raise DatabaseRefused(f"{backup}: not a backup of a gateway's database")
    with part_file(backup.with_name(f"{backup.name}.sql.part")) as part:
        read_through(backup, part.path, environment, progress)
        with refusals(url), psycopg.connect(url.reveal(), prepare_threshold=None) as connection:
            _require_nobody(connection, url, live_seconds=timings.live)
            _require_own_tables(connection, url)
        after = SIGN_OUT + steps(format_time(now), revive_keys=revive_keys) + KEEP_FACTORS_THERE
        after += COUNT_LOST_FACTORS
        yield ServerRestoration(url, backup, part.path, environment, after, progress=progress)


def _require_nobody(connection: psycopg.Connection[tuple[Any, ...]], url: SecretUrl, *, live_seconds: float) -> None:
    if fetch_row(connection, "SELECT to_regclass('gateways')")[0] is None:
        return
    live = fetch_row(
        connection,
        "SELECT name FROM gateways WHERE seen_at > "  # noqa: S608 - ours
        f"extract(epoch FROM clock_timestamp()) * 1000 - {live_seconds * 1000} LIMIT 1",
    )
    if live:
        raise DatabaseRefused(
            f"{url}: in use by the gateway {live[0]}; stop it first. It leaves in {live_seconds:.0f} s"
        )


def _require_own_tables(connection: psycopg.Connection[tuple[Any, ...]], url: SecretUrl) -> None:
    """Refuse a schema that others use too: a restore replaces every table of it."""
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
    foreign = sorted({name for (name,) in tables} - our_tables())
    if foreign:
        raise DatabaseRefused(
            f"{url}: holds tables that are no gateway's ({', '.join(foreign[:NAMED_TABLES])}), which a restore "
            "would drop; restore into a database of its own"
        )
