"""Convert Airbyte's lists row by row, so that an odd row costs nothing but itself, and walk them page by page."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from itertools import islice
from typing import Generic, TypeVar

import msgspec

from gateway.airbyte.schema import RawPage
from gateway.errors import UpstreamInvalid

MOST_PAGES = 1000
"""Of one list. More are no list that anybody could read."""
MOST_REPEATS = 5
"""So many pages in a row without a new row mean that Airbyte ignores the offset. Random order does not do that."""

STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*"'
FLAT = rb'[^][{}"]*+(?:%b[^][{}"]*+)*' % STRING
BOUNDARY = re.compile(rb"\{%b\}|\[%b\]|%b|[][{},]" % (FLAT, FLAT, STRING), re.DOTALL)
"""What the bounds of rows are told by: lists and objects with nothing nested count as one. Whether the rest is JSON,
each row's own decoding finds."""
MOST_BOUNDARIES = 50_000
"""Of a page that is split. A row of a job is two; more would hold up the event loop for longer than a page is worth."""
ROW_CONNECTION = re.compile(rb'"connectionId"\s*:\s*"([\w-]+)"')
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
    is_first_odd: bool = False
    """Whether the first row is one that could not be read."""


class WholePage(msgspec.Struct, Generic[Record], frozen=True):
    """A page of any list, as it almost always is: every row has the form that it should have."""

    data: list[Record]


class PageDecoder(Generic[Record, Row]):
    """Reads a page of records and converts each. A row that is odd in any way is dropped and costs no other."""

    def __init__(self, record: type[Record], convert: Callable[[Record], Row]) -> None:
        """`convert` raises UpstreamInvalid for an odd record."""
        self._convert = convert
        self._whole = msgspec.json.Decoder(WholePage[record])  # type: ignore[valid-type]  # a type at run time
        self._raw = msgspec.json.Decoder(RawPage)
        self._record = msgspec.json.Decoder(record)

    def decode(self, body: bytes, /) -> Page[Row]:
        """Return the page. Raises msgspec.DecodeError, UnicodeDecodeError or RecursionError for what is no page."""
        try:
            rows = [self._convert(record) for record in self._whole.decode(body).data]
        except (*UNREADABLE, UpstreamInvalid):
            return self._row_by_row(body)
        return Page(rows, len(rows))

    def _row_by_row(self, body: bytes) -> Page[Row]:
        """Read each row by itself: a third as fast, and only for a page that holds an odd one."""
        rows: list[Row] = []
        odd: list[bytes] = []
        is_first_odd = False
        for row in self._rows_of(body):
            try:
                rows.append(self._convert(self._record.decode(row)))
            except (*UNREADABLE, UpstreamInvalid):
                is_first_odd = is_first_odd or not rows
                odd.append(bytes(row))
        connections = frozenset(text.decode() for row in odd for text in ROW_CONNECTION.findall(row))
        return Page(rows, len(rows) + len(odd), connections, is_first_odd)

    def _rows_of(self, body: bytes) -> list[msgspec.Raw]:
        try:
            return self._raw.decode(body).data
        except UNREADABLE:
            rows = split_rows(body)
            if rows is None:
                raise
            return rows


def split_rows(body: bytes) -> list[msgspec.Raw] | None:
    """Return the items of the list `data` of a JSON object, unread; None if its end is missing or too far.

    A lone surrogate, or arrays nested a thousand deep, have msgspec refuse even to pass over them.
    """
    if not body.lstrip(b" \t\r\n").startswith(b"{"):
        # Such as a byte-order mark, which is no JSON (RFC 8259 section 8.1).
        return None
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
