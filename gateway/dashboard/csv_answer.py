"""Answer with a table as a CSV file (RFC 4180) that is sent while it is read, so that it may be long."""

import csv
import io
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.dashboard.templating import PAGE_HEADERS
from gateway.dashboard.visitor import visitor_of, wait_to_render
from gateway.services import services_of

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"
_SIGNS = r'[\s"]*[=+\-@＝＋－＠]'  # noqa: RUF001 - full-width forms
_FORMULA = re.compile(rf"^(?=[\t\r\n]|{_SIGNS})|(?<=[;,|\t\r\n])(?={_SIGNS})")
"""Where a text begins that spreadsheets compute (OWASP: CSV injection), also in full-width letters.

Also after a separator: a German Excel cuts at each `;`, whatever is quoted, for there it is the separator of lists.
"""
CSV_BATCH_ROWS = 500
"""Of the database, read at once."""
TEXT_MARK = "'"
"""Before a text, it tells a spreadsheet not to compute it."""

Row = Sequence[str | int | None]
Batches = AsyncGenerator[Sequence[Row], None]


async def csv_answer(request: Request, name: str, columns: Row, batches: Batches) -> Response:
    """Return the file `NAME-2026-11-30.csv`, of which one batch of rows at a time is held in memory.

    The first batch is read here: what goes wrong until then has a page of its own. Later the transfer ends without
    its end, so that nobody takes a part for the whole. Raises what reading raises.
    """
    first = await _first(batches)
    if request.method == "HEAD":
        await batches.aclose()
    day = services_of(request).clock.now()
    return StreamingResponse(
        _content(request, columns, first, batches),
        headers={
            **PAGE_HEADERS,
            "Content-Type": MEDIA_TYPE,
            "Content-Disposition": f'attachment; filename="{name}-{day:%Y-%m-%d}.csv"',
        },
    )


def csv_lines(rows: Iterable[Row]) -> bytes:
    """Return the rows as lines of the file; None is an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8")


async def _first(batches: Batches) -> Sequence[Row]:
    try:
        return await anext(batches)
    except StopAsyncIteration:
        return []


def _cell(value: str | int | None) -> str | int | None:
    return _FORMULA.sub(TEXT_MARK, value) if isinstance(value, str) else value


async def _content(request: Request, columns: Row, first: Sequence[Row], batches: Batches) -> AsyncIterator[bytes]:
    """Yield the lines. Each batch waits as a page does before it is written, so that pages of others come between."""
    user = visitor_of(request).user
    await wait_to_render(request.scope, user)
    yield csv_lines([columns, *first])
    async with aclosing(batches):
        async for batch in batches:
            await wait_to_render(request.scope, user)
            yield csv_lines(batch)
