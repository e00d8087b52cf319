"""The steps of a job, and what Airbyte tells of it at an instant. No I/O, no clock."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["pending", "queued", "running", "incomplete", "failed", "succeeded", "cancelled"]
Outcome = Literal["succeeds", "fails", "retries"]

# `incomplete` is missing on purpose: an attempt has failed, but a retry follows.
TERMINAL: frozenset[Status] = frozenset({"failed", "succeeded", "cancelled"})
WAITING: frozenset[Status] = frozenset({"pending", "queued"})


@dataclass(frozen=True, slots=True)
class Step:
    """From this instant on the job has this status, until the next step."""

    at: float
    status: Status


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a triggered job stays in each phase."""

    pending_seconds: float = 2.0
    running_seconds: float = 8.0
    incomplete_seconds: float = 4.0
    queued_seconds: float = 8 * 3600.0  # Airbyte cancels a manual job that got no capacity for so long


def triggered_run(outcome: Outcome, start: float, pace: Pace) -> tuple[Step, ...]:
    """Return the steps of a job that somebody triggers at `start`."""
    begun = start + pace.pending_seconds
    ended = begun + pace.running_seconds
    opening = (Step(start, "pending"), Step(begun, "running"))
    if outcome == "fails":
        return (*opening, Step(ended, "failed"))
    if outcome == "succeeds":
        return (*opening, Step(ended, "succeeded"))
    resumed = ended + pace.incomplete_seconds
    retry = (Step(resumed, "running"), Step(resumed + pace.running_seconds, "succeeded"))
    return (*opening, Step(ended, "incomplete"), *retry)


def queued_run(start: float, pace: Pace) -> tuple[Step, ...]:
    """Return the steps of a job triggered while there is no capacity."""
    return (Step(start, "queued"), Step(start + pace.queued_seconds, "cancelled"))


def past_run(status: Status, start: float, duration_seconds: float) -> tuple[Step, ...]:
    """Return the steps of an invented job: `status` is reached after `duration_seconds` and stays."""
    if status in WAITING:
        return (Step(start, status),)
    return (Step(start, "running"), Step(start + duration_seconds, status))


def cancelled_run(steps: tuple[Step, ...], now: float) -> tuple[Step, ...]:
    """Return the same steps, ended at `now`."""
    return (*(step for step in steps if step.at <= now), Step(now, "cancelled"))


def step_at(steps: tuple[Step, ...], now: float) -> Step | None:
    """Return the step the job is in, or None when it does not exist yet."""
    return next((step for step in reversed(steps) if step.at <= now), None)


def progress_at(steps: tuple[Step, ...], now: float) -> float:
    """Return the share of rows committed so far, between 0 and 1."""
    start = next((step.at for step in steps if step.status not in WAITING), None)
    if start is None or now < start:
        return 0.0
    end = steps[-1].at
    return 1.0 if now >= end else (now - start) / (end - start)
