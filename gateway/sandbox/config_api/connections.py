"""The Config API's routes for connections."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.sandbox.config_api.body import read_body, read_id, read_list
from gateway.sandbox.config_api.connection_bodies import connection_read
from gateway.sandbox.config_api.job_bodies import failure_read, job_info, job_read
from gateway.sandbox.config_api.schedules import schedule_data
from gateway.sandbox.faults import Faults
from gateway.sandbox.history import JobQuery
from gateway.sandbox.records import Connection, Job, JobState
from gateway.sandbox.refusals import Hal, Known, Opaque
from gateway.sandbox.timeline import Attempt, attempts_at
from gateway.sandbox.wire import json_answer, parse_uuid, without_nulls
from gateway.sandbox.workflow import NoJobAppeared, SyncRunning, Workflow
from gateway.sandbox.world import World

LOOKBACK = 10  # Airbyte reads so many of a connection's newest jobs
Row = tuple[Job, JobState]


class ConfigConnections:
    """Serves the connections of one world as the Config API does."""

    def __init__(self, *, world: World, faults: Faults, clock: Callable[[], float]) -> None:
        self.world = world
        self.faults = faults
        self.workflow = Workflow(world=world, faults=faults)
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the routes of connections."""
        return [
            Route("/connections/get", self.connection, methods=["POST"]),
            Route("/connections/list", self.list_connections, methods=["POST"]),
            Route("/connections/sync", self.sync, methods=["POST"]),
            Route("/connections/status", self.statuses, methods=["POST"]),
        ]

    async def connection(self, request: Request) -> Response:
        """Answer with one connection. Raises Refusal."""
        return json_answer(connection_read(self._known(read_id(await read_body(request), "connectionId"))))

    async def list_connections(self, request: Request) -> Response:
        """Answer with a workspace's connections. Raises Refusal."""
        workspace_id = read_id(await read_body(request), "workspaceId")
        if self.faults.user_mode and workspace_id not in self.world.workspaces:
            raise Hal(403)
        rows = (row for row in self.world.connections.values() if row.workspace_id == workspace_id)
        return json_answer({"connections": [connection_read(row) for row in rows if row.status != "deprecated"]})

    async def sync(self, request: Request) -> Response:
        """Start a sync. Airbyte answers when it runs; here the answer comes at once, with a pending job."""
        connection = self._known(read_id(await read_body(request), "connectionId"))
        if connection.status != "active":
            raise Opaque(500)
        try:
            job = self.workflow.sync(connection, "sync")
        except SyncRunning as error:
            raise Known(409, f"A sync is already running for: {connection.connection_id}") from error
        except NoJobAppeared as error:
            raise Opaque(500) from error
        return json_answer(job_info(*job, self._clock()))

    async def statuses(self, request: Request) -> Response:
        """Answer with how the last sync of each connection stands. Raises Refusal."""
        asked = read_list(await read_body(request), "connectionIds")
        return json_answer([self._status(self._known(value)) for value in asked])

    def _known(self, value: object) -> Connection:
        connection_id = parse_uuid(value) if isinstance(value, str) else None
        if connection_id is None:
            raise Opaque(422)
        connection = self.world.connections.get(connection_id)
        if connection is None:
            raise Hal(403) if self.faults.user_mode else Opaque(404)
        return connection

    def _status(self, connection: Connection) -> dict[str, object]:
        query = JobQuery(connection_id=connection.connection_id, descending=True, limit=LOOKBACK)
        jobs = self.world.history.select(query)
        now = self._clock()
        active = next((row for row in jobs[:1] if not row[1].is_terminal), None)
        ended = next((row for row in jobs if row[1].status in ("succeeded", "failed")), None)
        succeeded = next((row for row in jobs if row[1].status == "succeeded"), None)
        last_sync = next((row for row in jobs if row[0].job_type == "sync"), None)
        attempts = attempts_at(ended[0].steps, now) if ended else []
        failures = _failures(ended, attempts)
        return without_nulls(
            {
                "connectionId": connection.connection_id,
                "connectionSyncStatus": _sync_status(connection, jobs, ended, failures),
                "scheduleData": schedule_data(connection.schedule),
                "lastSuccessfulSync": int(succeeded[1].updated_at) if succeeded else None,
                "activeJob": job_read(*active, now) if active else None,
                "lastSyncJobId": ended[0].job_id if ended else None,
                "lastSyncAttemptNumber": attempts[-1].number if attempts else None,
                "lastSyncJobCreatedAt": int(last_sync[0].created_at) if last_sync else None,
                "failureReason": failures[0] if failures else None,
            }
        )


def _failures(ended: Row | None, attempts: list[Attempt]) -> list[dict[str, object]]:
    """Return why the last failed attempt of a failed job failed."""
    if ended is None or ended[1].status != "failed":
        return []
    failed = next((attempt for attempt in reversed(attempts) if attempt.status == "failed"), None)
    if failed is None or failed.ended_at is None:
        return []
    return [failure_read(failure, failed.ended_at) for failure in ended[0].failures_of(failed)]


def _sync_status(connection: Connection, jobs: list[Row], ended: Row | None, failures: list[dict[str, object]]) -> str:
    """Return Airbyte's word for the connection, in Airbyte's order of tests."""
    newest = jobs[0] if jobs else None
    if newest and not newest[1].is_terminal:
        return newest[1].status if newest[1].status in ("running", "queued") else "pending"
    if any(failure.get("failureType") == "config_error" for failure in failures):
        return "failed"
    if connection.status != "active":
        return "paused"
    if newest and newest[1].status == "cancelled":
        return "incomplete"
    if ended is None or (newest and newest[0].job_type in ("reset", "clear")):
        return "pending"
    return "incomplete" if ended[1].status == "failed" else "synced"
