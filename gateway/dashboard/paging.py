"""Long lists: searched, sorted and cut into pages by what the address says (`q`, `sort`, `page`)."""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request

from gateway.store import Excerpt

PAGE_ROWS = 20
"""On a phone, where a row is a card, so many make some seven screens."""
LONGEST_QUERY = 200
PAGE_NUMBER = re.compile(r"[1-9][0-9]{0,5}")
PASSING = frozenset({"done", "again"})
"""Parameters of the address that no link carries on."""

Row = TypeVar("Row")


class Page(msgspec.Struct, Generic[Row], frozen=True):
    """A page of the rows that were found. `total` counts all of them; `first` and `last` count from 1.

    `everything` leads to the list without the search. `sort` is the order, `orders` has the address of each that there
    is: the opposite one of what is shown.
    """

    rows: list[Row]
    query: str
    total: int
    first: int
    last: int
    previous: str
    next: str
    everything: str
    sort: str
    orders: dict[str, str]

    @property
    def is_long(self) -> bool:
        """Return whether a search helps: there are more rows than are shown, or one was made."""
        return bool(self.query or self.next or self.previous)


class _Wanted(msgspec.Struct, frozen=True):
    """What the address asks for: the text that is searched for, the order, and the number of the page."""

    query: str
    sort: str
    number: int


async def read_page(
    request: Request,
    read: Callable[[Excerpt], Awaitable[tuple[list[Row], int]]],
    *,
    orders: Collection[str] = (),
    size: int = PAGE_ROWS,
) -> Page[Row]:
    """Return the page in the address of a list that the store searches and sorts. One beyond the last is the last.

    `orders` are the names that the address may sort by; one with a `-` begins with the largest. Raises what `read`
    raises.
    """
    wanted = _wanted_of(request, orders)
    offset = (wanted.number - 1) * size
    rows, total = await read(Excerpt(limit=size, offset=offset, query=wanted.query, sort=wanted.sort))
    wanted = msgspec.structs.replace(wanted, number=min(wanted.number, _pages_of(total, size)))
    return _page(request, wanted, rows, total, orders=orders, size=size)


def paged(
    request: Request,
    rows: Iterable[Row],
    text_of: Callable[[Row], str],
    *,
    orders: Mapping[str, Callable[[Row], Any]] | None = None,
    size: int = PAGE_ROWS,
) -> Page[Row]:
    """Return the page in the address of the rows whose text contains the query, in upper or lower case.

    A page beyond the last is the last one. `orders` are as of `read_page`, each with what it compares of a row.
    """
    orders = orders or {}
    wanted = _wanted_of(request, orders)
    query = wanted.query.casefold()
    found = [row for row in rows if query in text_of(row).casefold()]
    if wanted.sort:
        by_name = {name.removeprefix("-"): key for name, key in orders.items()}
        found.sort(key=by_name[wanted.sort.removeprefix("-")], reverse=wanted.sort.startswith("-"))
    wanted = msgspec.structs.replace(wanted, number=min(wanted.number, _pages_of(len(found), size)))
    start = (wanted.number - 1) * size
    return _page(request, wanted, found[start : start + size], len(found), orders=orders, size=size)


def _page(
    request: Request, wanted: _Wanted, rows: list[Row], total: int, *, orders: Collection[str], size: int
) -> Page[Row]:
    start = (wanted.number - 1) * size
    is_last = wanted.number >= _pages_of(total, size)
    return Page(
        rows=rows,
        query=wanted.query,
        total=total,
        first=start + 1 if rows else 0,
        last=start + len(rows),
        previous=f"?{query_with(request, page=wanted.number - 1)}" if wanted.number > 1 else "",
        next="" if is_last else f"?{query_with(request, page=wanted.number + 1)}",
        everything=f"?{query_with(request, q=None, page=None)}",
        sort=wanted.sort,
        orders={
            name.removeprefix("-"): f"?{query_with(request, sort=_next_order(name, wanted.sort), page=None)}"
            for name in orders
        },
    )


def _wanted_of(request: Request, orders: Collection[str]) -> _Wanted:
    parameters = request.query_params
    query, sort = parameters.get("q", "").strip()[:LONGEST_QUERY], parameters.get("sort", "")
    is_known = sort.removeprefix("-") in {name.removeprefix("-") for name in orders}
    return _Wanted(query, sort if is_known else "", _number(parameters.get("page", "")))


def _next_order(name: str, sort: str) -> str:
    """Return the order that the head of a column leads to: the opposite of the present one, else its usual one."""
    return _opposite(sort) if sort.removeprefix("-") == name.removeprefix("-") else name


def _opposite(sort: str) -> str:
    return sort.removeprefix("-") if sort.startswith("-") else f"-{sort}"


def _pages_of(total: int, size: int) -> int:
    """Return how many pages there are; the first is there without rows too."""
    return max(1, -(-total // size))


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


def with_query(request: Request, path: str) -> str:
    """Return another path with what the address asks for."""
    query = query_with(request)
    return f"{path}?{query}" if query else path
