"""What Airbyte's workflow of a connection does when it is told to sync or to cancel.

Both APIs ask it: the public one and the Config API. Each has its own words for what it answers.
"""

from gateway.sandbox.faults import Faults
from gateway.sandbox.records import Connection, Job, JobState, JobType
from gateway.sandbox.world import World


class SyncRunning(Exception):
    """An attempt runs, or the next one is waited for."""


class NoJobAppeared(Exception):
    """The workflow was told to sync, and no job was seen in time. One may still appear."""


class WorkflowDeleted(Exception):
    """The connection has been deleted, and its workflow with it."""


class Workflow:
    """The workflows of all connections of one world."""

    def __init__(self, *, world: World, faults: Faults) -> None:
        self.world = world
        self.faults = faults

    def sync(self, connection: Connection, job_type: JobType) -> tuple[Job, JobState]:
        """Start a job, or return the one that waits. Raises SyncRunning, NoJobAppeared."""
        active = self.world.history.active(connection.connection_id)
        if active is None:
            return self._start(connection, job_type)
        # An `incomplete` job has no running attempt, but its workflow counts as running.
        if not active[1].is_waiting:
            raise SyncRunning
        return active

    def cancel(self, job: Job) -> tuple[Job, JobState]:
        """Cancel what the job's connection is doing and return the named job. Raises WorkflowDeleted.

        The job only says which connection is meant. A pending job has not begun: Airbyte ignores the signal, and it
        runs on. ("Can't cancel a non-running sync", `ConnectionManagerWorkflowImpl.cancelJob`.)
        """
        if self.world.connections[job.connection_id].status == "deprecated":
            raise WorkflowDeleted
        active = self.world.history.active(job.connection_id)
        if active is not None and active[1].status != "pending":
            self.world.cancel(*active)
        named = self.world.history.find(job.job_id)
        assert named is not None  # noqa: S101 - a cancelled job does not vanish
        return named

    def _start(self, connection: Connection, job_type: JobType) -> tuple[Job, JobState]:
        if self.world.history.is_expected(connection.connection_id):
            raise NoJobAppeared  # the workflow was signalled already: this signal changes nothing
        late_seconds = self.faults.state_conflict_after_signal
        job = self.world.trigger(
            connection.connection_id,
            job_type,
            queued=self.faults.capacity_exhausted,
            late_seconds=late_seconds or 0.0,
        )
        started = self.world.history.find(job.job_id)
        if late_seconds is not None or started is None:
            raise NoJobAppeared
        return started
