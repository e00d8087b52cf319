"""/dashboard/connections/ID: one connection of the member's client, its syncs, and the button that starts one."""

import asyncio
import re
from collections.abc import Sequence
from functools import partial

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard.charts import Chart, duration_chart, rows_chart
from gateway.dashboard.client_token import take_client_token
from gateway.dashboard.expectation import expectation
from gateway.dashboard.job import read_job
from gateway.dashboard.job_csv import MOST_CSV_JOBS
from gateway.dashboard.templating import page
from gateway.dashboard.timings import PageTimings
from gateway.dashboard.upstream_problems import TIMED_OUT, words_of
from gateway.dashboard.visitor import actor_of, browser_of, client_of, redirect, visitor_of
from gateway.errors import (
    ApiError,
    BadRequest,
    CallerLeft,
    ConnectionNotFound,
    NotFound,
    OutcomeUnknown,
    RateLimitExceeded,
    StorageUnavailable,
    UpstreamError,
)
from gateway.models import JOB_STATUSES, Connection, Failure, Job, activity_entry
from gateway.services import services_of
from gateway.syncs.connections import connection_of
from gateway.syncs.cursor import Cursor, decode_cursor
from gateway.syncs.jobs import MOST_JOBS, JobPage
from gateway.times import format_time
from gateway.web.disconnect import caller_left
from gateway.web.request_context import upstream_timing

JOB_ROWS = 20
NOTICES = {"started": "Sync job {job} has started.", "joined": "A sync was already pending or running: job {job}."}
_JOB_ID = re.compile(r"[0-9]{1,19}")

log = structlog.get_logger()


class JobHistory(msgspec.Struct, frozen=True):
    """What the page shows of Airbyte's job list; `problem` says why there is none."""

    running: Sequence[Job] = ()
    duration: Chart | None = None
    rows: Chart | None = None
    jobs: Sequence[Job] = ()
    next: str = ""
    problem: str = ""
    failed: Job | None = None
    """The newest job, if it failed."""
    failure: Failure | None = None
    """Why it failed, if that is known."""


async def show_connection(request: Request, timings: PageTimings) -> Response:
    """Show one connection with its job history. Raises ConnectionNotFound, BadRequest."""
    return await _connection_page(request, await _connection(request), timings)


async def trigger_sync(request: Request, timings: PageTimings) -> Response:
    """Start a sync, or join the one under way; then show the connection. Raises ConnectionNotFound."""
    connection = await _connection(request)
    try:
        await take_client_token(request, client_of(request))
        with upstream_timing(request.scope):
            syncs = services_of(request).syncs
            started = await syncs.waiting.wait(
                client_of(request),
                syncs.trigger.start_or_join(
                    client_of(request),
                    connection.id,
                    caller=visitor_of(request).user.id,
                    request_id=browser_of(request).request_id,
                ),
                left=partial(caller_left, request.receive),
            )
    except CallerLeft:  # the trigger goes on without him
        await _record_trigger(request, connection)
        raise
    except (UpstreamError, BadRequest, ConnectionNotFound, RateLimitExceeded, StorageUnavailable) as error:
        if isinstance(error, OutcomeUnknown):
            await _record_trigger(request, connection)
        log.warning("trigger_failed", connection=connection.id, error=error.message, detail=error.detail)
        return await _connection_page(request, connection, timings, failure=error)
    await _record_trigger(request, connection)
    done = "joined" if started.was_joined else "started"
    return redirect(request, f"dashboard/connections/{connection.id}?done={done}&job={started.job.job_id}")


async def _connection(request: Request) -> Connection:
    """Return the connection, refreshed if Airbyte answers. Raises ConnectionNotFound, also for another client's."""
    await _owned(request)
    await services_of(request).syncs.last_sync.ensure_fresh(client_of(request).id)
    return await _owned(request)


async def _owned(request: Request) -> Connection:
    return await connection_of(services_of(request).store, client_of(request), request.path_params["id"])


async def _record_trigger(request: Request, connection: Connection) -> None:
    """Write the trigger into the activity log. A failed write is only logged: the sync has started anyway."""
    services = services_of(request)
    at = format_time(services.clock.now())
    entry = activity_entry(actor_of(request), "sync.trigger", connection, at=at)
    try:
        await services.store.activity.record(entry)
    except StorageUnavailable as error:
        log.warning("trigger_not_recorded", connection=connection.id, detail=error.detail)


