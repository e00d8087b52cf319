"""/dashboard/connections/ID/jobs.csv and the operator's twin: a connection's sync jobs as a file."""

import asyncio
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.addressed import addressed_connection, owner_of
from gateway.dashboard.client_token import take_client_token
from gateway.dashboard.csv_answer import Batches, Row, csv_answer
from gateway.dashboard.date_range import DateRange
from gateway.dashboard.timings import PageTimings
from gateway.dashboard.visitor import client_of
from gateway.errors import BadRequest, RateLimitExceeded
from gateway.models import JOB_STATUSES, Client, EndedJob, ExplainedJob, Failure, Job
from gateway.services import services_of
from gateway.syncs.chosen_jobs import SYNCS, Choice, ChosenPage
from gateway.syncs.connections import connection_of
from gateway.syncs.cursor import Position
from gateway.syncs.jobs import MOST_JOBS
from gateway.web.disconnect import caller_left
from gateway.web.request_context import upstream_timing

MOST_CSV_PAGES = 50
"""Of one file. Each takes a token of the member's client."""
CSV_PAGE_JOBS = MOST_JOBS - 2
"""Airbyte's list brings 100: one more than the page shows that there are others, and the last row's second is left."""
MOST_CSV_JOBS = MOST_CSV_PAGES * CSV_PAGE_JOBS
JOB_FIELDS = msgspec.structs.fields(EndedJob)
FAILURE_COLUMNS = ("origin", "type", "message")
JOB_COLUMNS = (
    *(field.encode_name for field in JOB_FIELDS),
    *(f"failure{name.capitalize()}" for name in FAILURE_COLUMNS),
)
"""The API's names, in its order; of a failure what the page shows."""


async def download_jobs(request: Request, timings: PageTimings) -> Response:
    """Send the newest jobs of the member's connection. Raises ConnectionNotFound, BadRequest, UpstreamError."""
    client = client_of(request)
    connection = await connection_of(services_of(request).store, client, request.path_params["id"])
    return await _job_file(request, client, connection.id, timings, takes_tokens=True)


async def download_jobs_of_any_client(request: Request, timings: PageTimings) -> Response:
    """Send the newest jobs of the connection. Raises NotFound, BadRequest, UpstreamError.

    They take the share of the connection's client at Airbyte, so nobody else waits for them, but none of its tokens.
    """
    connection = await addressed_connection(request)
    return await _job_file(request, await owner_of(request, connection), connection.id, timings, takes_tokens=False)


async def _job_file(
    request: Request, client: Client, connection_id: str, timings: PageTimings, *, takes_tokens: bool
) -> Response:
    status = request.query_params.get("status", "")
    if status and status not in JOB_STATUSES:
        raise BadRequest("There is no such status")
    patience = timings.csv_token if takes_tokens else None
    days = DateRange.of(request)
    after = None if days.before is None else Position.before(days.before)
    choice = Choice(SYNCS, CSV_PAGE_JOBS, status or None, after=after, created_since=days.since)
    batches = _batches(request, client, connection_id, choice, patience=patience)
    return await csv_answer(request, f"{connection_id}-jobs", JOB_COLUMNS, batches)


async def _batches(
    request: Request, client: Client, connection_id: str, choice: Choice, *, patience: float | None
) -> Batches:
    """Yield a page of jobs at a time, newest first; `patience` is for the client's rate, None to take none of it.

    Raises RateLimitExceeded, ConnectionNotFound, BadRequest, UpstreamError: each page is looked up as if it were alone.
    """
    for number in range(MOST_CSV_PAGES):
        if patience is not None:
            await _take_token(request, client, patience=patience if number else 0.0)
        page = await _read(request, client, connection_id, choice)
        yield [_row(job) for job in page.jobs]
        if page.next is None:
            return
        choice = msgspec.structs.replace(choice, after=page.next)


async def _take_token(request: Request, client: Client, *, patience: float) -> None:
    """Take a token of the client's, and wait for it at most `patience` seconds. Raises RateLimitExceeded."""
    while True:
        try:
            return await take_client_token(request, client)
        except RateLimitExceeded as error:
            patience -= error.retry_after
            if patience < 0:
                raise
            await asyncio.sleep(error.retry_after)


async def _read(request: Request, client: Client, connection_id: str, choice: Choice) -> ChosenPage:
    syncs = services_of(request).syncs
    with upstream_timing(request.scope):
        return await syncs.waiting.wait(
            client,
            syncs.chosen_jobs.of_connection(client, connection_id, choice, is_explained=True),
            left=partial(caller_left, request.receive),
        )


def _row(job: Job) -> Row:
    """Return the job's cells; those of its failure are empty if it has none, or nobody tells of it."""
    failure: Failure | None = job.failure if isinstance(job, ExplainedJob) else None
    return [
        *(getattr(job, field.name) for field in JOB_FIELDS),
        *(getattr(failure, name, None) for name in FAILURE_COLUMNS),
    ]
