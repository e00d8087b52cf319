"""Long lists: searched and cut into pages by what the address says (`q`, `page`)."""

import re
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request

PAGE_ROWS = 50
LONGEST_QUERY = 200
PAGE_NUMBER = re.compile(r"[1-9][0-9]{0,5}")
PASSING = frozenset({"done", "again"})
"""Parameters of the address that no link carries on."""

Row = TypeVar("Row")


class Page(msgspec.Struct, Generic[Row], frozen=True):
    """A page of the rows that were found. `total` counts all of them; `first` and `last` count from 1."""

    rows: list[Row]
    query: str
    total: int
    first: int
    last: int
    previous: str
    next: str


class Wanted(msgspec.Struct, frozen=True):
    """What the address asks for: the text that is searched for, and the number of the page."""

    query: str
    number: int

    def offset(self, size: int = PAGE_ROWS) -> int:
        """Return how many rows come before the page, with `size` of them on each."""
        return (self.number - 1) * size


def wanted_of(request: Request) -> Wanted:
    """Return what the address asks for."""
    query = request.query_params.get("q", "").strip()[:LONGEST_QUERY]
    return Wanted(query, _number(request.query_params.get("page", "")))


def paged(request: Request, rows: Iterable[Row], text_of: Callable[[Row], str], *, size: int = PAGE_ROWS) -> Page[Row]:
    """Return the page in the address of the rows whose text contains the query, in upper or lower case.

    A page beyond the last is the last one.
    """
    wanted = wanted_of(request)
    query = wanted.query.casefold()
    found = [row for row in rows if query in text_of(row).casefold()]
    wanted = Wanted(wanted.query, min(wanted.number, pages_of(len(found), size)))
    start = wanted.offset(size)
    return page_of(request, wanted, found[start : start + size], len(found), size=size)


def pages_of(total: int, size: int = PAGE_ROWS) -> int:
    """Return how many pages there are; the first is there without rows too."""
    return max(1, -(-total // size))


def page_of(request: Request, wanted: Wanted, rows: list[Row], total: int, *, size: int = PAGE_ROWS) -> Page[Row]:
    """Return the page that has these of the `total` rows."""
    start = wanted.offset(size)
    return Page(
        rows=rows,
        query=wanted.query,
        total=total,
        first=start + 1 if rows else 0,
        last=start + len(rows),
        previous=f"?{query_with(request, page=wanted.number - 1)}" if wanted.number > 1 else "",
        next=f"?{query_with(request, page=wanted.number + 1)}" if wanted.number < pages_of(total, size) else "",
    )


def _number(text: str) -> int:
    return int(text) if PAGE_NUMBER.fullmatch(text) else 1


def query_with(request: Request, **parameters: object) -> str:
    """Return the query of the address with `parameters` in place of those of the same name; None leaves one out."""
    kept = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if name not in PASSING and name not in parameters
    ]
    return urlencode([*kept, *((name, value) for name, value in parameters.items() if value is not None)])
