"""Which job a trigger led to: one rule, and where its callers differ."""

from gateway.models import Job
from gateway.syncs.reconcile import created_since, job_of_trigger

SINCE = "2026-04-01T03:00:00.000Z"
BEFORE = "2026-04-01T02:59:59.999Z"
AFTER = "2026-04-01T03:00:30.000Z"


def a_job(job_id: int, created: str | None = AFTER, *, status: str = "succeeded", job_type: str = "sync") -> Job:
    return Job(job_id, "theirs", status, job_type, created, None, None, None)


def test_it_is_the_newest_sync_created_since_the_trigger() -> None:
    jobs = [a_job(3), a_job(2, SINCE), a_job(1, BEFORE)]

    assert job_of_trigger(jobs, since=SINCE) == jobs[0]
    assert job_of_trigger(jobs[1:], since=SINCE) == jobs[1]
    assert job_of_trigger(jobs[2:], since=SINCE) is None
    assert job_of_trigger([], since=SINCE) is None


def test_a_job_that_does_not_say_when_it_was_created_was_not_created_since() -> None:
    assert job_of_trigger([a_job(1, None)], since=SINCE) is None
    assert created_since([a_job(2), a_job(1, None)], SINCE) == [a_job(2)]


def test_a_job_of_another_type_is_none_of_a_trigger_s_unless_any_type_will_do() -> None:
    jobs = [a_job(2, job_type="reset"), a_job(1)]

    assert job_of_trigger(jobs, since=SINCE) == jobs[1]
    assert job_of_trigger(jobs, since=SINCE, any_type=True) == jobs[0]


def test_an_older_job_that_has_not_ended_comes_first_where_airbyte_may_have_joined_the_trigger_to_it() -> None:
    jobs = [a_job(2), a_job(1, BEFORE, status="running")]

    assert job_of_trigger(jobs, since=SINCE) == jobs[0]
    assert job_of_trigger(jobs, since=SINCE, or_active=True) == jobs[1]
    assert job_of_trigger(jobs[:1], since=SINCE, or_active=True) == jobs[0]


def test_a_running_reset_is_joined_only_where_any_type_will_do() -> None:
    reset = a_job(1, BEFORE, status="running", job_type="reset")

    assert job_of_trigger([reset], since=SINCE, or_active=True) is None
    assert job_of_trigger([reset], since=SINCE, or_active=True, any_type=True) == reset


def test_the_oldest_since_is_the_one_with_the_lowest_id() -> None:
    jobs = [a_job(4), a_job(2), a_job(3), a_job(1, BEFORE)]

    assert job_of_trigger(jobs, since=SINCE, oldest=True) == jobs[1]
