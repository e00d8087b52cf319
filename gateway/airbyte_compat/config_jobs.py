"""POST /api/v1/jobs/get, list and cancel: the Config API's calls that tell of attempts."""

from functools import partial

from starlette.requests import Request

from gateway.airbyte_compat.config_body import JobsOfConnection, OneJob, read_body
from gateway.airbyte_compat.config_values import CONFIG_JOB_TYPES, job_info, listed_job
from gateway.airbyte_compat.in_time import in_time
from gateway.airbyte_compat.job_actions import cancel_job, latest_answer
from gateway.airbyte_compat.job_query import NO_STATUS, statuses_shown_as
from gateway.airbyte_compat.own_connections import own_connection
from gateway.airbyte_compat.paging import MOST_ROWS
from gateway.airbyte_compat.polls import may_read, poll_job
from gateway.airbyte_compat.staleness import staleness_of
from gateway.api.principal import principal_of
from gateway.errors import BadRequest
from gateway.models import JOB_STATUSES, Connection, Job, JobDetail
from gateway.services import services_of
from gateway.syncs.job_pages import JobList, JobRows, JobsAsked
from gateway.syncs.offset_merge import MOST_READINGS
from gateway.web.request_context import upstream_timing
from gateway.web.responses import JSONAnswer

NO_PAGE = f"pageSize must be from 1 to {MOST_ROWS}, rowOffset not negative"
LARGEST_OFFSET = 10**9
LARGEST_MERGED_OFFSET = MOST_ROWS * (MOST_READINGS - 1)
"""Lists of several types or statuses are read from their start."""
NO_MERGED_PAGE = f"rowOffset must be at most {LARGEST_MERGED_OFFSET} with several configTypes or statuses"
MOST_LISTS = 8
"""Airbyte takes one type and one status in a call: who asks for each of each would have it asked dozens of times."""
TOO_MANY_LISTS = "Jobs of so many configTypes and statuses are not listed at once: leave one of them out for all"
NO_FILTER = "Jobs are listed by configTypes and statuses, newest first: no other filter or order is served"


async def get_job(request: Request) -> JSONAnswer:
    """Answer with one job and its attempts. Raises BadRequest and what `poll_job` raises."""
    until = latest_answer(request)
    body = await read_body(request, OneJob)
    polled = await poll_job(request, body.number)
    headers = staleness_of(request, is_fresh=polled.is_fresh)
    return JSONAnswer(job_info(await detail_of(request, polled.job, until=until)), headers=headers)


async def cancel(request: Request) -> JSONAnswer:
    """Cancel a job, and answer with it as it stands. Raises BadRequest and what `cancel_job` raises."""
    until = latest_answer(request)
    body = await read_body(request, OneJob)
    job = await cancel_job(request, body.number, until=until)
    return JSONAnswer(job_info(await detail_of(request, job, until=until)))


async def list_jobs_of_connection(request: Request) -> JSONAnswer:
    """Answer with a page of a connection's jobs, newest first. Raises BadRequest, ConnectionNotFound, UpstreamError."""
    body = await read_body(request, JobsOfConnection)
    asked = _asked(body)
    connection = await own_connection(request, body.config_id)
    if body.config_types and not asked.types:
        return JSONAnswer({"jobs": [], "totalJobCount": 0})
    rows, details = await in_time(request, _page(request, connection, asked))
    total = asked.offset + len(rows.jobs) + (rows.next is not None)
    return JSONAnswer({"jobs": [listed_job(each) for each in details], "totalJobCount": total})


async def _page(request: Request, connection: Connection, asked: JobsAsked) -> tuple[JobRows, list[JobDetail]]:
    services, client = services_of(request), principal_of(request).client
    syncs = services.syncs
    until = services.clock.monotonic() + syncs.polled.timings.wait
    rows = await syncs.job_pages.of_connection(client, connection, asked)
    details = await syncs.attempts.of_page(client, rows.jobs, asked, until=until)
    return rows, details


def _asked(body: JobsOfConnection) -> JobsAsked:
    """Return which jobs are asked for. Raises BadRequest for what cannot be told."""
    page = body.pagination
    if not (1 <= page.page_size <= MOST_ROWS and 0 <= page.row_offset <= LARGEST_OFFSET):
        raise BadRequest(NO_PAGE)
    if not body.is_served:
        raise BadRequest(NO_FILTER)
    statuses = dict.fromkeys(each for word in body.statuses or [] for each in statuses_shown_as(word))
    if not statuses.keys() <= set(JOB_STATUSES):
        raise BadRequest(NO_STATUS)
    types = tuple(word for word, config_word in CONFIG_JOB_TYPES.items() if config_word in body.config_types)
    if len(types) == len(CONFIG_JOB_TYPES):
        types = ()
    lists = max(1, len(types)) * max(1, len(statuses))
    if lists > MOST_LISTS:
        raise BadRequest(TOO_MANY_LISTS)
    if lists > 1 and page.row_offset > LARGEST_MERGED_OFFSET:
        raise BadRequest(NO_MERGED_PAGE)
    return JobsAsked(JobList(), None, page.page_size, page.row_offset, types=types, statuses=tuple(statuses))


async def detail_of(request: Request, job: Job, *, until: float) -> JobDetail:
    """Return the job with its attempts; without any if they are not told soon, and `until` then. Raises JobNotFound."""
    with upstream_timing(request.scope):
        return await services_of(request).syncs.attempts.of(
            principal_of(request).client, job, until=until, may_read=partial(may_read, request)
        )
