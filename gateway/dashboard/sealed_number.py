"""Where a page of a list ends, sealed into addresses: rows of all clients are numbered in one sequence.

A number that could be read would tell a client how much all the others do.
"""

from starlette.requests import Request

from gateway.dashboard.visitor import visitor_of
from gateway.errors import BadRequest, PageNotFound
from gateway.services import services_of
from gateway.syncs.cursor import Position
from gateway.syncs.cursor_seal import CursorSeal

OPERATORS = 0
"""In the place of a client's number: no client has it."""


async def sealed_number(request: Request, number: int | None) -> str:
    """Return the number for the address of a page of the visitor's; empty for None. Raises StorageUnavailable."""
    if number is None:
        return ""
    return (await _seal(request)).seal(_reader_of(request), Position(0, number)).encode()


async def before_of(request: Request) -> int | None:
    """Return the number that limits the page: its rows come before it. None for the newest page.

    Raises StorageUnavailable.
    """
    text = request.query_params.get("before", "")
    if not text:
        return None
    try:
        position = (await _seal(request)).open(_reader_of(request), text)
    except (BadRequest, PageNotFound):
        return None
    return None if position.second else position.job_id


async def _seal(request: Request) -> CursorSeal:
    return await services_of(request).syncs.chosen_jobs.cursor_seal()


def _reader_of(request: Request) -> int:
    client = visitor_of(request).client
    return OPERATORS if client is None else client.id
