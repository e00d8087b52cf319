"""/dashboard/connections/ID/jobs/NUMBER: one job, why it failed, its attempts and its streams."""

import asyncio
import functools
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.client_token import take_client_token
from gateway.dashboard.paging import paged, query_with
from gateway.dashboard.templating import page
from gateway.dashboard.timings import PageTimings
from gateway.dashboard.upstream_problems import TIMED_OUT, words_of
from gateway.dashboard.visitor import browser_of, client_of
from gateway.errors import RateLimitExceeded, UpstreamError
from gateway.models import Client, Connection, FailureOrigin, FailureType, Job, JobDetail, StreamCounts
from gateway.services import services_of
from gateway.syncs.connections import connection_of
from gateway.syncs.job_details import job_number
from gateway.syncs.stored_jobs import stored_jobs
from gateway.times import format_time
from gateway.web.disconnect import caller_left
from gateway.web.request_context import upstream_timing

ORIGIN_WORDS: dict[FailureOrigin, str] = {
    "source": "the source",
    "destination": "the destination",
    "platform": "the platform that runs the sync",
    "unknown": "unknown",
}
TYPE_WORDS: dict[FailureType, str] = {
    "configuration": "configuration",
    "credentials": "credentials",
    "schema": "schema",
    "timeout": "timeout",
    "cancelled": "cancelled",
    "temporary": "temporary problem",
    "system": "internal problem",
    "unknown": "unknown",
}


class JobView(msgspec.Struct, frozen=True):
    """What the page shows of a job; `problem` says why there is none. `told` is Airbyte's message, for operators."""

    job: JobDetail | None = None
    stored: Job | None = None
    """What is stored of it, where there is a problem."""
    known_at: str | None = None
    """As of when that is known, if anybody can say."""
    is_to_be_cancelled: bool = False
    """Whether somebody has asked for that, and it has not been done yet."""
    told: str = ""
    problem: str = ""


async def show_job(request: Request, timings: PageTimings) -> Response:
    """Show one job of the member's connection. Raises ConnectionNotFound, JobNotFound, BadRequest."""
    client = client_of(request)
    connection = await connection_of(services_of(request).store, client, request.path_params["id"])
    job_number(request.path_params["job"])
    try:
        await take_client_token(request, client)
    except RateLimitExceeded as error:
        view = await _stored(request, client, connection, words_of(error, request))
    else:
        view = await read_view(request, client, connection, timings)
    return job_page(request, connection, view, timings)


async def read_view(request: Request, client: Client, connection: Connection, timings: PageTimings) -> JobView:
    """Read the job in the address, of the client's connection. Raises ConnectionNotFound, JobNotFound, BadRequest."""
    try:
        async with asyncio.timeout(timings.job_list):
            job = await read_job(request, client, connection, request.path_params["job"])
    except UpstreamError as error:
        return await _stored(request, client, connection, words_of(error, request))
    except TimeoutError:
        return await _stored(request, client, connection, TIMED_OUT)
    awaited = await services_of(request).syncs.cancel.awaited(client, connection)
    return JobView(job, is_to_be_cancelled=job.job_id in awaited and not job.is_terminal)


async def _stored(request: Request, client: Client, connection: Connection, problem: str) -> JobView:
    """Return what is stored of the job in the address, where it cannot be read."""
    services, number = services_of(request), request.path_params["job"]
    jobs = await stored_jobs(services.store, client, connection)
    stored = next((job for job in jobs if str(job.job_id) == number), None)
    return JobView(problem=problem, stored=stored, known_at=await services.syncs.last_sync.known_at(connection))


async def read_job(request: Request, client: Client, connection: Connection, number: str) -> JobDetail:
    """Read a job of the client's connection. Raises ConnectionNotFound, JobNotFound, BadRequest, UpstreamError."""
    syncs = services_of(request).syncs
    with upstream_timing(request.scope):
        return await syncs.waiting.wait(
            client,
            syncs.job_details.read(client, connection.id, number),
            left=partial(caller_left, request.receive),
        )


def job_page(
    request: Request, connection: Connection, view: JobView, timings: PageTimings, *, client: Client | None = None
) -> Response:
    """Return the page, for the operator with the `client` whose connection it is."""
    job, services = view.job, services_of(request)
    is_changing = job is None or not job.is_terminal
    return page(
        request,
        "job.html",
        connection=connection,
        client=client,
        number=request.path_params["job"],
        view=view,
        job=job,
        origins=ORIGIN_WORDS,
        types=TYPE_WORDS,
        streams=paged(request, job.streams if job else (), _text_of),
        query=functools.partial(query_with, request),
        request_id=browser_of(request).request_id,
        shown_at=format_time(services.clock.now()),
        live_seconds=(timings.reload_problem if job is None else timings.reload_job_running) if is_changing else None,
    )


def _text_of(stream: StreamCounts) -> str:
    return f"{stream.namespace or ''} {stream.name}"
