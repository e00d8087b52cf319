"""/dashboard/admin/connections/ID/jobs/NUMBER: one job of a client's connection, with Airbyte's own message."""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.addressed import addressed_connection, owner_of
from gateway.dashboard.job import job_page, read_view
from gateway.dashboard.timings import PageTimings
from gateway.errors import UpstreamError
from gateway.models import Connection, JobDetail
from gateway.services import services_of
from gateway.syncs.job_details import job_number


async def show_job(request: Request, timings: PageTimings) -> Response:
    """Show one job. Raises NotFound, ConnectionNotFound, JobNotFound, BadRequest.

    The reading takes the share of the connection's client at Airbyte, so nobody else waits for it.
    """
    connection = await addressed_connection(request)
    client = await owner_of(request, connection)
    job_number(request.path_params["job"])
    view = await read_view(request, client, connection, timings)
    if view.job and view.job.failure:
        view = msgspec.structs.replace(view, told=await _told(request, connection, view.job, timings))
    return job_page(request, connection, view, timings, client=client)


async def _told(request: Request, connection: Connection, job: JobDetail, timings: PageTimings) -> str:
    """Return Airbyte's message as it came; empty if there is none, or it cannot be had in time."""
    details = services_of(request).syncs.job_details
    try:
        async with asyncio.timeout(timings.job_list):
            failure = await details.operator_failure(connection, job.job_id)
    except (UpstreamError, TimeoutError):
        return ""
    return failure.external_message if failure else ""
