"""POST /api/v1/connections/{id}/jobs/{jobId}/cancel, which may wait until the job runs."""

import asyncio
from functools import partial

from starlette.requests import Request

from gateway.api.principal import principal_of
from gateway.api.request_content import require_no_content
from gateway.errors import CancelPending, ReadOnlyKey
from gateway.models import TERMINAL_STATUSES, Job
from gateway.services import services_of
from gateway.syncs.cancel import CancelRequest
from gateway.web.disconnect import caller_left
from gateway.web.request_context import SCOPE_KEY, RequestContext, upstream_timing
from gateway.web.responses import JSONAnswer

ROW = Job.__struct_fields__


async def cancel_job(request: Request) -> JSONAnswer:
    """Cancel a job of the connection, and answer with it as it stands then.

    Raises ReadOnlyKey, BadRequest, CallerLeft and what `cancel` raises; CancelPending if the job is to be cancelled as
    soon as it runs.
    """
    services = services_of(request)
    latest = services.clock.monotonic() + services.syncs.watcher.longest_seconds
    principal = principal_of(request)
    if principal.scope != "full":
        raise ReadOnlyKey
    await require_no_content(request)
    context: RequestContext = request.scope[SCOPE_KEY]
    wanted = CancelRequest(
        principal.client,
        request.path_params["id"],
        request.path_params["jobId"],
        caller=principal.key_id,
        request_id=context.request_id,
    )
    try:
        with upstream_timing(request.scope):
            async with asyncio.timeout(services.syncs.watcher.longest_seconds):
                cancelled = await services.syncs.waiting.wait(
                    principal.client,
                    services.syncs.cancel.cancel(wanted),
                    left=partial(caller_left, request.receive),
                    goes_on=CancelPending,
                )
    except TimeoutError:  # it goes on without him
        raise CancelPending from None
    job = cancelled.job
    if not cancelled.is_done:
        job = await _end_of(request, wanted, job, latest=latest)
    return JSONAnswer({"job": Job(*(getattr(job, field) for field in ROW))})


async def _end_of(request: Request, wanted: CancelRequest, job: Job, *, latest: float) -> Job:
    """Wait for the end of a job that is cancelled once it runs. Raises CancelPending."""
    services = services_of(request)
    if not services.syncs.watcher.has_room(wanted.client):
        raise CancelPending
    left = partial(caller_left, request.receive)
    now = await services.syncs.watcher.wait_for_end(wanted.client, wanted.connection_id, job, until=latest, left=left)
    if now.status not in TERMINAL_STATUSES:
        raise CancelPending
    with upstream_timing(request.scope):
        return await services.syncs.waiting.wait(
            wanted.client, services.syncs.cancel.read(wanted, job, status=now.status), left=left
        )
