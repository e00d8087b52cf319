"""What the tables of either kind of database are, read from a real one, in words that both share."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from gateway.settings.secret import SecretUrl
from tests.postgres import rows_of

KINDS = {"INTEGER": "bigint", "TEXT": 'text COLLATE "C"', "BLOB": "bytea"}
"""SQLite's types, and PostgreSQL's that hold and compare the same."""
COLUMNS_OF_SERVER = """
    SELECT column_name, concat_ws(' ', data_type, 'COLLATE "' || collation_name || '"'), is_nullable = 'NO'
    FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = '{table}' ORDER BY ordinal_position
    """
CONSTRAINTS_OF_SERVER = """
    SELECT contype::text, conname::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = '{table}'::regclass
    """
INDEXES_OF_SERVER = """
    SELECT indexrelid::regclass::text, indisunique, pg_get_expr(indpred, indrelid),
        ARRAY(SELECT pg_get_indexdef(indexrelid, number, true) FROM generate_series(1, indnatts) AS number)
    FROM pg_index WHERE indrelid = '{table}'::regclass AND NOT indisprimary
    """
TABLES_OF_SERVER = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()"
TABLES_OF_FILE = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"

Columns = tuple[str, ...]


class Table(msgspec.Struct, frozen=True):
    """A table's definition. `indexes` are those that are not unique: their columns, and which rows they are of."""

    columns: list[tuple[str, str, bool]]
    """Name, type in PostgreSQL's words, and whether NULL is refused."""
    primary_key: Columns
    unique: set[Columns]
    foreign_keys: set[str]
    checks: int
    indexes: dict[str, tuple[Columns, str]]


def tables_of_file(path: Path) -> dict[str, Table]:
    """Return each table of an SQLite file by name."""
    with closing(sqlite3.connect(path)) as file:
        return {name: _table_of_file(file, name) for (name,) in file.execute(TABLES_OF_FILE).fetchall()}


def _table_of_file(file: sqlite3.Connection, name: str) -> Table:
    info = file.execute(f"PRAGMA table_info({name})").fetchall()
    indexes = list(_indexes_of_file(file, name))
    (sql,) = file.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
    return Table(
        columns=[(column, KINDS[kind], bool(not_null or rank)) for _, column, kind, not_null, _, rank in info],
        primary_key=tuple(column for rank, column in sorted((row[5], row[1]) for row in info) if rank),
        unique={columns for _, is_unique, columns, _ in indexes if is_unique},
        foreign_keys={
            f"FOREIGN KEY ({column}) REFERENCES {table}({theirs}) ON DELETE {on_delete}"
            for _, _, table, column, theirs, _, on_delete, _ in file.execute(f"PRAGMA foreign_key_list({name})")
        },
        checks=len(re.findall(r"\bCHECK \(", sql)),
        indexes={index: (columns, rows) for index, is_unique, columns, rows in indexes if not is_unique},
    )


def _indexes_of_file(file: sqlite3.Connection, table: str) -> Iterator[tuple[str, bool, Columns, str]]:
    for _, name, is_unique, origin, _ in file.execute(f"PRAGMA index_list({table})").fetchall():
        if origin != "pk":
            info = file.execute(f"PRAGMA index_xinfo({name})").fetchall()
            columns = tuple(
                f"lower({column})" if collation == "NOCASE" else column
                for _, _, column, _, collation, is_key in info
                if is_key
            )
            (sql,) = file.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
            yield name, bool(is_unique), columns, (sql or "").partition(" WHERE ")[2]


def tables_of_server(url: SecretUrl) -> dict[str, Table]:
    """Return each table of a PostgreSQL database by name."""
    return {str(name): _table_of_server(url, str(name)) for (name,) in rows_of(url, TABLES_OF_SERVER)}


def _table_of_server(url: SecretUrl, name: str) -> Table:
    constraints = [(kind, str(definition)) for kind, _, definition in _ask(url, CONSTRAINTS_OF_SERVER, name)]
    indexes = [
        (str(index), is_unique, tuple(columns), str(rows or "").strip("()"))
        for index, is_unique, rows, columns in _ask(url, INDEXES_OF_SERVER, name)
        if isinstance(columns, list)
    ]
    return Table(
        columns=[
            (str(column), str(kind), bool(not_null)) for column, kind, not_null in _ask(url, COLUMNS_OF_SERVER, name)
        ],
        primary_key=next(_within(definition) for kind, definition in constraints if kind == "p"),
        unique={columns for _, is_unique, columns, _ in indexes if is_unique},
        foreign_keys={definition for kind, definition in constraints if kind == "f"},
        checks=sum(kind == "c" for kind, _ in constraints),
        indexes={index: (columns, rows) for index, is_unique, columns, rows in indexes if not is_unique},
    )


def _ask(url: SecretUrl, sql: str, table: str) -> list[tuple[object, ...]]:
    return rows_of(url, sql.format(table=table))


def _within(definition: str) -> Columns:
    """Return the columns of `PRIMARY KEY (a, b)`."""
    return tuple(definition.partition("(")[2].rstrip(")").split(", "))
