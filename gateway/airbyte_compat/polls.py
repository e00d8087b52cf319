"""Look at a job that a program asks for again and again. It takes no token: some cancel a sync that they may not see.

Who asks more often than his client may call waits instead, for 3 s at most. What Airbyte has to be asked for comes out
of the client's share: looking for jobs that nobody knows is no way around the rate limit.
"""

import asyncio
from functools import partial

import msgspec
from starlette.requests import Request

from gateway.api.principal import principal_of
from gateway.errors import ConnectionNotFound, JobNotFound, UpstreamBusy
from gateway.services import services_of
from gateway.syncs.polled_jobs import Polled
from gateway.web.disconnect import caller_left
from gateway.web.request_context import upstream_timing


async def poll_job(request: Request, job_id: int) -> Polled:
    """Return the job as it stands, or as it was last known when that cannot be told in time.

    Raises JobNotFound, UpstreamError, CallerLeft.
    """
    services = services_of(request)
    client = principal_of(request).client
    try:
        async with asyncio.timeout(services.syncs.polled.timings.answer):
            return await _poll(request, job_id)
    except TimeoutError:
        return await services.syncs.polled.find_known(client, job_id)
    except ConnectionNotFound as error:
        # It was given away while it was waited for: no such job, as on each call from now on.
        raise JobNotFound(detail=error.detail) from error


def may_read(request: Request) -> bool:
    """Return whether the client's polls may have Airbyte asked for one thing more; if so, it is counted."""
    services, principal = services_of(request), principal_of(request)
    rate = services.limiter.rate_of_client(principal.limit)
    return services.job_reads.take(principal.client.id, rate, services.clock.monotonic()).allowed


async def _poll(request: Request, job_id: int) -> Polled:
    services = services_of(request)
    came_at = services.clock.monotonic()
    principal = principal_of(request)
    client, syncs = principal.client, services.syncs
    until, left = came_at + syncs.polled.timings.wait, partial(caller_left, request.receive)
    with upstream_timing(request.scope):
        polled = await syncs.waiting.wait(client, _look(request, job_id), left=left)
    turn = services.polls.take(client.id, services.limiter.rate_of_client(principal.limit), came_at)
    if polled.job.is_terminal or turn.allowed or not syncs.watcher.has_room(client):
        return polled
    now = await syncs.watcher.wait_for_end(client, polled.connection.id, polled.job, until=until, left=left)
    if now.status == polled.job.status:
        return msgspec.structs.replace(polled, is_fresh=now.is_fresh)
    return await syncs.polled.look(client, job_id)


async def _look(request: Request, job_id: int) -> Polled:
    """Look at the job; if nothing is known of it, once it is the client's turn.

    As many of the client's callers wait for that as may wait for the end of a job, and as long. Raises UpstreamBusy for
    those who wait in vain, and at once for the next.
    """
    services, client = services_of(request), principal_of(request).client
    syncs = services.syncs

    def is_held_back() -> bool:
        return syncs.polled.needs_read(client, job_id) and not may_read(request)

    if is_held_back():
        if not syncs.watcher.has_room(client):
            raise _busy(request)
        try:
            async with asyncio.timeout(syncs.polled.timings.turn):
                with syncs.watcher.counted(client.id):
                    while True:
                        await asyncio.sleep(syncs.polled.timings.turn_interval)
                        if not is_held_back():
                            break
        except TimeoutError:
            raise _busy(request) from None
    return await syncs.polled.look(client, job_id)


def _busy(request: Request) -> UpstreamBusy:
    services, principal = services_of(request), principal_of(request)
    rate, now = services.limiter.rate_of_client(principal.limit), services.clock.monotonic()
    decision = services.job_reads.bucket(principal.client.id, rate, now).look(rate, now)
    return UpstreamBusy(
        retry_after=decision.next_token_seconds, detail="the client's polls ask for many jobs that nobody knows"
    )
