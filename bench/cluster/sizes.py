"""How many bytes a row takes, its part of the indexes included, in SQLite's file and in PostgreSQL."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from bench.cluster.backends import Backends
from bench.population import made_up_key, populating
from gateway.auth import keys
from gateway.settings.secret import SecretUrl
from gateway.times import format_time

CROWDED_CLIENTS, CROWDED_KEYS = 20, 20_000
LONE_CLIENTS, CONNECTIONS_EACH = 4_000, 10
"""With a key each."""
SLOW = (1_000, 2_592_000)
"""A bucket that is not full again for 43 minutes: long enough to be counted."""
TRIGGERS, USAGE_HOURS, ACTIVITY, SYNC_DAYS = 40_000, 10, 10_000, 40
TABLES = ("clients", "connections", "api_keys", "triggers", "key_usage", "activity", "sync_days")
AGENT = "python-requests/2.32.3"
ADDRESS = "203.0.113.17"


@dataclass(frozen=True)
class RowSize:
    """Bytes, by table."""

    table: str
    rows: int
    sqlite: float
    postgres: float


def crowded_keys() -> list[str]:
    """Return many keys of few clients."""
    return [made_up_key(number) for number in range(CROWDED_KEYS)]


def lone_keys() -> list[str]:
    """Return keys, each of another client, who has some connections."""
    return [made_up_key(CROWDED_KEYS + number) for number in range(LONE_CLIENTS)]


def populate(database: Path) -> None:
    """Fill the database as a busy month would have left it."""
    now = datetime.now(UTC)
    with populating(database, format_time(now), format_time(now + timedelta(days=365))) as population:
        crowd = [population.add_client(f"crowd-{number}") for number in range(CROWDED_CLIENTS)]
        loners = [population.add_client(f"client-{number}") for number in range(LONE_CLIENTS)]
        pairs = []
        for client in loners:
            for ours, theirs in population.add_connections(client, CONNECTIONS_EACH):
                pairs.append((client, ours, theirs))
        population.add_keys(crowd, crowded_keys(), rate=SLOW)
        population.add_keys(loners, lone_keys(), rate=SLOW)
    with closing(sqlite3.connect(database)) as connection, connection:
        _add_past(connection, now, pairs)


def _add_past(connection: sqlite3.Connection, now: datetime, pairs: list[tuple[int, str, str]]) -> None:
    chance = Random(1)  # noqa: S311 - the same rows each time
    connection.execute(
        "UPDATE api_keys SET last_used_at = ?, last_used_address = ?, last_used_agent = ?",
        (format_time(now), ADDRESS, AGENT),
    )
    connection.executemany(
        "INSERT INTO triggers (client_id, connection_id, airbyte_id, caller, request_id, created_at, since, outcome, "
        "job_id, resolved_at, gateway_id) VALUES (?, ?, ?, ?, ?, ?, ?, 'ok', ?, ?, ?)",
        _triggers(chance, now, pairs),
    )
    hours = [
        format_time((now - timedelta(hours=hour)).replace(minute=0, second=0, microsecond=0))
        for hour in range(USAGE_HOURS)
    ]
    for hour in hours:
        connection.execute("INSERT INTO key_usage SELECT id, client_id, ?, 85, 0, 1 FROM api_keys", (hour,))
    connection.executemany(
        "INSERT INTO activity (at, client_id, actor, action, subject, address, request_id, by_operator) "
        "VALUES (?, ?, ?, 'sync.triggered', ?, ?, ?, 0)",
        (
            (format_time(now), client, f"user_{secrets.token_hex(8)}", ours, ADDRESS, secrets.token_hex(16))
            for client, ours, _ in chance.sample(pairs, ACTIVITY)
        ),
    )
    days = [f"{now - timedelta(days=day):%Y-%m-%d}" for day in range(SYNC_DAYS)]
    connection.executemany(
        "INSERT INTO sync_days VALUES (?, ?, 4, 0, 0, 250000, 90000000)",
        ((theirs, day) for _, _, theirs in pairs[: len(pairs) // 10] for day in days),
    )


def _triggers(chance: Random, now: datetime, pairs: list[tuple[int, str, str]]) -> Iterator[tuple[object, ...]]:
    gateway = secrets.token_hex(8)
    for number in range(TRIGGERS):
        client, ours, theirs = chance.choice(pairs)
        at = format_time(now - timedelta(seconds=60 * (TRIGGERS - number)))
        caller = keys.mint_id("key", secrets.choice)
        yield client, ours, theirs, caller, secrets.token_hex(16), at, at, number, at, gateway


def row_sizes(database: Path, url: SecretUrl, backends: Backends) -> list[RowSize]:
    """Measure the rows of a populated file and of its copy."""
    name = url.reveal().rpartition("/")[2]
    found = []
    with closing(sqlite3.connect(database)) as connection:
        for table in TABLES:
            ((rows,),) = connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - ours
            ((in_file,),) = connection.execute(
                "SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?)",
                (table,),
            )
            ((on_server,),) = backends.postgres.ask(f"SELECT pg_total_relation_size('{table}')", database=name)
            found.append(RowSize(table, rows, in_file / rows, int(str(on_server)) / rows))
    return found
