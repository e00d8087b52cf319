"""Convert Airbyte's lists row by row, so that an odd row costs nothing but itself, and walk them page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import msgspec

from gateway.airbyte.schema import OddJob, RawPage
from gateway.errors import UpstreamInvalid

MOST_PAGES = 1000
"""Of one list. More are no list that anybody could read."""
MOST_REPEATS = 5
"""So many pages in a row without a new row mean that Airbyte ignores the offset. Random order does not do that."""

Record = TypeVar("Record")
Row = TypeVar("Row")


class Page(msgspec.Struct, Generic[Row], frozen=True):
    """The rows of a page that could be read. `sent` counts all of them, for offsets and for the last page."""

    rows: list[Row]
    sent: int
    odd_connections: frozenset[str] = frozenset()
    """Airbyte's ids of the connections that dropped jobs were of, where those could be read."""


def page_of(
    raw: RawPage,
    decoder: msgspec.json.Decoder[Record],
    convert: Callable[[Record], Row],
    count_odd: Callable[[int], None],
) -> Page[Row]:
    """Return the page with each row converted on its own; odd ones are dropped, and told to `count_odd`."""
    rows: list[Row] = []
    odd: list[msgspec.Raw] = []
    for row in raw.data:
        try:
            rows.append(convert(decoder.decode(row)))
        # Text that is not UTF-8 and lists in lists in lists raise outside msgspec's own error tree.
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, UpstreamInvalid):
            odd.append(row)
    if odd:
        count_odd(len(odd))
    return Page(rows, len(raw.data), frozenset(filter(None, map(_connection_of, odd))))


def _connection_of(row: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(row, type=OddJob).connection_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


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
