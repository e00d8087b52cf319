"""Start a sync from a page, for a member or for an operator, and say what came of it."""

import re
from collections.abc import Collection
from functools import partial

import structlog
from starlette.requests import Request

from gateway.dashboard.upstream_problems import words_of
from gateway.dashboard.visitor import actor_of, browser_of, visitor_of
from gateway.errors import (
    ApiError,
    BadRequest,
    CallerLeft,
    ConnectionNotFound,
    OutcomeUnknown,
    RateLimitExceeded,
    StorageUnavailable,
    UpstreamError,
)
from gateway.models import Client, Connection, activity_entry
from gateway.services import services_of
from gateway.times import format_time
from gateway.web.disconnect import caller_left
from gateway.web.request_context import upstream_timing

NOTICES = {"started": "Sync job {job} has started.", "joined": "A sync was already pending or running: job {job}."}
REFUSALS = (UpstreamError, BadRequest, ConnectionNotFound, RateLimitExceeded, StorageUnavailable)
"""What the connection's page tells of a sync that was not started."""
_JOB_ID = re.compile(r"[0-9]{1,19}")

log = structlog.get_logger()


async def sync_now(request: Request, client: Client, connection: Connection) -> str:
    """Start a sync, or join the one under way; return the query that has the connection's page say so.

    Raises CallerLeft, and REFUSALS, which are logged. What may have started a sync is in the activity log.
    """
    try:
        with upstream_timing(request.scope):
            syncs = services_of(request).syncs
            started = await syncs.waiting.wait(
                client,
                syncs.trigger.start_or_join(
                    client,
                    connection.id,
                    caller=visitor_of(request).user.id,
                    request_id=browser_of(request).request_id,
                ),
                left=partial(caller_left, request.receive),
                goes_on=OutcomeUnknown,
            )
    except CallerLeft:  # the trigger goes on without him
        await _record(request, connection)
        raise
    except REFUSALS as error:
        if isinstance(error, OutcomeUnknown):
            await _record(request, connection)
        log.warning("trigger_failed", connection=connection.id, error=error.message, detail=error.detail)
        raise
    syncs.polled.note(client.id, started.row)
    await _record(request, connection)
    done = "joined" if started.was_joined else "started"
    return f"done={done}&job={started.job.job_id}"


async def _record(request: Request, connection: Connection) -> None:
    """Write the trigger into the activity log. A failed write is only logged: the sync has started anyway."""
    services = services_of(request)
    at = format_time(services.clock.now())
    entry = activity_entry(actor_of(request), "sync.trigger", connection, at=at)
    try:
        await services.store.activity.record(entry)
    except StorageUnavailable as error:
        log.warning("trigger_not_recorded", connection=connection.id, detail=error.detail)


def sync_notice(request: Request, ended: Collection[int]) -> str:
    """Return what the page says after a sync was started; empty if none was, or it is one of those that `ended`."""
    job = request.query_params.get("job", "")
    text = NOTICES.get(request.query_params.get("done", ""), "")
    return text.format(job=job) if _JOB_ID.fullmatch(job) and int(job) not in ended else ""


def sync_problem(error: ApiError, request: Request) -> str:
    """Return what the page says of a sync that was not started, as far as anybody knows."""
    if isinstance(error, OutcomeUnknown):
        return "Airbyte did not say whether a sync has started. Look at the job history before you try again."
    reason = error.message if isinstance(error, BadRequest | StorageUnavailable) else words_of(error, request)
    return f"{reason}. No sync was started."
