"""Read which jobs a list is asked for, with Airbyte's names and in its words."""

from datetime import datetime
from typing import cast, get_args

from starlette.datastructures import QueryParams

from gateway.airbyte_compat.paging import page_of
from gateway.errors import BadRequest
from gateway.models import JOB_STATUSES, KNOWN_JOB_TYPES
from gateway.syncs.job_pages import JobList, JobOrder, JobsAsked
from gateway.times import parse_time

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
    jobs = JobList(
        job_type=_word(query.get("jobType"), KNOWN_JOB_TYPES, NO_TYPE),
        status=_word(query.get("status"), JOB_STATUSES, NO_STATUS),
        updated_since=_time(query, "updatedAtStart"),
        updated_until=_time(query, "updatedAtEnd"),
        created_since=_time(query, "createdAtStart"),
        order=cast("JobOrder", order),
    )
    return JobsAsked(jobs, _time(query, "createdAtEnd"), limit, offset)


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
        return parse_time(text)
    except ValueError:
        raise BadRequest(f"{name} must be a time with an offset, such as 2026-04-01T03:00:00Z") from None
