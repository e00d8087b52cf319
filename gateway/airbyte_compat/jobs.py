"""GET, POST and DELETE …/jobs: list jobs, look at one, start a sync, cancel a job."""

import msgspec
from starlette.requests import Request

from gateway.airbyte_compat.in_time import in_time
from gateway.airbyte_compat.job_actions import cancel_job, latest_answer, start_sync
from gateway.airbyte_compat.job_query import jobs_asked
from gateway.airbyte_compat.own_connections import own_connection
from gateway.airbyte_compat.paging import asks_for_workspace, links, list_answer
from gateway.airbyte_compat.polls import poll_job
from gateway.airbyte_compat.staleness import staleness_of
from gateway.airbyte_compat.values import job_content
from gateway.airbyte_compat.virtual_ids import virtual_ids_of
from gateway.api.principal import principal_of
from gateway.errors import BadRequest
from gateway.services import services_of
from gateway.syncs.job_details import job_number
from gateway.syncs.job_pages import JobRows
from gateway.web.responses import JSONAnswer

NO_JOB = "The body must be JSON with connectionId and jobType"
NO_SYNC = "jobType must be sync: clients of the gateway start no other jobs"


class JobOrder(msgspec.Struct, frozen=True, rename="camel"):
    """What is asked for when a job is to be started."""

    connection_id: str
    job_type: str = "sync"


async def list_jobs(request: Request) -> JSONAnswer:
    """Answer with a page of jobs, the oldest first if no order is asked for. Raises BadRequest, ConnectionNotFound.

    Raises UpstreamError too.
    """
    asked = jobs_asked(request.query_params)
    client = principal_of(request).client
    pages = services_of(request).syncs.job_pages
    airbyte_id, cursor = request.query_params.get("connectionId"), request.query_params.get("cursor")
    if airbyte_id:
        connection = await own_connection(request, airbyte_id)
        rows = await in_time(request, pages.of_connection(client, connection, asked, cursor))
    elif asks_for_workspace(request.query_params, (await virtual_ids_of(request)).workspace):
        rows = await in_time(request, pages.of_client(client, asked, cursor))
    else:
        rows = JobRows([], None)
    page_links = links(request, "jobs", (asked.limit, asked.offset), rows.next, cursor=rows.cursor)
    content = [job_content(job) for job in rows.jobs]
    return list_answer(content, page_links, headers=staleness_of(request, is_fresh=rows.is_whole))


async def show_job(request: Request) -> JSONAnswer:
    """Answer with one job. Raises what `poll_job` raises."""
    polled = await poll_job(request, job_number(request.path_params["id"]))
    return JSONAnswer(job_content(polled.job), headers=staleness_of(request, is_fresh=polled.is_fresh))


async def create_job(request: Request) -> JSONAnswer:
    """Start a sync, and answer with its job or with the one under way. Raises BadRequest, what `start_sync` raises."""
    until = latest_answer(request)
    try:
        order = msgspec.json.decode(await request.body(), type=JobOrder)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest(NO_JOB) from None
    if order.job_type.lower() != "sync":
        raise BadRequest(NO_SYNC)
    return JSONAnswer(job_content(await start_sync(request, order.connection_id, until=until)))


async def delete_job(request: Request) -> JSONAnswer:
    """Cancel a job, and answer with it as it stands. Raises what `cancel_job` raises."""
    job_id = job_number(request.path_params["id"])
    return JSONAnswer(job_content(await cancel_job(request, job_id, until=latest_answer(request))))
