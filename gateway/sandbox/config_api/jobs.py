"""The Config API's routes for jobs: list, get, get_light, cancel."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.sandbox.config_api.body import read_body, read_choice, read_choices, read_integer, read_list, read_time
from gateway.sandbox.config_api.job_bodies import CONFIG_TYPES, job_info, job_info_without_logs, job_read, listed_job
from gateway.sandbox.faults import Faults
from gateway.sandbox.history import JobQuery
from gateway.sandbox.index import Span
from gateway.sandbox.query import STATUS_CHOICES
from gateway.sandbox.records import Job, JobState
from gateway.sandbox.refusals import Hal, Opaque
from gateway.sandbox.wire import json_answer, parse_uuid
from gateway.sandbox.workflow import Workflow, WorkflowDeleted
from gateway.sandbox.world import World

DEFAULT_PAGE = 200
TYPES_BY_WORD = {config_type: job_type for job_type, config_type in CONFIG_TYPES.items()}
# Types of jobs that the sandbox never has: nothing is found, but they are words Airbyte knows.
OTHER_TYPES = {"check_connection_source", "check_connection_destination", "discover_schema", "get_spec"}


class ConfigJobs:
    """Serves the jobs of one world as the Config API does."""

    def __init__(self, *, world: World, faults: Faults, clock: Callable[[], float]) -> None:
        self.world = world
        self.faults = faults
        self.workflow = Workflow(world=world, faults=faults)
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the routes of jobs."""
        return [
            Route("/jobs/list", self.list_jobs, methods=["POST"]),
            Route("/jobs/get", self.job, methods=["POST"]),
            Route("/jobs/get_without_logs", self.job_without_logs, methods=["POST"]),
            Route("/jobs/get_light", self.job_light, methods=["POST"]),
            Route("/jobs/cancel", self.cancel, methods=["POST"]),
        ]

    async def list_jobs(self, request: Request) -> Response:
        """Answer with a page of jobs and their attempts. Raises Refusal."""
        fields = await read_body(request)
        query = self._read_query(fields)
        now = self._clock()
        rows, total = [], 0
        if query is not None:
            listed = query if fields.get("includingJobId") is None else self._including(fields, query)
            rows, total = self.world.history.select(listed), self.world.history.count(query)
        return json_answer({"jobs": [listed_job(*row, now) for row in rows], "totalJobCount": total})

    async def job(self, request: Request) -> Response:
        """Answer with one job, its attempts and their logs. Raises Refusal."""
        return json_answer(job_info(*await self._known(request), self._clock()))

    async def job_without_logs(self, request: Request) -> Response:
        """Answer with one job and its attempts. Raises Refusal."""
        return json_answer(job_info_without_logs(*await self._known(request), self._clock()))

    async def job_light(self, request: Request) -> Response:
        """Answer with one job alone. Raises Refusal."""
        return json_answer({"job": job_read(*await self._known(request), self._clock())})

    async def cancel(self, request: Request) -> Response:
        """Cancel what the job's connection does. Raises Refusal."""
        job, _ = await self._known(request)
        try:
            named = self.workflow.cancel(job)
        except WorkflowDeleted as error:
            raise Opaque(500) from error
        return json_answer(job_info(*named, self._clock()))

    async def _known(self, request: Request) -> tuple[Job, JobState]:
        job_id = read_integer(await read_body(request), "id")
        found = self.world.history.find(job_id)
        if found is None:
            raise Hal(403) if self.faults.user_mode else Opaque(500)
        return found

    def _read_query(self, fields: dict[str, object]) -> JobQuery | None:
        """Return the listing asked for, newest first; None when it can find nothing."""
        if fields.get("configTypes") is None:
            raise Opaque(400)
        types = {str(text).lower() for text in read_list(fields, "configTypes")}
        if not types:
            raise Opaque(500)
        if not types <= {*TYPES_BY_WORD, *OTHER_TYPES}:
            raise Opaque(422)
        job_types = frozenset(TYPES_BY_WORD[text] for text in types if text in TYPES_BY_WORD)
        page = fields.get("pagination") or {}
        if not isinstance(page, dict):
            raise Opaque(422)
        field = read_choice(fields, "orderByField", ("createdAt", "updatedAt"))
        method = read_choice(fields, "orderByMethod", ("ASC", "DESC"))
        # One without the other is ignored.
        is_ordered = field is not None and method is not None
        query = JobQuery(
            connection_id=self._connection_id(fields.get("configId")),
            statuses=read_choices(fields, "statuses", STATUS_CHOICES),
            job_types=job_types,
            created=_span(fields, "createdAt"),
            updated=_span(fields, "updatedAt"),
            order="updatedAt" if is_ordered and field == "updatedAt" else "createdAt",
            descending=not is_ordered or method == "DESC",
            limit=read_integer(page, "pageSize", DEFAULT_PAGE),
            offset=read_integer(page, "rowOffset", 0),
        )
        return query if job_types else None

    def _including(self, fields: dict[str, object], query: JobQuery) -> JobQuery:
        """Return the listing that reaches from the newest job to a named one, in whole pages and without filters."""
        every = JobQuery(connection_id=query.connection_id, job_types=query.job_types, descending=True)
        found = self.world.history.find(read_integer(fields, "includingJobId"))
        if found is None or not every.admits(*found) or every.connection_id not in (None, found[0].connection_id):
            return replace(every, limit=0)
        newer = self.world.history.count(replace(every, created=Span(start=found[0].created_at)))
        return replace(every, limit=(newer // query.limit + 1) * query.limit)

    def _connection_id(self, value: object) -> str | None:
        """Return the connection asked for; without one an admin sees all jobs, and an ordinary user none."""
        connection_id = None if value is None else parse_uuid(str(value)) or str(value)
        if self.faults.user_mode and connection_id not in self.world.connections:
            raise Hal(403)
        return connection_id


def _span(fields: dict[str, object], name: str) -> Span:
    start, end = read_time(fields, f"{name}Start"), read_time(fields, f"{name}End")
    return Span(-inf if start is None else start, inf if end is None else end)
