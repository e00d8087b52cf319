"""Everything the sandbox knows: workspaces, sources, destinations, connections and their jobs.

Tests build and change the world through the methods here; the routes only read it, trigger and cancel.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from uuid import UUID

from gateway.sandbox.connectors import destination_configuration, source_configuration
from gateway.sandbox.failures import TRANSIENT_SOURCE, Failure
from gateway.sandbox.history import History
from gateway.sandbox.records import (
    Actor,
    Connection,
    ConnectionStatus,
    Job,
    JobState,
    JobType,
    Stream,
    StreamVolume,
    Tag,
    Workspace,
)
from gateway.sandbox.timeline import (
    TERMINAL,
    Outcome,
    Pace,
    Status,
    Step,
    cancelled_run,
    past_run,
    queued_run,
    triggered_run,
)

MANUAL = {"scheduleType": "manual"}
STREAMS = (Stream("orders"),)
BYTES_PER_ROW = 512
TRIGGERED_ROWS = 12_000
INVENTED_ROWS = 1_000
INVENTED_BYTES = INVENTED_ROWS * BYTES_PER_ROW
RETRYING_SOURCE_TYPE = "facebook-marketing"


class World:
    """The state of one pretended Airbyte. Equal seeds and equal calls give equal ids."""

    def __init__(self, *, clock: Callable[[], float], seed: int) -> None:
        self.pace = Pace()
        self.workspaces: dict[str, Workspace] = {}
        self.sources: dict[str, Actor] = {}
        self.destinations: dict[str, Actor] = {}
        self.connections: dict[str, Connection] = {}
        self.tags: dict[str, Tag] = {}
        self.history = History(clock)
        self._clock = clock
        self._seed = seed
        self._job_ids = count(1)
        self._places = count(1)

    def add_workspace(self, name: str) -> Workspace:
        """Add a workspace, and return it."""
        workspace = Workspace(self._new_id(), name)
        self.workspaces[workspace.workspace_id] = workspace
        return workspace

    def add_tag(self, workspace_id: str, name: str, color: str = "FBECB1") -> Tag:
        """Add a tag to a workspace, and return it."""
        tag = Tag(self._new_id(), workspace_id, name, color)
        self.tags[tag.tag_id] = tag
        return tag

    def add_connection(
        self,
        workspace_id: str,
        source_type: str = "shopify",
        *,
        destination_type: str = "bigquery",
        name: str | None = None,
        status: ConnectionStatus = "active",
        schedule: dict[str, str] | None = None,
        created_at: float | None = None,
        outcome: Outcome | None = None,
        streams: Sequence[Stream] | None = None,
        failures: Sequence[Failure] = (TRANSIENT_SOURCE,),
    ) -> Connection:
        """Add a connection with a source and a destination of its own.

        `schedule` is as the public API shows it: `{"scheduleType": "basic", "basicTiming": "Every 6 HOURS"}`,
        `{"scheduleType": "cron", "cronExpression": "0 0 3 * * ? UTC"}` or `{"scheduleType": "manual"}`.
        """
        at = self._clock() if created_at is None else created_at
        source = self._add_source(workspace_id, source_type, at)
        destination = self._add_destination(workspace_id, destination_type, at)
        connection = Connection(
            connection_id=self._new_id(),
            workspace_id=workspace_id,
            name=f"{source.name} -> {destination.name}" if name is None else name,
            source_id=source.actor_id,
            destination_id=destination.actor_id,
            status=status,
            schedule=dict(MANUAL if schedule is None else schedule),
            created_at=at,
            outcome=outcome or ("retries" if source_type == RETRYING_SOURCE_TYPE else "succeeds"),
            streams=tuple(STREAMS if streams is None else streams),
            failures=tuple(failures),
        )
        self.connections[connection.connection_id] = connection
        return connection

    def set_connection_status(self, connection_id: str, status: ConnectionStatus) -> None:
        """Have the connection show another status."""
        self.connections[connection_id] = replace(self.connections[connection_id], status=status)

    def remove_connection(self, connection_id: str) -> None:
        """Delete as Airbyte does: the connection stays readable by id and keeps its history."""
        self.set_connection_status(connection_id, "deprecated")

    def forget_connection(self, connection_id: str) -> None:
        """Remove a connection and its jobs, as if they had never existed."""
        del self.connections[connection_id]
        self.history.forget(connection_id)

    def add_job(
        self,
        connection_id: str,
        *,
        status: Status = "succeeded",
        created_at: float | None = None,
        job_type: JobType = "sync",
        duration_seconds: float = 60.0,
        bytes: int | None = None,  # noqa: A002 - Airbyte counts bytes and rows, so do we
        rows: int | None = None,
        attempts: int = 1,
        failures: Sequence[Failure] | None = None,
        streams: Sequence[StreamVolume] | None = None,
    ) -> Job:
        """Invent a job; without `created_at` it ends now, or starts now when it has no end.

        `failures` is what each failed attempt says (default: the connection's; none: no summary at all).
        `streams` is what each stream commits; rows and bytes are then its sums.
        """
        if created_at is None:
            created_at = self._clock() - (duration_seconds if status in TERMINAL else 0.0)
            duration_seconds = duration_seconds if status in TERMINAL else 0.0
        if streams is not None:
            rows, bytes = sum(volume.rows for volume in streams), sum(volume.bytes for volume in streams)  # noqa: A001
        return self.put_job(
            connection_id,
            past_run(status, created_at, duration_seconds, attempts),
            job_type=job_type,
            rows=INVENTED_ROWS if rows is None else rows,
            size=INVENTED_BYTES if bytes is None else bytes,
            failures=failures,
            streams=streams,
        )

    def put_job(
        self,
        connection_id: str,
        steps: tuple[Step, ...],
        *,
        job_type: JobType,
        rows: int,
        size: int,
        failures: Sequence[Failure] | None = None,
        streams: Sequence[StreamVolume] | None = None,
    ) -> Job:
        """Add a job with the given steps."""
        connection = self.connections[connection_id]
        job = Job(
            next(self._job_ids),
            connection_id,
            connection.workspace_id,
            job_type,
            steps,
            rows,
            size,
            volumes=_volumes(connection.streams) if streams is None else tuple(streams),
            failures=connection.failures if failures is None else tuple(failures),
        )
        self.history.put(job)
        return job

    def trigger(self, connection_id: str, job_type: JobType, *, queued: bool = False, late_seconds: float = 0.0) -> Job:
        """Start a job now, or let it appear `late_seconds` later."""
        start = self._clock() + late_seconds
        outcome = self.connections[connection_id].outcome
        steps = queued_run(start, self.pace) if queued else triggered_run(outcome, start, self.pace)
        rows = TRIGGERED_ROWS if job_type == "sync" else 0
        size = rows * BYTES_PER_ROW
        return self.put_job(connection_id, steps, job_type=job_type, rows=rows, size=size)

    def cancel(self, job: Job, state: JobState) -> None:
        """End a job now; what it has committed so far stays."""
        steps = cancelled_run(job.steps, self._clock())
        self.history.put(replace(job, steps=steps, rows=state.rows, bytes=state.bytes))

    def _add_source(self, workspace_id: str, kind: str, created_at: float) -> Actor:
        name = kind.replace("-", " ").title() or "Custom source"
        source = self._new_actor(workspace_id, kind, name, created_at, source_configuration(kind))
        self.sources[source.actor_id] = source
        return source

    def _add_destination(self, workspace_id: str, kind: str, created_at: float) -> Actor:
        destination = self._new_actor(workspace_id, kind, "Warehouse", created_at, destination_configuration(kind))
        self.destinations[destination.actor_id] = destination
        return destination

    def _new_actor(
        self, workspace_id: str, kind: str, name: str, created_at: float, configuration: dict[str, object]
    ) -> Actor:
        definition_id = self._derive(f"definition/{kind}")
        return Actor(self._new_id(), workspace_id, name, kind, definition_id, configuration, created_at)

    def _new_id(self) -> str:
        return self._derive(f"{next(self._places)}")

    def _derive(self, name: str) -> str:
        digest = hashlib.sha256(f"sandbox/{self._seed}/{name}".encode()).digest()
        return str(UUID(bytes=digest[:16], version=4))


def _volumes(streams: tuple[Stream, ...]) -> tuple[StreamVolume, ...]:
    """Weigh streams for a job that says nothing of them: the first is the largest."""
    return tuple(
        StreamVolume(stream, len(streams) - place, len(streams) - place) for place, stream in enumerate(streams)
    )
