"""What another program does to the database, and sees in it, while a gateway has it open."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from gateway.store import DatabaseLocation
from gateway.store.sqlite.file_format import APPLICATION_ID


class OtherProgram:
    """Not in a transaction until it locks; whatever is under way ends with the block."""

    def __init__(self, connection: Any, *, is_file: bool) -> None:
        self._connection = connection
        self._is_file = is_file

    def rows(self, sql: str) -> list[dict[str, Any]]:
        cursor = self._connection.execute(sql)
        return [dict(row) for row in cursor.fetchall()] if cursor.description else []

    def keep_others_from_writing(self) -> None:
        if self._is_file:
            self.rows("BEGIN IMMEDIATE")
        else:
            self.rows("BEGIN")
            self.rows(f"SELECT pg_advisory_xact_lock({APPLICATION_ID})")

    def keep_others_out(self) -> None:
        if self._is_file:
            self.rows("BEGIN EXCLUSIVE")
        else:
            self.rows("BEGIN")
            self.rows("LOCK TABLE clients, api_keys, connections IN ACCESS EXCLUSIVE MODE")


@contextmanager
def other_program(place: DatabaseLocation) -> Iterator[OtherProgram]:
    if isinstance(place, Path):
        with closing(sqlite3.connect(place, isolation_level=None, timeout=0)) as file:
            file.row_factory = sqlite3.Row
            yield OtherProgram(file, is_file=True)
    else:
        with closing(psycopg.connect(place.reveal(), autocommit=True, row_factory=dict_row)) as server:
            yield OtherProgram(server, is_file=False)
