"""Convert Airbyte's lists row by row, so that an odd row costs nothing but itself, and walk them page by page."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from itertools import islice
from typing import Generic, TypeVar

import msgspec

from gateway.airbyte.call import Decoder
from gateway.airbyte.schema import RawPage
from gateway.errors import UpstreamInvalid

MOST_PAGES = 1000
"""Of one list. More are no list that anybody could read."""
MOST_REPEATS = 5
"""So many pages in a row without a new row mean that Airbyte ignores the offset. Random order does not do that."""

STRING = rb'"(?:[^"\\]|\\.)*+"'
FLAT = rb'(?:[^][{}"]|%b)*+' % STRING
BOUNDARY = re.compile(rb"\{%b\}|\[%b\]|%b|[][{},]" % (FLAT, FLAT, STRING), re.DOTALL)
"""What the bounds of rows are told by: lists and objects with nothing nested count as one. Whether the rest is JSON,
each row's own decoding finds."""
MOST_BOUNDARIES = 50_000
"""Of a page that is split. A row of a job is two; more would hold up the event loop for longer than a page is worth."""
CONNECTION = re.compile(rb'"connectionId"\s*:\s*"([\w-]+)"')
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Text that is not UTF-8, and what is nested too deep, raise outside msgspec's own error tree."""

LIST_DEPTH = 2
"""Of the items of a list in an object."""

Record = TypeVar("Record")
Row = TypeVar("Row")


class Page(msgspec.Struct, Generic[Row], frozen=True):
    """The rows of a page that could be read. `sent` counts all of them, for offsets and for the last page."""

    rows: list[Row]
    sent: int
    odd_connections: frozenset[str] = frozenset()
    """Airbyte's ids of the connections that dropped jobs were of, where those could be read."""


class PageDecoder:
    """Splits a page of any list into its rows, also where one of them keeps the page from being read as a whole."""

    def __init__(self) -> None:
        self._whole = msgspec.json.Decoder(RawPage)

    def decode(self, body: bytes) -> RawPage:
        """Return the rows as they came. Raises msgspec.DecodeError or RecursionError for what is no page at all."""
        try:
            return self._whole.decode(body)
        except UNREADABLE:
            rows = split_rows(body)
            if rows is None:
                raise
            return RawPage(rows)


def split_rows(body: bytes) -> list[msgspec.Raw] | None:
    """Return the items of the list `data` of a JSON object, unread; None if its end is missing or too far.

    A lone surrogate, or arrays nested a thousand deep, have msgspec refuse even to pass over them.
    """
    rows: list[msgspec.Raw] = []
    key = b""
    depth, begin = 0, -1
    for boundary in islice(BOUNDARY.finditer(body), MOST_BOUNDARIES):
        text = boundary[0]
        if text in b"[{":
            depth += 1
            if depth == LIST_DEPTH and text == b"[" and key == b'"data"':
                begin = boundary.end()
        elif begin >= 0 and depth == LIST_DEPTH and text in b",]":
            rows.append(msgspec.Raw(body[begin : boundary.start()].strip()))
            begin = boundary.end() if text == b"," else -1
            depth -= text == b"]"
        elif text in b"]}":
            depth -= 1
        elif depth == 1 and text != b",":
            key = text
    return rows if rows and depth == 0 and begin < 0 else None


def page_of(
    raw: RawPage,
    decoder: Decoder[Record],
    convert: Callable[[Record], Row],
    count_odd: Callable[[int], None],
) -> Page[Row]:
    """Return the page with each row converted on its own; odd ones are dropped, and told to `count_odd`."""
    rows: list[Row] = []
    odd: list[bytes] = []
    for row in raw.data:
        try:
            rows.append(convert(decoder.decode(row)))
        except (*UNREADABLE, UpstreamInvalid):
            odd.append(bytes(row))
    if odd:
        count_odd(len(odd))
    return Page(rows, len(raw.data), frozenset(text.decode() for row in odd for text in CONNECTION.findall(row)))


async def walk(
    read: Callable[[int], Awaitable[Page[Row]]], id_of: Callable[[Row], Hashable]
) -> AsyncIterator[Page[Row]]:
    """Yield pages from offset 0 to the first empty one. Raises UpstreamError, UpstreamInvalid if there is no end."""
    seen: set[Hashable] = set()
    offset = repeats = 0
    for _ in range(MOST_PAGES):
        page = await read(offset)
        if not page.sent:
            return
        yield page
        offset += page.sent
        known = len(seen)
        seen.update(map(id_of, page.rows))
        repeats = repeats + 1 if len(seen) == known else 0
        if repeats == MOST_REPEATS:
            break
    raise UpstreamInvalid(detail=f"Airbyte's list has no end: its first {offset} rows have {len(seen)} different ids")
