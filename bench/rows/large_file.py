"""A database file of 1.4 GB: what a start and a command take that have no reason to read it through."""

import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

from bench.arena import Arena
from bench.earlier import check_out
from bench.processes import free_port
from bench.rows.footprint import timed_start
from bench.scores import Line, at_most

FILE_BYTES = 1_400_000_000
TEXT_BYTES = 8_000
"""Of a row that fills the file: twice a page."""


def large_file(arena: Arena, rounds: int) -> list[Line]:
    # As operators have it: what developers install beside it makes every command start a third slower.
    gateway = str(check_out("HEAD").gateway)
    port = free_port()
    world = arena.another_world(port)
    fill(world.settings.parent / "gateway.db")
    # No gateway has closed the file yet, so the first one reads it through.
    timed_start(arena, world.settings, port, world.key)
    starts, commands = [], []
    for _ in range(rounds):
        starts.append(timed_start(arena, world.settings, port, world.key))
        began = time.perf_counter()
        subprocess.run(
            [gateway, "client", "list", "--settings", str(world.settings)], check=True, stdout=subprocess.DEVNULL
        )
        commands.append(time.perf_counter() - began)
    return [
        Line("large", "serve to first answer, 1.4 GB", starts, "s", at_most(1)),
        Line("large", "gateway client list, 1.4 GB", commands, "s", at_most(0.5)),
    ]


def fill(database: Path) -> None:
    """Add activity of no client until the file is large."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(
            """
            WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)
            INSERT INTO activity (at, actor, action, subject, by_operator)
            SELECT strftime('%Y-%m-%dT%H:%M:%fZ'), 'bench', 'client.update', hex(zeroblob(:bytes / 2)), 1 FROM numbers
            """,
            {"rows": FILE_BYTES // TEXT_BYTES, "bytes": TEXT_BYTES},
        )
