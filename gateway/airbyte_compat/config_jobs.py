"""POST /api/v1/jobs/get, list and cancel: the Config API's calls that tell of attempts."""

from functools import partial

from starlette.requests import Request

from gateway.airbyte_compat.config_body import JobsOfConnection, OneJob, read_body
from gateway.airbyte_compat.config_values import CONFIG_JOB_TYPES, job_info, listed_job
from gateway.airbyte_compat.job_actions import cancel_job, poll_job
from gateway.airbyte_compat.own_connections import own_connection
from gateway.airbyte_compat.paging import MOST_ROWS
from gateway.api.principal import principal_of
from gateway.api.staleness import staleness_headers
from gateway.errors import BadRequest
from gateway.models import Job, JobDetail
from gateway.services import services_of
from gateway.syncs.job_pages import JobList, JobsAsked
from gateway.web.disconnect import caller_left
from gateway.web.request_context import upstream_timing
from gateway.web.responses import JSONAnswer

NO_PAGE = f"pageSize must be from 1 to {MOST_ROWS}, rowOffset not negative"
LARGEST_OFFSET = 10**9


async def get_job(request: Request) -> JSONAnswer:
    """Answer with one job and its attempts. Raises BadRequest and what `poll_job` raises."""
    body = await read_body(request, OneJob)
    polled = await poll_job(request, body.number)
    count_stale = services_of(request).metrics.count_stale
    headers = staleness_headers(is_fresh=polled.is_fresh, count_stale=count_stale)
    return JSONAnswer(job_info(await detail_of(request, polled.job)), headers=headers)


async def cancel(request: Request) -> JSONAnswer:
    """Cancel a job, and answer with it as it stands. Raises BadRequest and what `cancel_job` raises."""
    body = await read_body(request, OneJob)
    return JSONAnswer(job_info(await detail_of(request, await cancel_job(request, body.number))))


async def list_jobs_of_connection(request: Request) -> JSONAnswer:
    """Answer with a page of a connection's jobs, newest first. Raises BadRequest, ConnectionNotFound, UpstreamError."""
    body = await read_body(request, JobsOfConnection)
    page = body.pagination
    if not (1 <= page.page_size <= MOST_ROWS and 0 <= page.row_offset <= LARGEST_OFFSET):
        raise BadRequest(NO_PAGE)
    connection = await own_connection(request, body.config_id)
    types = [word for word, config_word in CONFIG_JOB_TYPES.items() if config_word in body.config_types]
    asked = JobsAsked(JobList(job_type=types[0] if len(types) == 1 else None), None, page.page_size, page.row_offset)
    syncs, client = services_of(request).syncs, principal_of(request).client
    with upstream_timing(request.scope):
        rows = await syncs.waiting.wait(
            client,
            syncs.job_pages.of_connection(client, connection, asked),
            left=partial(caller_left, request.receive),
        )
        jobs = [job for job in rows.jobs if job.job_type in types] if types else rows.jobs
        details = await syncs.attempts.of_page(client, jobs, asked)
    total = page.row_offset + len(rows.jobs) + (rows.next is not None)
    return JSONAnswer({"jobs": [listed_job(each) for each in details], "totalJobCount": total})


async def detail_of(request: Request, job: Job) -> JobDetail:
    """Return the job with its attempts; without any if those are not told soon."""
    with upstream_timing(request.scope):
        return await services_of(request).syncs.attempts.of(principal_of(request).client, job)
