"""What both APIs do with jobs: start one, cancel one. Each is answered before its caller gives up."""

import asyncio
from functools import partial

from starlette.requests import Request

from gateway.airbyte_compat.own_connections import own_connection
from gateway.airbyte_compat.values import connection_status
from gateway.api.principal import principal_of
from gateway.errors import (
    BadRequest,
    CancelPending,
    ConnectionNotActive,
    ConnectionNotFound,
    JobNotFound,
    ReadOnlyKey,
    TriggerPending,
)
from gateway.models import Job
from gateway.services import services_of
from gateway.syncs.cancel import CancelRequest
from gateway.web.disconnect import caller_left
from gateway.web.request_context import SCOPE_KEY, RequestContext, upstream_timing


def latest_answer(request: Request) -> float:
    """Return until when, monotonic, a request that is looked at first now must be answered."""
    services = services_of(request)
    return services.clock.monotonic() + services.syncs.polled.timings.answer


async def start_sync(request: Request, airbyte_id: str, *, until: float) -> Job:
    """Start a sync of a connection, or join the one under way. Raises what `start_or_join` raises.

    Raises ReadOnlyKey, ConnectionNotActive; TriggerPending if no job is known `until` then: it goes on, and a repeated
    call joins it.
    """
    services = services_of(request)
    principal = principal_of(request)
    _require_full(request)
    connection = await own_connection(request, airbyte_id)
    context: RequestContext = request.scope[SCOPE_KEY]
    start = services.syncs.trigger.start_or_join(
        principal.client, connection.id, caller=principal.key_id, request_id=context.request_id
    )
    try:
        with upstream_timing(request.scope):
            async with asyncio.timeout(max(0.0, until - services.clock.monotonic())):
                started = await services.syncs.waiting.wait(
                    principal.client, start, left=partial(caller_left, request.receive), goes_on=TriggerPending
                )
    except TimeoutError:
        raise TriggerPending from None
    except ConnectionNotActive as error:
        raise ConnectionNotActive(connection_status(error.connection_status)) from error
    services.syncs.polled.note(principal.client.id, started.row)
    return started.row


async def cancel_job(request: Request, job_id: int, *, until: float) -> Job:
    """Cancel the job, and return it as it stands; one that has ended is left alone.

    One that is pending is cancelled once it runs. Raises ReadOnlyKey, JobNotFound and what `cancel` raises. When that
    takes long, it goes on, and the job is returned as it stood before.
    """
    services = services_of(request)
    syncs, principal = services.syncs, principal_of(request)
    _require_full(request)
    left = partial(caller_left, request.receive)
    with upstream_timing(request.scope):
        found = await syncs.waiting.wait(principal.client, syncs.polled.find(principal.client, job_id), left=left)
        if found.job.is_terminal:
            return found.job
        context: RequestContext = request.scope[SCOPE_KEY]
        wanted = CancelRequest(
            principal.client,
            found.connection.id,
            str(job_id),
            caller=principal.key_id,
            request_id=context.request_id,
        )
        try:
            async with asyncio.timeout(max(0.0, until - services.clock.monotonic())):
                cancelled = await syncs.waiting.wait(
                    principal.client, syncs.cancel.cancel(wanted), left=left, goes_on=CancelPending
                )
        except (TimeoutError, CancelPending):
            return found.job
        except (ConnectionNotFound, BadRequest) as error:
            # It was given away, or lost its mapping, meanwhile: no such job, as on each call from now on.
            raise JobNotFound(detail=error.message) from error
    syncs.polled.note(principal.client.id, cancelled.job)
    return cancelled.job


def _require_full(request: Request) -> None:
    if principal_of(request).scope != "full":
        raise ReadOnlyKey
