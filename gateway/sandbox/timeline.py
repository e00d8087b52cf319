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
class Attempt:
    """One try of a job: what ended it, and between which shares of the job's progress it worked."""

    number: int
    begun_at: float
    ended_at: float | None
    ended_as: Status | None  # the job's status at the attempt's end
    progress_before: float
    progress_after: float

    @property
    def status(self) -> Literal["running", "failed", "succeeded"]:
        """How it stands, in the words for attempts: a cancelled one has failed."""
        if self.ended_as is None:
            return "running"
        return "succeeded" if self.ended_as == "succeeded" else "failed"


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


def past_run(status: Status, start: float, duration_seconds: float, attempts: int = 1) -> tuple[Step, ...]:
    """Return the steps of an invented job: `status` is reached after `duration_seconds` and stays.

    Several attempts, and the waits between them, are equally long.
    """
    if status in WAITING:
        return (Step(start, status),)
    phases = 2 * attempts - 1
    steps = (
        Step(start + duration_seconds * phase / phases, "incomplete" if phase % 2 else "running")
        for phase in range(phases)
    )
    return (*steps, Step(start + duration_seconds, status))


def cancelled_run(steps: tuple[Step, ...], now: float) -> tuple[Step, ...]:
    """Return the same steps, ended at `now`."""
    return (*(step for step in steps if step.at <= now), Step(now, "cancelled"))


def step_at(steps: tuple[Step, ...], now: float) -> Step | None:
    """Return the step the job is in, or None when it does not exist yet."""
    return next((step for step in reversed(steps) if step.at <= now), None)


def first_running_at(steps: tuple[Step, ...], now: float) -> float | None:
    """Return when the job began to work, or None when it has not begun."""
    return next((step.at for step in steps if step.status == "running" and step.at <= now), None)


def progress_at(steps: tuple[Step, ...], now: float) -> float:
    """Return the share of rows committed so far, between 0 and 1. It grows only while an attempt runs."""
    if first_running_at(steps, now) is None:
        return 0.0
    end = steps[-1].at
    return 1.0 if now >= end else _worked(steps, now) / _worked(steps, end)


def attempts_at(steps: tuple[Step, ...], now: float) -> list[Attempt]:
    """Return the attempts begun so far, the oldest first. Each begins when the job runs and ends when it does not."""
    attempts: list[Attempt] = []
    begun_at: float | None = None
    for step in steps:
        if step.at > now:
            break
        if step.status == "running":
            begun_at = step.at if begun_at is None else begun_at
        elif begun_at is not None:
            attempts.append(_attempt(steps, attempts, begun_at, now, step))
            begun_at = None
    if begun_at is not None:
        attempts.append(_attempt(steps, attempts, begun_at, now, None))
    return attempts


def _attempt(
    steps: tuple[Step, ...], earlier: list[Attempt], begun_at: float, now: float, ending: Step | None
) -> Attempt:
    return Attempt(
        number=len(earlier),
        begun_at=begun_at,
        ended_at=ending.at if ending else None,
        ended_as=ending.status if ending else None,
        progress_before=earlier[-1].progress_after if earlier else 0.0,
        progress_after=progress_at(steps, ending.at if ending else now),
    )


def _worked(steps: tuple[Step, ...], until: float) -> float:
    """Return for how many seconds attempts have run."""
    following = (*(step.at for step in steps[1:]), steps[-1].at)
    return sum(
        max(0.0, min(end, until) - step.at)
        for step, end in zip(steps, following, strict=True)
        if step.status == "running"
    )
