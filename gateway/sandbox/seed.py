"""A small world for the demo: two customers, ten connections, thirty days of history."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from random import Random

from gateway.sandbox.failures import (
    CREDENTIALS_REFUSED,
    DESTINATION_TIMEOUT,
    PLATFORM,
    SCHEMA_REFRESH,
    TOKEN_REFUSED,
    TRANSIENT_SOURCE,
    Failure,
)
from gateway.sandbox.records import Connection, ConnectionStatus
from gateway.sandbox.timeline import Outcome, Status, Step, past_run
from gateway.sandbox.world import BYTES_PER_ROW, RETRYING_SOURCE_TYPE, World

MINUTE, HOUR, DAY = 60, 3600, 86400
HISTORY_DAYS = 30
FAILURE_RATE = 0.06
SURE_FAILURE = 9  # this job of every connection fails, so that every kind of failure can be seen
ON_THE_MINUTE_RATE = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """A connection to be made, and how often it syncs. No hours: its schedule is manual."""

    workspace: str
    source_type: str
    label: str
    every_hours: int
    rows: int
    failure: Failure
    status: ConnectionStatus = "active"
    outcome: Outcome | None = None

    @property
    def schedule(self) -> dict[str, str]:
        if self.every_hours == 24:  # noqa: PLR2004 - once a day
            return {"scheduleType": "cron", "cronExpression": "0 0 3 * * ? UTC"}
        return {"scheduleType": "basic", "basicTiming": f"Every {self.every_hours} HOURS"}


PLANS = (
    Plan("Acme Inc", "shopify", "Shopify -> BigQuery", 6, 4_200, DESTINATION_TIMEOUT),
    Plan("Acme Inc", "postgres", "Orders database -> BigQuery", 3, 18_000, CREDENTIALS_REFUSED),
    Plan("Acme Inc", "google-ads", "Google Ads -> BigQuery", 24, 900, SCHEMA_REFRESH),
    Plan("Acme Inc", "stripe", "Stripe -> BigQuery", 6, 1_300, TRANSIENT_SOURCE),
    Plan("Acme Inc", "hubspot", "HubSpot -> BigQuery", 24, 2_600, TOKEN_REFUSED, outcome="fails"),
    Plan("Acme Inc", RETRYING_SOURCE_TYPE, "Facebook Marketing -> BigQuery", 24, 700, TRANSIENT_SOURCE),
    Plan("Globex", "postgres", "Billing -> Warehouse", 6, 9_500, PLATFORM),
    Plan("Globex", "salesforce", "Salesforce -> Warehouse", 24, 3_100, SCHEMA_REFRESH),
    Plan("Globex", "google-analytics-data-api", "Analytics -> Warehouse", 24, 1_900, PLATFORM, status="inactive"),
    Plan("Globex", "", "In-house ERP -> Warehouse", 24, 400, TRANSIENT_SOURCE),
)


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job before it has an id: ids are given out in the order of creation."""

    connection: Connection
    steps: tuple[Step, ...]
    rows: int


def populate(world: World, *, now: float, seed: int) -> None:
    """Fill an empty world with history up to `now`."""
    random = Random(seed)  # noqa: S311 - a repeatable world, no secrets
    workspaces: dict[str, str] = {}
    planned: list[PlannedJob] = []
    for plan in PLANS:
        if plan.workspace not in workspaces:
            workspaces[plan.workspace] = world.add_workspace(plan.workspace).workspace_id
        connection = world.add_connection(
            workspaces[plan.workspace],
            plan.source_type,
            name=plan.label,
            status=plan.status,
            schedule=plan.schedule,
            created_at=now - (HISTORY_DAYS + 15) * DAY,
            outcome=plan.outcome,
            failures=(plan.failure,),
        )
        planned += _past_jobs(plan, connection, now, random)
        if connection.outcome == "retries":
            planned.append(PlannedJob(connection, _retry_under_way(now), plan.rows))
    for job in sorted(planned, key=lambda job: job.steps[0].at):
        size = job.rows * BYTES_PER_ROW
        world.put_job(job.connection.connection_id, job.steps, job_type="sync", rows=job.rows, size=size)


def _past_jobs(plan: Plan, connection: Connection, now: float, random: Random) -> Iterator[PlannedJob]:
    interval = plan.every_hours * HOUR
    slot = (now - HISTORY_DAYS * DAY) // interval * interval + interval
    # The last hour stays free: nothing of the past is still running when the sandbox starts.
    for number in count():
        if slot >= now - HOUR:
            return
        start = slot + random.randrange(1, 55)
        if random.random() < ON_THE_MINUTE_RATE:
            start = slot
        age = (now - slot) / DAY
        rows = int(plan.rows * random.uniform(0.8, 1.2) * (1.5 - age / (2 * HISTORY_DAYS)))
        has_failed = random.random() < FAILURE_RATE or number == SURE_FAILURE
        status: Status = "failed" if has_failed else "succeeded"
        steps = past_run(status, start, random.randrange(40, 1_500))
        yield PlannedJob(connection, steps, rows // 3 if status == "failed" else rows)
        slot += interval


def _retry_under_way(now: float) -> tuple[Step, ...]:
    """Add a job whose first attempt failed five minutes ago and whose second begins in ten."""
    return (
        Step(now - 20 * MINUTE, "pending"),
        Step(now - 19 * MINUTE, "running"),
        Step(now - 5 * MINUTE, "incomplete"),
        Step(now + 10 * MINUTE, "running"),
        Step(now + 15 * MINUTE, "succeeded"),
    )