async def _connection_page(
    request: Request, connection: Connection, timings: PageTimings, *, failure: ApiError | None = None
) -> Response:
    """Return the page; `failure` is why a sync could not be started. Raises ConnectionNotFound, BadRequest."""
    job_status = request.query_params.get("status", "")
    if job_status and job_status not in JOB_STATUSES:
        raise BadRequest("There is no such status")
    history = await _history(request, connection, job_status or None, timings)
    connection = await _owned(request)  # it may have been given to another client while Airbyte was asked
    return page(
        request,
        "connection.html",
        status=failure.status if failure else 200,
        headers=failure.headers if failure else None,
        connection=connection,
        problem=_trigger_problem(failure) if failure else "",
        notice=_notice(request),
        history=history,
        to_be_cancelled=await services_of(request).syncs.cancel.awaited(client_of(request), connection),
        job_status=job_status,
        job_statuses=JOB_STATUSES,
        most_csv_jobs=MOST_CSV_JOBS,
        expected=await expectation(request, connection),
        is_first="cursor" not in request.query_params,
        live_seconds=_live_seconds(history, timings),
    )


def _live_seconds(history: JobHistory, timings: PageTimings) -> int | None:
    """Return after how many seconds the page is loaded again; None when nothing is about to change."""
    if history.problem:
        return timings.reload_problem
    return timings.reload_job_running if history.running else None


async def _history(request: Request, connection: Connection, status: str | None, timings: PageTimings) -> JobHistory:
    """Return the job history, or the reason why there is none. Raises BadRequest for a malformed cursor."""
    if connection.airbyte_id is None:
        return JobHistory()
    text = request.query_params.get("cursor")
    cursor = None if text is None else decode_cursor(text)
    try:
        await take_client_token(request, client_of(request))
        async with asyncio.timeout(timings.job_list):
            recent = (await _jobs(request, connection, limit=MOST_JOBS)).jobs
            if status is None and cursor is None:
                shown = _first_page(recent)
            else:
                shown = await _jobs(request, connection, limit=JOB_ROWS, status=status, cursor=cursor)
            failed = recent[0] if recent and recent[0].status == "failed" else None
            failure = await _failure(request, connection, failed) if failed else None
    except (RateLimitExceeded, UpstreamError, ConnectionNotFound) as error:
        return JobHistory(problem=words_of(error))
    except TimeoutError:
        return JobHistory(problem=TIMED_OUT)
    finished = [job for job in recent if job.is_terminal]
    return JobHistory(
        running=[job for job in recent if not job.is_terminal],
        duration=duration_chart(finished),
        rows=rows_chart(finished),
        jobs=shown.jobs,
        next=shown.next.encode() if shown.next else "",
        failed=failed,
        failure=failure,
    )


async def _failure(request: Request, connection: Connection, job: Job) -> Failure | None:
    """Return why the job failed; None if that is not known, which is no reason to show no history."""
    try:
        return (await read_job(request, client_of(request), connection, str(job.job_id))).failure
    except (UpstreamError, NotFound):
        return None


async def _jobs(
    request: Request, connection: Connection, *, limit: int, status: str | None = None, cursor: Cursor | None = None
) -> JobPage:
    with upstream_timing(request.scope):
        syncs = services_of(request).syncs
        return await syncs.waiting.wait(
            client_of(request),
            syncs.jobs.read_page(client_of(request), connection.id, limit=limit, status=status, cursor=cursor),
            left=partial(caller_left, request.receive),
        )


def _first_page(recent: list[Job]) -> JobPage:
    """Return the first page of the jobs that were read for the charts, which saves a second call."""
    jobs = recent[:JOB_ROWS]
    has_more = len(recent) > JOB_ROWS
    return JobPage(jobs, Cursor(JOB_ROWS, jobs[-1].job_id) if has_more else None)


def _notice(request: Request) -> str:
    job = request.query_params.get("job", "")
    text = NOTICES.get(request.query_params.get("done", ""), "")
    return text.format(job=job) if _JOB_ID.fullmatch(job) else ""


def _trigger_problem(error: ApiError) -> str:
    if isinstance(error, OutcomeUnknown):
        return "Airbyte did not say whether a sync has started. Look at the job history before you try again."
    reason = error.message if isinstance(error, BadRequest | StorageUnavailable) else words_of(error)
    return f"{reason}. No sync was started."
