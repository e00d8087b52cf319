"""Read what a list is asked for, and write the addresses of the pages beside, as Airbyte does."""

from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request

from gateway.api.base_url import base_url
from gateway.errors import BadRequest
from gateway.web.compatible_paths import PUBLIC_API
from gateway.web.responses import JSONAnswer

DEFAULT_ROWS = 20
MOST_ROWS = 100
MOST_DIGITS = 9
OF_PAGE = ("limit", "offset", "cursor")
NO_LIMIT = f"limit must be a whole number from 1 to {MOST_ROWS}"
NO_OFFSET = "offset must be a whole number from 0"

Row = TypeVar("Row")


def page_of(query: QueryParams) -> tuple[int, int]:
    """Return limit and offset. Raises BadRequest."""
    limit = _number(query.get("limit"), DEFAULT_ROWS, NO_LIMIT)
    if not 1 <= limit <= MOST_ROWS:
        raise BadRequest(NO_LIMIT)
    return limit, _number(query.get("offset"), 0, NO_OFFSET)


def _number(text: str | None, default: int, refusal: str) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise BadRequest(refusal)
    return int(text)


def asks_for_workspace(query: QueryParams, workspace_id: str) -> bool:
    """Return whether the list is of the client's workspace: it is named, in whatever way, or none is."""
    named = [text.strip() for value in query.getlist("workspaceIds") for text in value.split(",")]
    return not any(named) or workspace_id in map(str.lower, named)


def cut(request: Request, noun: str, rows: Sequence[Row]) -> tuple[Sequence[Row], dict[str, str]]:
    """Return the page of all rows that is asked for, and its links. Raises BadRequest."""
    limit, offset = page_of(request.query_params)
    end = offset + limit
    return rows[offset:end], links(request, noun, (limit, offset), end if end < len(rows) else None)


def links(
    request: Request, noun: str, page: tuple[int, int], following: int | None, *, cursor: str | None = None
) -> dict[str, str]:
    """Return `previous` and `next` of a page of limit and offset, empty where there is no such page.

    `following` is the offset of the next one, with which a `cursor` may go. Each repeats what else was asked for:
    Airbyte forgets it, and whoever follows them would be led astray.
    """
    limit, offset = page
    asked = [(name, value) for name, value in request.query_params.multi_items() if name not in OF_PAGE]

    def address(start: int, *more: tuple[str, str]) -> str:
        query = urlencode([*asked, ("limit", limit), ("offset", start), *more])
        return f"{base_url(request)}{PUBLIC_API}/{noun}?{query}"

    return {
        "previous": address(max(0, offset - limit)) if offset else "",
        "next": "" if following is None else address(following, *([("cursor", cursor)] if cursor else [])),
    }


def list_answer(
    rows: Sequence[object], page_links: dict[str, str], *, headers: Mapping[str, str] | None = None
) -> JSONAnswer:
    """Answer with a page."""
    return JSONAnswer({**page_links, "data": rows}, headers=headers)
