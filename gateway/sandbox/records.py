"""The rows of the sandbox's world. Records are frozen: a change replaces the record."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

from gateway.sandbox.failures import CANCELLED, Failure
from gateway.sandbox.timeline import TERMINAL, WAITING, Attempt, Outcome, Status, Step, progress_at, step_at

ConnectionStatus = Literal["active", "inactive", "deprecated", "locked"]
JobType = Literal["sync", "reset", "refresh", "clear"]


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace: usually one customer's part of Airbyte."""

    workspace_id: str
    name: str

    @property
    def record_id(self) -> str:
        """The id, whatever kind of record it is."""
        return self.workspace_id


@dataclass(frozen=True, slots=True)
class Tag:
    """A word for sorting the connections of a workspace."""

    tag_id: str
    workspace_id: str
    name: str
    color: str


@dataclass(frozen=True, slots=True)
class Actor:
    """A source or a destination: Airbyte keeps both in one shape. `kind` is empty for custom connectors."""

    actor_id: str
    workspace_id: str
    name: str
    kind: str
    definition_id: str
    configuration: dict[str, object]
    created_at: float

    @property
    def record_id(self) -> str:
        """The id, whatever kind of record it is."""
        return self.actor_id


@dataclass(frozen=True, slots=True)
class Stream:
    """A table or an endpoint of a source that a connection reads. Without a cursor it is read whole each time."""

    name: str
    namespace: str | None = None
    cursor: str | None = "updated_at"
    key: str = "id"
    fields: tuple[str, ...] = ("id", "updated_at")


@dataclass(frozen=True, slots=True)
class StreamVolume:
    """How much of one stream a job commits."""

    stream: Stream
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Connection:
    """A source tied to a destination. `outcome` tells how its triggered jobs end, `failures` why attempts fail."""

    connection_id: str
    workspace_id: str
    name: str
    source_id: str
    destination_id: str
    status: ConnectionStatus
    schedule: dict[str, str]
    created_at: float
    outcome: Outcome
    streams: tuple[Stream, ...]
    failures: tuple[Failure, ...]

    @property
    def record_id(self) -> str:
        """The id, whatever kind of record it is."""
        return self.connection_id


@dataclass(frozen=True, slots=True)
class JobState:
    """What a job looks like at one instant."""

    status: Status
    updated_at: float
    rows: int
    bytes: int

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self.status in TERMINAL

    @property
    def is_waiting(self) -> bool:
        """Whether the job has not begun."""
        return self.status in WAITING


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a connection. `rows` and `bytes` are what it will have committed in the end."""

    job_id: int
    connection_id: str
    workspace_id: str
    job_type: JobType
    steps: tuple[Step, ...]
    rows: int
    bytes: int
    volumes: tuple[StreamVolume, ...]
    failures: tuple[Failure, ...]

    @property
    def created_at(self) -> float:
        """When it was created, in epoch seconds."""
        return self.steps[0].at

    @property
    def settles_at(self) -> float:
        """The instant of the last change."""
        return self.steps[-1].at

    def state_at(self, now: float) -> JobState | None:
        """Return how the job looks at `now`; None when it does not exist yet."""
        step = step_at(self.steps, now)
        if step is None:
            return None
        progress = progress_at(self.steps, now)
        return JobState(step.status, step.at, int(self.rows * progress), int(self.bytes * progress))

    def volumes_at(self, progress: float) -> list[StreamVolume]:
        """Return what each stream has committed at this share of the job's progress. The sums are the job's counts."""
        rows = _split(int(self.rows * progress), [volume.rows for volume in self.volumes])
        sizes = _split(int(self.bytes * progress), [volume.bytes for volume in self.volumes])
        return [StreamVolume(volume.stream, *counts) for volume, *counts in zip(self.volumes, rows, sizes, strict=True)]

    def failures_of(self, attempt: Attempt) -> tuple[Failure, ...]:
        """Return why an attempt failed; nothing for one that runs or succeeded."""
        if attempt.ended_as == "cancelled":
            return (CANCELLED,)
        return self.failures if attempt.status == "failed" else ()


def _split(total: int, weights: Sequence[int]) -> list[int]:
    """Divide a whole number by weights, without losing a unit."""
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    return [total * high // whole - total * low // whole for low, high in pairwise(accumulate(weights, initial=0))]
