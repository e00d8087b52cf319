"""POST /api/v1/connections/{id}/sync, GET /api/v1/connections/{id}/jobs and one of those jobs."""

import re
from functools import partial
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request

from gateway.api.base_url import base_url
from gateway.api.job_wait import answer_job, answer_trigger
from gateway.api.principal import principal_of
from gateway.api.query import single
from gateway.api.request_content import require_no_content
from gateway.errors import BadRequest, ReadOnlyKey
from gateway.models import JOB_STATUSES, JobDetail
from gateway.services import services_of
from gateway.syncs.cursor import decode_cursor
from gateway.syncs.jobs import DEFAULT_JOBS, MOST_JOBS
from gateway.web.disconnect import caller_left
from gateway.web.request_context import SCOPE_KEY, RequestContext, upstream_timing
from gateway.web.responses import JSONAnswer

WRONG_LIMIT = f"limit must be a whole number from 1 to {MOST_JOBS}"
WRONG_STATUS = f"status must be one of {', '.join(JOB_STATUSES)}"
_WHOLE_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


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
        job = await services.syncs.waiting.wait(
            principal.client,
            services.syncs.trigger.start_or_join(
                principal.client, request.path_params["id"], caller=principal.key_id, request_id=context.request_id
            ),
            left=partial(caller_left, request.receive),
        )
    return await answer_trigger(request, job, came_at=came_at)


async def list_jobs(request: Request) -> JSONAnswer:
    """Answer with a page of the connection's sync jobs, newest first. Raises BadRequest and what `jobs` raises."""
    services = services_of(request)
    client = principal_of(request).client
    connection_id: str = request.path_params["id"]
    query = request.query_params
    limit = _limit(query)
    status = _status(query)
    text = single(query, "cursor")
    cursor = None if text is None else decode_cursor(text)
    with upstream_timing(request.scope):
        page = await services.syncs.waiting.wait(
            client,
            services.syncs.jobs.read_page(client, connection_id, limit=limit, status=status, cursor=cursor),
            left=partial(caller_left, request.receive),
        )
    headers = {}
    if page.next is not None:
        fields = {"limit": str(limit), "status": status, "cursor": page.next.encode()}
        following = urlencode({name: value for name, value in fields.items() if value is not None})
        headers["Link"] = f'<{base_url(request)}/api/v1/connections/{connection_id}/jobs?{following}>; rel="next"'
    return JSONAnswer({"data": page.jobs}, headers=headers)


async def show_job(request: Request) -> JSONAnswer:
    """Answer with one job of the connection, at its end if the caller prefers that.

    Raises what `read` of job details raises.
    """
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


def _limit(query: QueryParams) -> int:
    text = single(query, "limit")
    if text is None:
        return DEFAULT_JOBS
    if _WHOLE_NUMBER.fullmatch(text) is None or int(text) > MOST_JOBS:
        raise BadRequest(WRONG_LIMIT)
    return int(text)


def _status(query: QueryParams) -> str | None:
    text = single(query, "status")
    if text is not None and text not in JOB_STATUSES:
        raise BadRequest(WRONG_STATUS)
    return text
