"""The rows of the sandbox's world. Records are frozen: a change replaces the record."""

from dataclasses import dataclass
from typing import Literal

from gateway.sandbox.timeline import TERMINAL, WAITING, Outcome, Status, Step, progress_at, step_at

ConnectionStatus = Literal["active", "inactive", "deprecated", "locked"]
JobType = Literal["sync", "reset", "refresh", "clear"]


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace: usually one customer's part of Airbyte."""

    workspace_id: str
    name: str

    @property
    def record_id(self) -> str:
        return self.workspace_id


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
        return self.actor_id


@dataclass(frozen=True, slots=True)
class Connection:
    """A source tied to a destination. `outcome` tells how its triggered jobs end."""

    connection_id: str
    workspace_id: str
    name: str
    source_id: str
    destination_id: str
    status: ConnectionStatus
    schedule: dict[str, str]
    created_at: float
    outcome: Outcome

    @property
    def record_id(self) -> str:
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
        return self.status in TERMINAL

    @property
    def is_waiting(self) -> bool:
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

    @property
    def created_at(self) -> float:
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
