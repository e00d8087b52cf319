"""Read which jobs a list is asked for, with Airbyte's names and in its words."""

from datetime import datetime
from typing import cast, get_args

from starlette.datastructures import QueryParams

from gateway.airbyte_compat.paging import page_of
from gateway.errors import BadRequest
from gateway.models import JOB_STATUSES, KNOWN_JOB_TYPES
from gateway.syncs.job_pages import JobList, JobOrder, JobsAsked
from gateway.times import parse_time

FIRST_YEAR = 1000
"""Earlier ones have no four digits, which Airbyte needs."""
ORDERS = {order.lower(): order for order in get_args(JobOrder)}
OLDEST_FIRST = "createdAt|ASC"
NO_ORDER = f"orderBy must be one of {', '.join(ORDERS.values())}"
NO_TYPE = f"jobType must be one of {', '.join(KNOWN_JOB_TYPES)}"
NO_STATUS = f"status must be one of {', '.join(JOB_STATUSES)}"


def jobs_asked(query: QueryParams) -> JobsAsked:
    """Return what is asked for. Raises BadRequest."""
    limit, offset = page_of(query)
    order = ORDERS.get(query.get("orderBy", OLDEST_FIRST).lower())
    if order is None:
        raise BadRequest(NO_ORDER)
    job_type = _word(query.get("jobType"), KNOWN_JOB_TYPES, NO_TYPE)
    status = _word(query.get("status"), JOB_STATUSES, NO_STATUS)
    jobs = JobList(
        updated_since=_time(query, "updatedAtStart"),
        updated_until=_time(query, "updatedAtEnd"),
        created_since=_time(query, "createdAtStart"),
        order=cast("JobOrder", order),
    )
    return JobsAsked(
        jobs,
        _time(query, "createdAtEnd"),
        limit,
        offset,
        types=(job_type,) if job_type else (),
        statuses=statuses_shown_as(status) if status else (),
    )


def statuses_shown_as(status: str) -> tuple[str, ...]:
    """Return Airbyte's statuses that are meant: what is queued is shown as pending, and found as that."""
    return ("pending", "queued") if status == "pending" else (status,)


def _word(text: str | None, words: tuple[str, ...], refusal: str) -> str | None:
    if not text:
        return None
    if text.lower() not in words:
        raise BadRequest(refusal)
    return text.lower()


def _time(query: QueryParams, name: str) -> datetime | None:
    text = query.get(name)
    if not text:
        return None
    try:
        time = parse_time(text)
    except ValueError:
        time = None
    if time is None or time.year < FIRST_YEAR:
        raise BadRequest(f"{name} must be a time with an offset, such as 2026-04-01T03:00:00Z")
    return time
