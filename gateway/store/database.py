"""What the statements need of a database, whichever it is: reading, whole transactions, and when to forget.

They are written once, in SQL that SQLite and PostgreSQL both read, with parameters as `:name`; `dialect` has the few
words that differ.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from gateway.store.health import StorageHealth

T = TypeVar("T")
Parameters = Mapping[str, Any]
"""What stands for each `:name` of a statement. Names that a statement has not are passed over."""
Subject = Literal["keys", "connections"]
"""What caches hold: keys with their clients, or connections."""


class Row(Protocol):
    """A row of an answer: by column's name or number; `dict(row)` works, and `tuple(row)`."""

    def __getitem__(self, key: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def keys(self) -> list[str]: ...


class Transaction(Protocol):
    """The transaction that is under way."""

    def execute_fetchall(self, sql: str, parameters: Parameters | None = ..., /) -> Awaitable[Iterable[Row]]: ...
    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> Awaitable[object]: ...


Unit = Callable[[Transaction], Awaitable[T]]


class Dialect(msgspec.Struct, frozen=True):
    """SQL of this database alone."""

    now: str
    """Its own time, in whole milliseconds since 1970."""
    is_distinct: str
    """The operator for `differs from` by which NULL equals NULL."""
    json_rows: str
    """A table of the items of a JSON list, column `value`; a format whose {} is the list's parameter."""
    size: str
    """How many bytes it has."""
    server: str
    """What runs it, in words."""

    def texts(self, name: str) -> str:
        """Return a subquery for the texts of the JSON list that the parameter `name` holds."""
        return f"SELECT value FROM {self.json_rows.format(':' + name)}"  # noqa: S608 - ours

    def numbers(self, name: str) -> str:
        """Return a subquery for the numbers of the JSON list that the parameter `name` holds."""
        return f"SELECT CAST(value AS BIGINT) FROM {self.json_rows.format(':' + name)}"  # noqa: S608 - ours


class ConstraintViolated(Exception):
    """What was to be written is against a rule of the tables. `constraint` is `table.column` of one that is unique."""

    def __init__(self, message: str, *, constraint: str) -> None:
        super().__init__(message)
        self.constraint = constraint


class Database(Protocol):
    """One database; `open` first, `close` last."""

    dialect: Dialect
    health: StorageHealth

    async def open(self) -> None:
        """Check and open it. Raises DatabaseRefused, with nothing changed, if it is not ours to use."""

    async def close(self) -> None:
        """Close it, after what is being written."""

    def epoch(self, subject: Subject, /) -> int:
        """Return a number that is new whenever what was read of the subject may be stale. Asks nobody."""

    async def is_read_only(self) -> bool:
        """Return whether it answers and takes no writes. Raises StorageUnavailable when it does not answer."""

    async def are_notifications_heard(self, *, seconds: float) -> bool:
        """Return whether what others commit is told at once, tried for `seconds` at most. Raises StorageUnavailable."""

    async def fetch_all(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """Return the rows of one query. Raises StorageUnavailable."""

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        """Return the first row of one query; None without one. Raises StorageUnavailable."""

    async def write(
        self, unit: Unit[T], *, housekeeping: bool = False, committed: Callable[[], None] | None = None
    ) -> T:
        """Run `unit` in one transaction, committed whole or not at all, even when the caller is cancelled.

        One transaction at a time, whoever's it is: what a unit reads stays so until it is done.

        `housekeeping` says that the change makes no cached record stale, but for what `committed` forgets when the
        commit is done. Raises StorageUnavailable, and ConstraintViolated.
        """
