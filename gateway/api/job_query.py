"""Read the parameters of lists of jobs."""

import re
from datetime import UTC, datetime
from typing import NamedTuple, Protocol
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request

from gateway.api.base_url import base_url
from gateway.api.query import single
from gateway.errors import BadRequest
from gateway.models import JOB_STATUSES, KNOWN_JOB_TYPES
from gateway.syncs.chosen_jobs import SYNCS, Choice
from gateway.syncs.cursor import Cursor, Position, decode_cursor
from gateway.syncs.jobs import DEFAULT_JOBS, MOST_JOBS
from gateway.times import parse_time

FAILURE = "failure"
CONNECTION = "connection"
CARRIED = ("status", "jobType", "updatedSince", "include")
"""Parameters that stay in the address of the next page."""
WRONG_LIMIT = f"limit must be a whole number from 1 to {MOST_JOBS}"
WRONG_STATUS = f"status must be one of {', '.join(JOB_STATUSES)}"
WRONG_TYPE = f"jobType must be one or more of {', '.join(KNOWN_JOB_TYPES)}, separated by commas"
NO_INCLUDE = "include is not for one job: its answer has all that is known"
NO_TIME = "updatedSince is not for the jobs of one connection: ask for those of all with GET /api/v1/jobs"
WRONG_TIME = "updatedSince must be a time with its offset, such as 2026-04-01T03:00:00Z; in a URL a + is written as %2B"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}"
    r"(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def limit_of(query: QueryParams) -> int:
    """Return how many jobs are asked for. Raises BadRequest."""
    text = single(query, "limit")
    if text is None:
        return DEFAULT_JOBS
    if _WHOLE_NUMBER.fullmatch(text) is None or int(text) > MOST_JOBS:
        raise BadRequest(WRONG_LIMIT)
    return int(text)


def status_of(query: QueryParams) -> str | None:
    """Return the status that is asked for. Raises BadRequest for none of Airbyte's."""
    text = single(query, "status")
    if text is not None and text not in JOB_STATUSES:
        raise BadRequest(WRONG_STATUS)
    return text


def types_of(query: QueryParams) -> frozenset[str]:
    """Return the job types that are asked for; syncs by default. Raises BadRequest."""
    text = single(query, "jobType")
    types = SYNCS if text is None else frozenset(text.split(","))
    if not types <= set(KNOWN_JOB_TYPES):
        raise BadRequest(WRONG_TYPE)
    return types


def refuse(query: QueryParams, name: str, reason: str) -> None:
    """Refuse a parameter that means nothing here: it must not seem to count. Raises BadRequest if it is given."""
    if single(query, name) is not None:
        raise BadRequest(reason)


class SyncPage(NamedTuple):
    """Which syncs of a connection are asked for, and the page of them."""

    limit: int = DEFAULT_JOBS
    status: str | None = None
    cursor: Cursor | None = None


NEWEST_SYNCS = SyncPage()
"""What is asked for without parameters, as most often."""


def page_of_syncs(query: QueryParams) -> SyncPage:
    """Return the page of syncs that is asked for. Raises BadRequest."""
    limit, status, cursor = limit_of(query), status_of(query), single(query, "cursor")
    return SyncPage(limit, status, None if cursor is None else decode_cursor(cursor))


def choice_of(query: QueryParams, *, after: Position | None) -> Choice:
    """Return which jobs are asked for, and the page of them, which begins `after` a position. Raises BadRequest."""
    return Choice(types_of(query), limit_of(query), status_of(query), _updated_since(query), after)


def _updated_since(query: QueryParams) -> datetime | None:
    text = single(query, "updatedSince")
    if text is None:
        return None
    try:
        if _TIME.fullmatch(text) is None:
            raise BadRequest(WRONG_TIME)
        return max(parse_time(text.upper()), EPOCH)
    except ValueError:
        raise BadRequest(WRONG_TIME) from None


class Encodable(Protocol):
    """Where a list goes on."""

    def encode(self) -> str: ...


def link_headers(request: Request, path: str, following: Encodable | None) -> dict[str, str]:
    """Return the header that leads to the next page: the same question with another cursor. None at the end."""
    if following is None:
        return {}
    query = request.query_params
    asked = {"limit": str(limit_of(query)), **{name: single(query, name) for name in CARRIED}}
    fields = {name: value for name, value in asked.items() if value is not None}
    text = urlencode({**fields, "cursor": following.encode()}, safe=",:")
    return {"Link": f'<{base_url(request)}/api/v1/{path}?{text}>; rel="next"'}
