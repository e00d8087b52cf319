"""Answer a caller that prefers to wait for a job's end: `Prefer: wait` of the trigger and of one job."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec
from starlette.requests import Request

from gateway.api.principal import principal_of
from gateway.api.staleness import staleness_headers
from gateway.errors import StorageUnavailable, UpstreamError
from gateway.models import TERMINAL_STATUSES, Job, JobDetail, TriggeredJob
from gateway.services import services_of
from gateway.syncs.watcher import JobNow
from gateway.web.disconnect import caller_left
from gateway.web.prefer import preferred_wait, wait_headers
from gateway.web.responses import JSONAnswer

Read = Callable[[], Awaitable[JobDetail]]


class Waited(msgspec.Struct, frozen=True):
    """How the job stands, and for how many seconds the caller was let wait; None if he was answered at once."""

    now: JobNow
    seconds: int | None


async def answer_trigger(request: Request, job: TriggeredJob, *, came_at: float) -> JSONAnswer:
    """Answer with the triggered job; at its end if the caller, who came at `came_at`, prefers that.

    Raises CallerLeft, ConnectionNotFound.
    """
    waited = await _wait_as_preferred(request, job, came_at=came_at)
    if waited is None:
        return JSONAnswer({"job": job})
    now = waited.now
    return JSONAnswer({"job": msgspec.structs.replace(job, status=now.status)}, headers=_headers(request, waited))


async def answer_job(request: Request, job: JobDetail, read: Read, *, came_at: float) -> JSONAnswer:
    """Answer with the job; at its end, and as `read` anew then, if the caller prefers that.

    Whoever waited for nothing is answered in time, without another read: with what was read first, and the status now.

    Raises CallerLeft, ConnectionNotFound, and JobNotFound if Airbyte has the job no more.
    """
    waited = await _wait_as_preferred(request, job, came_at=came_at)
    if waited is None:
        return JSONAnswer({"job": job})
    if waited.now.status not in TERMINAL_STATUSES:
        job = msgspec.structs.replace(job, status=waited.now.status)
    elif waited.seconds and not job.is_terminal:
        services = services_of(request)
        latest = came_at + services.syncs.watcher.longest_seconds
        try:
            async with asyncio.timeout(max(latest - services.clock.monotonic(), 0.0)):
                job = await read()
        except (TimeoutError, UpstreamError, StorageUnavailable):
            waited = Waited(JobNow(waited.now.status, is_fresh=False), waited.seconds)
            job = msgspec.structs.replace(job, status=waited.now.status)
    return JSONAnswer({"job": job}, headers=_headers(request, waited))


async def _wait_as_preferred(request: Request, job: TriggeredJob | Job, *, came_at: float) -> Waited | None:
    """Wait for as long after `came_at`, monotonic, as the caller prefers; return None if he does not.

    When too many of his client's callers wait, he is answered at once.
    """
    seconds = preferred_wait(request.scope["headers"])
    if seconds is None:
        return None
    client = principal_of(request).client
    watcher = services_of(request).syncs.watcher
    if not watcher.has_room(client):
        return Waited(JobNow(job.status, is_fresh=True), None)
    now = await watcher.wait_for_end(
        client,
        request.path_params["id"],
        job,
        until=came_at + seconds,
        left=partial(caller_left, request.receive),
    )
    return Waited(now, seconds)


def _headers(request: Request, waited: Waited) -> Mapping[str, str]:
    count_stale = services_of(request).metrics.count_stale
    return {
        **wait_headers(waited.seconds),
        **staleness_headers(is_fresh=waited.now.is_fresh, count_stale=count_stale),
    }
