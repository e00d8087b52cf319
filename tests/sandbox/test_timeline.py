"""The life of a job, instant by instant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.timeline import (
    Outcome,
    Pace,
    Step,
    cancelled_run,
    past_run,
    progress_at,
    queued_run,
    step_at,
    triggered_run,
)

PACE = Pace(pending_seconds=2, running_seconds=8, incomplete_seconds=4, queued_seconds=100)


@pytest.mark.parametrize(
    ("outcome", "now", "step"),
    [
        ("succeeds", -0.1, None),
        ("succeeds", 0, Step(0, "pending")),
        ("succeeds", 1.9, Step(0, "pending")),
        ("succeeds", 2, Step(2, "running")),
        ("succeeds", 10, Step(10, "succeeded")),
        ("succeeds", 1_000, Step(10, "succeeded")),
        ("fails", 10, Step(10, "failed")),
        ("retries", 10, Step(10, "incomplete")),
        ("retries", 14, Step(14, "running")),
        ("retries", 22, Step(22, "succeeded")),
    ],
)
def test_a_triggered_run_is_a_function_of_time(outcome: Outcome, now: float, step: Step | None) -> None:
    assert step_at(triggered_run(outcome, 0, PACE), now) == step


def test_a_queued_run_is_cancelled_in_the_end() -> None:
    assert [step_at(queued_run(0, PACE), now) for now in (99, 100)] == [
        Step(0, "queued"),
        Step(100, "cancelled"),
    ]


def test_a_made_up_run_works_until_it_has_its_status() -> None:
    steps = past_run("failed", 0, 60)

    assert step_at(steps, 59) == Step(0, "running")
    assert step_at(steps, 60) == Step(60, "failed")


def test_a_cancelled_run_keeps_its_past() -> None:
    steps = cancelled_run(triggered_run("succeeds", 0, PACE), 5)

    assert steps == (Step(0, "pending"), Step(2, "running"), Step(5, "cancelled"))


@pytest.mark.parametrize(("now", "share"), [(-1, 0), (0, 0), (2, 0), (6, 0.5), (10, 1), (99, 1)])
def test_progress_grows_while_the_job_runs(now: float, share: float) -> None:
    assert progress_at(triggered_run("succeeds", 0, PACE), now) == share


def test_a_waiting_job_makes_no_progress() -> None:
    assert progress_at(past_run("pending", 0, 60), 1_000) == 0


@given(st.sampled_from(["succeeds", "fails", "retries"]), st.floats(-5, 50), st.floats(0, 50))
def test_progress_never_goes_back(outcome: Outcome, now: float, later: float) -> None:
    steps = triggered_run(outcome, 0, PACE)

    assert 0 <= progress_at(steps, now) <= progress_at(steps, now + later) <= 1
