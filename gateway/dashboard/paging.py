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


def paged(request: Request, rows: Iterable[Row], text_of: Callable[[Row], str], *, size: int = PAGE_ROWS) -> Page[Row]:
    """Return the page in the address of the rows whose text contains the query, in upper or lower case.

    A page beyond the last is the last one.
    """
    query = request.query_params.get("q", "").strip()[:LONGEST_QUERY]
    wanted = query.casefold()
    found = [row for row in rows if wanted in text_of(row).casefold()]
    pages = max(1, -(-len(found) // size))
    number = min(_number(request.query_params.get("page", "")), pages)
    start = (number - 1) * size
    shown = found[start : start + size]
    return Page(
        rows=shown,
        query=query,
        total=len(found),
        first=start + 1 if shown else 0,
        last=start + len(shown),
        previous=f"?{query_with(request, page=number - 1)}" if number > 1 else "",
        next=f"?{query_with(request, page=number + 1)}" if number < pages else "",
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
