"""The jobs routes: list, read, trigger, cancel."""

from itertools import islice
from math import floor

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.sandbox.faults import Faults
from gateway.sandbox.history import JobQuery
from gateway.sandbox.query import JOB_TYPES, page_links, read_job_query
from gateway.sandbox.records import Connection, Job, JobState, JobType
from gateway.sandbox.refusals import (
    Hal,
    Opaque,
    forbidden,
    not_found,
    state_conflict,
    try_again_later,
    unprocessable,
)
from gateway.sandbox.wire import duration, json_answer, parse_uuid, timestamp, without_nulls
from gateway.sandbox.workflow import NoJobAppeared, SyncRunning, Workflow, WorkflowDeleted
from gateway.sandbox.world import World


class Jobs:
    """Serves the jobs of one world."""

    def __init__(self, *, world: World, faults: Faults, base: str) -> None:
        self.world = world
        self.faults = faults
        self.url = f"{base}/jobs"
        self.workflow = Workflow(world=world, faults=faults)

    def routes(self) -> list[Route]:
        """Return the routes of jobs."""
        return [
            Route("/jobs", self.list_jobs),
            Route("/jobs", self.trigger, methods=["POST"]),
            Route("/jobs/{job_id}", self.job),
            Route("/jobs/{job_id}", self.cancel, methods=["DELETE"]),
        ]

    async def list_jobs(self, request: Request) -> Response:
        """Answer with a page of jobs. Raises Refusal."""
        params = request.query_params
        if self.faults.legacy and "orderBy" in params:
            return json_answer({"type": "about:blank", "status": 500}, status=500)
        query = read_job_query(params, self._listed_connection(params.get("connectionId")))
        if self.faults.user_mode and not query.workspace_ids <= self.world.workspaces.keys():
            raise forbidden()
        rows = self.world.history.select(query) + self._foreign_rows(query)
        carried = {
            "jobType": next(iter(query.job_types), None),
            "connectionId": query.connection_id,
            "workspaceIds": ",".join(sorted(query.workspace_ids)),
        }
        links = page_links(self.url, carried, limit=query.limit, offset=query.offset, rows=len(rows))
        return json_answer({**links, "data": [job_body(*row, hydrated=True) for row in rows]})

    async def job(self, request: Request) -> Response:
        """Answer with one job. Raises Refusal."""
        return json_answer(job_body(*self._known(request), hydrated=True))

    async def cancel(self, request: Request) -> Response:
        """Cancel what the job's connection does. Raises Refusal."""
        job, _ = self._known(request)
        try:
            named = self.workflow.cancel(job)
        except WorkflowDeleted as error:
            raise state_conflict() from error
        return json_answer(job_body(*named, hydrated=False))

    async def trigger(self, request: Request) -> Response:
        """Start a job. Raises Refusal."""
        connection_id, job_type = _read_trigger(await request.body())
        if job_type == "refresh":
            raise unprocessable("Refreshes are not supported in the public API")
        connection = self._triggered_connection(connection_id)
        try:
            job = self.workflow.sync(connection, job_type)
        except SyncRunning as error:
            raise try_again_later(f"A sync is already running for: {connection.connection_id}") from error
        except NoJobAppeared as error:
            raise state_conflict() from error
        return json_answer(job_body(*job, hydrated=False))

    def _listed_connection(self, text: str | None) -> str | None:
        if text is None:
            return None
        connection_id = parse_uuid(text)
        if self.faults.user_mode and connection_id not in self.world.connections:
            raise forbidden()
        if connection_id is None:
            raise Opaque(500)
        return connection_id

    def _triggered_connection(self, text: str) -> Connection:
        connection_id = parse_uuid(text)
        connection = self.world.connections.get(connection_id or "")
        if connection is None:
            if self.faults.user_mode:
                raise forbidden("WORKSPACE_RUNNER")
            raise not_found("connection", connection_id) if connection_id else Opaque(500)
        if connection.status != "active":
            raise state_conflict()
        return connection

    def _known(self, request: Request) -> tuple[Job, JobState]:
        text = request.path_params["job_id"]
        if not text.isdecimal():
            raise Hal(400, f"Failed to convert argument [jobId] for value [{text}]")
        found = self.world.history.find(int(text))
        if found is None:
            raise forbidden() if self.faults.user_mode else state_conflict("Job is not currently running")
        return found

    def _foreign_rows(self, query: JobQuery) -> list[tuple[Job, JobState]]:
        if not self.faults.foreign_rows:
            return []
        everything = self.world.history.select(JobQuery(descending=True, limit=10_000))
        foreign = (
            (job, state)
            for job, state in everything
            if job.connection_id != query.connection_id and job.workspace_id not in query.workspace_ids
        )
        return list(islice(foreign, self.faults.foreign_rows))


def job_body(job: Job, state: JobState, *, hydrated: bool) -> dict[str, object]:
    """Return a job as JSON shows it. Only reading fills in the counts; triggering and cancelling do not."""
    started, updated = floor(job.created_at), floor(state.updated_at)
    return without_nulls(
        {
            "jobId": job.job_id,
            "status": state.status,
            "jobType": job.job_type,
            "startTime": timestamp(started),
            "connectionId": job.connection_id,
            "lastUpdatedAt": timestamp(updated) if state.is_terminal else None,
            "duration": None if state.status == "pending" else duration(updated - started),
            "bytesSynced": state.bytes if hydrated else None,
            "rowsSynced": state.rows if hydrated else None,
        }
    )


def _read_trigger(body: bytes) -> tuple[str, JobType]:
    try:
        content = orjson.loads(body)
        connection_id, job_type = content["connectionId"], content["jobType"].lower()
        known_type = JOB_TYPES[job_type]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise Opaque(422) from error
    if not isinstance(connection_id, str):
        raise Opaque(422)
    # Airbyte stores a clear as a reset, and that is how it reads back.
    return connection_id, "reset" if known_type == "clear" else known_type
