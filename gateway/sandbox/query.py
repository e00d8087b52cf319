"""Read query parameters as Micronaut binds them, also where that is surprising."""

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeVar, get_args
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from gateway.sandbox.history import JobQuery
from gateway.sandbox.index import Span
from gateway.sandbox.records import JobType
from gateway.sandbox.refusals import Hal, Opaque, bad_request
from gateway.sandbox.timeline import Status
from gateway.sandbox.wire import parse_timestamp, parse_uuid

Choice = TypeVar("Choice")

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100

# Applied with `search`, as Airbyte does: `created_at|DESC` yields the unknown field `at`.
ORDER_BY = re.compile(r"([a-zA-Z0-9]+)\|(ASC|DESC)")
ORDER_FIELDS: dict[str, Literal["createdAt", "updatedAt"]] = {
    "createdat": "createdAt",
    "updatedat": "updatedAt",
}
STATUS_CHOICES: dict[str, Status] = {status: status for status in get_args(Status)}
JOB_TYPES: dict[str, JobType] = {job_type: job_type for job_type in get_args(JobType)}


def read_job_query(params: QueryParams, connection_id: str | None) -> JobQuery:
    """Return the listing asked for. With a connection the workspaces are ignored; unknown names are always ignored."""
    limit, offset = read_page(params)
    order, descending = _order(params.get("orderBy"))
    return JobQuery(
        connection_id=connection_id,
        workspace_ids=frozenset() if connection_id else frozenset(read_ids(params, "workspaceIds")),
        statuses=_choice(params, "status", STATUS_CHOICES),
        job_types=_choice(params, "jobType", JOB_TYPES),
        created=_span(params, "createdAt"),
        updated=_span(params, "updatedAt"),
        order=order,
        descending=descending,
        limit=limit,
        offset=offset,
    )


def read_page(params: QueryParams) -> tuple[int, int]:
    """Return limit and offset. Raises Refusal."""
    limit = _integer(params, "limit", DEFAULT_LIMIT)
    offset = _integer(params, "offset", 0)
    if not 1 <= limit <= MAX_LIMIT or offset < 0:
        raise Opaque(400)
    return limit, offset


def read_ids(params: QueryParams, name: str) -> list[str]:
    """Return the UUIDs of a comma list or of repeated keys; entries that are no UUIDs are skipped."""
    texts = [text for value in params.getlist(name) for text in value.split(",")]
    return [identifier for text in texts if (identifier := parse_uuid(text.strip()))]


def read_flag(params: QueryParams, name: str) -> bool:
    """Return whether a parameter says true."""
    return params.get(name, "").lower() == "true"


def page_links(base: str, carried: Mapping[str, str | None], *, limit: int, offset: int, rows: int) -> dict[str, str]:
    """Return `next` and `previous` as Airbyte writes them.

    `next` is there on every page with a row, the last one included, and forgets order, status and dates.
    `previous` repeats `limit`, because the builder that made `next` is used again.
    """
    known = [(name, value) for name, value in carried.items() if value]
    next_query = [*known, ("limit", str(limit)), ("offset", str(offset + limit))]
    repeated = [("limit", str(limit))] * (2 if rows else 1)
    previous_query = [*known, *repeated, ("offset", str(max(0, offset - limit)))]
    return {
        "previous": f"{base}?{urlencode(previous_query)}" if offset else "",
        "next": f"{base}?{urlencode(next_query)}" if rows else "",
    }


def _order(text: str | None) -> tuple[Literal["createdAt", "updatedAt"], bool]:
    if text is None:
        return "createdAt", False
    match = ORDER_BY.search(text)
    field = ORDER_FIELDS.get(match.group(1).lower()) if match else None
    if match is None or field is None:
        raise bad_request(f"Invalid order by clause provided: {text}")
    return field, match.group(2) == "DESC"


def _choice(params: QueryParams, name: str, choices: Mapping[str, Choice]) -> frozenset[Choice]:
    text = params.get(name)
    if text is None:
        return frozenset()
    if text.lower() not in choices:
        raise _unreadable(name, text)
    return frozenset({choices[text.lower()]})


def _span(params: QueryParams, name: str) -> Span:
    bounds = {}
    for bound in ("Start", "End"):
        text = params.get(f"{name}{bound}")
        if text is not None:
            try:
                bounds[bound.lower()] = parse_timestamp(text)
            except ValueError as error:
                raise _unreadable(f"{name}{bound}", text) from error
    return Span(**bounds)


def _integer(params: QueryParams, name: str, default: int) -> int:
    text = params.get(name)
    try:
        return default if text is None else int(text)
    except ValueError as error:
        raise _unreadable(name, text) from error


def _unreadable(name: str, text: str | None) -> Hal:
    return Hal(400, f"Failed to convert argument [{name}] for value [{text}]")
