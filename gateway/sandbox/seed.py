"""A small world for the demo: two customers, ten connections, thirty days of history."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from random import Random

from gateway.sandbox.plans import PLANS, Plan
from gateway.sandbox.records import Connection
from gateway.sandbox.schedules import Schedules
from gateway.sandbox.timeline import Status, Step, past_run
from gateway.sandbox.world import BYTES_PER_ROW, World

MINUTE, DAY = 60, 86400
HISTORY_DAYS = 30
FAILURE_RATE = 0.06
SURE_FAILURE = 9  # this job of every connection fails, so that every kind of failure can be seen
ON_THE_MINUTE_RATE = 0.1
STOPPED_DAYS = 2


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job before it has an id: ids are given out in the order of creation."""

    connection: Connection
    steps: tuple[Step, ...]
    rows: int


def populate(world: World, schedules: Schedules, *, now: float, seed: int) -> None:
    """Fill an empty world with history up to `now`, and tell the schedules what follows."""
    random = Random(seed)  # noqa: S311 - a repeatable world, no secrets
    workspaces: dict[str, str] = {}
    planned: list[PlannedJob] = []
    for plan in PLANS:
        if plan.workspace not in workspaces:
            workspaces[plan.workspace] = world.add_workspace(plan.workspace).workspace_id
        connection = world.add_connection(
            workspaces[plan.workspace],
            plan.source_type,
            destination_type=plan.destination_type,
            name=plan.label,
            status=plan.status,
            schedule=plan.schedule,
            created_at=now - (HISTORY_DAYS + 15) * DAY,
            outcome=plan.outcome,
            streams=plan.streams,
            failures=(plan.failure,),
        )
        schedules.add(connection.connection_id, first_at=plan.next_time(now), period=plan.period)
        planned += _past_jobs(plan, connection, now, random)
        if connection.outcome == "retries":
            planned.append(PlannedJob(connection, _retry_under_way(now), plan.rows))
    for workspace_id in workspaces.values():
        world.add_tag(workspace_id, "production")
    for job in sorted(planned, key=lambda job: job.steps[0].at):
        size = job.rows * BYTES_PER_ROW
        world.put_job(job.connection.connection_id, job.steps, job_type="sync", rows=job.rows, size=size)


def _past_jobs(plan: Plan, connection: Connection, now: float, random: Random) -> Iterator[PlannedJob]:
    """Yield a run for each time of the schedule. All have ended: nothing of the past still runs at the start."""
    slot = plan.next_time(now - HISTORY_DAYS * DAY)
    for number in count():
        if slot > now:
            return
        start = slot + random.randrange(1, 55)
        if random.random() < ON_THE_MINUTE_RATE or start > now:
            start = slot
        age = (now - slot) / DAY
        rows = int(plan.rows * random.uniform(0.8, 1.2) * (1.5 - age / (2 * HISTORY_DAYS)))
        has_failed = random.random() < FAILURE_RATE or number == SURE_FAILURE
        # What cannot sync any more has not for two days.
        has_failed = has_failed or (plan.outcome == "fails" and age < STOPPED_DAYS)
        status: Status = "failed" if has_failed else "succeeded"
        steps = past_run(status, start, min(random.randrange(40, 1_500), now - start))
        yield PlannedJob(connection, steps, rows // 3 if has_failed else rows)
        slot = plan.next_time(slot)


def _retry_under_way(now: float) -> tuple[Step, ...]:
    """Add a job whose first attempt failed five minutes ago and whose second begins in ten."""
    return (
        Step(now - 20 * MINUTE, "pending"),
        Step(now - 19 * MINUTE, "running"),
        Step(now - 5 * MINUTE, "incomplete"),
        Step(now + 10 * MINUTE, "running"),
        Step(now + 15 * MINUTE, "succeeded"),
    )
