"""Start syncs, list jobs of one connection or of all, and show one job."""

from collections.abc import Sequence
from functools import partial

import msgspec
from starlette.requests import Request

from gateway.api.job_query import (
    CONNECTION,
    FAILURE,
    NEWEST_SYNCS,
    NO_INCLUDE,
    NO_TIME,
    SyncPage,
    choice_of,
    link_headers,
    page_of_syncs,
    refuse,
    types_of,
)
from gateway.api.job_wait import answer_job, answer_trigger
from gateway.api.principal import principal_of
from gateway.api.query import includes, single
from gateway.api.request_content import require_no_content
from gateway.api.staleness import staleness_headers
from gateway.errors import OutcomeUnknown, ReadOnlyKey
from gateway.models import Client, Job, JobDetail, PlacedJob
from gateway.services import Services, services_of
from gateway.syncs.chosen_jobs import SYNCS
from gateway.syncs.cursor import decode_position
from gateway.web.disconnect import caller_left
from gateway.web.request_context import SCOPE_KEY, RequestContext, upstream_timing
from gateway.web.responses import JSONAnswer


async def trigger_sync(request: Request) -> JSONAnswer:
    """Start a sync, or join the one under way, and wait for its end if the caller prefers that.

    Raises ReadOnlyKey, BadRequest and what `start_or_join` raises.
    """
    services = services_of(request)
    came_at = services.clock.monotonic()
    principal = principal_of(request)
    if principal.scope != "full":
        raise ReadOnlyKey
    await require_no_content(request)
    context: RequestContext = request.scope[SCOPE_KEY]
    with upstream_timing(request.scope):
        started = await services.syncs.waiting.wait(
            principal.client,
            services.syncs.trigger.start_or_join(
                principal.client, request.path_params["id"], caller=principal.key_id, request_id=context.request_id
            ),
            left=partial(caller_left, request.receive),
            goes_on=OutcomeUnknown,
        )
    services.syncs.polled.note(principal.client.id, started.row)
    return await answer_trigger(request, started.job, came_at=came_at)


async def list_jobs(request: Request) -> JSONAnswer:
    """Answer with a page of the connection's jobs, newest first. Raises BadRequest and what the readers raise."""
    if not request.scope["query_string"]:
        return await _list_syncs(request, NEWEST_SYNCS)
    query = request.query_params
    refuse(query, "updatedSince", NO_TIME)
    types, is_explained = types_of(query), includes(query, FAILURE)
    if types == SYNCS and not is_explained:
        return await _list_syncs(request, page_of_syncs(query))
    cursor = single(query, "cursor")
    choice = choice_of(query, after=None if cursor is None else decode_position(cursor))
    services = services_of(request)
    client = principal_of(request).client
    connection_id: str = request.path_params["id"]
    with upstream_timing(request.scope):
        page = await services.syncs.waiting.wait(
            client,
            services.syncs.chosen_jobs.of_connection(client, connection_id, choice, is_explained=is_explained),
            left=partial(caller_left, request.receive),
        )
    path = f"connections/{connection_id}/jobs"
    return JSONAnswer({"data": page.jobs}, headers=link_headers(request, path, page.next))


async def _list_syncs(request: Request, asked: SyncPage) -> JSONAnswer:
    services = services_of(request)
    client = principal_of(request).client
    connection_id: str = request.path_params["id"]
    with upstream_timing(request.scope):
        page = await services.syncs.waiting.wait(
            client,
            services.syncs.jobs.read_page(
                client, connection_id, limit=asked.limit, status=asked.status, cursor=asked.cursor
            ),
            left=partial(caller_left, request.receive),
        )
    path = f"connections/{connection_id}/jobs"
    return JSONAnswer({"data": page.jobs}, headers=link_headers(request, path, page.next))


async def list_all_jobs(request: Request) -> JSONAnswer:
    """Answer with a page of the jobs of all of the client's connections. Raises BadRequest, UpstreamError.

    What could not be asked for is missing, and a `Warning` says so.
    """
    services = services_of(request)
    client = principal_of(request).client
    query = request.query_params
    is_placed = includes(query, CONNECTION)
    cursor = single(query, "cursor")
    seal = services.syncs.chosen_jobs.cursor_seal
    choice = choice_of(query, after=None if cursor is None else (await seal()).open(client.id, cursor))
    with upstream_timing(request.scope):
        page = await services.syncs.waiting.wait(
            client,
            services.syncs.chosen_jobs.of_client(client, choice),
            left=partial(caller_left, request.receive),
        )
    headers = staleness_headers(is_fresh=page.is_whole, count_stale=services.metrics.count_stale)
    jobs = await _placed(services, client, page.jobs) if is_placed else page.jobs
    following = None if page.next is None else (await seal()).seal(client.id, page.next)
    return JSONAnswer({"data": jobs}, headers={**link_headers(request, "jobs", following), **headers})


async def _placed(services: Services, client: Client, jobs: Sequence[Job]) -> list[PlacedJob]:
    """Return the jobs with our ids of their connections; none of a connection that was given away meanwhile."""
    connections = (await services.store.connections.of_client(client.id)).rows
    ids = {connection.airbyte_id: connection.id for connection in connections}
    return [
        PlacedJob(**msgspec.structs.asdict(job), connection=ids[job.connection_id])
        for job in jobs
        if job.connection_id in ids
    ]


async def show_job(request: Request) -> JSONAnswer:
    """Answer with one job of the connection, at its end if the caller prefers that.

    Raises BadRequest and what `read` of job details raises.
    """
    refuse(request.query_params, "include", NO_INCLUDE)
    services = services_of(request)
    came_at = services.clock.monotonic()
    client = principal_of(request).client
    parameters = request.path_params

    async def read() -> JobDetail:
        with upstream_timing(request.scope):
            return await services.syncs.waiting.wait(
                client,
                services.syncs.job_details.read(client, parameters["id"], parameters["jobId"]),
                left=partial(caller_left, request.receive),
            )

    return await answer_job(request, await read(), read, came_at=came_at)
