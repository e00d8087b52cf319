"""Which job a trigger led to: one rule, by ids."""

import pytest

from gateway.models import Job
from gateway.syncs.reconcile import Before, job_begun_after, newest_before


def a_job(job_id: int, status: str = "succeeded", *, created: str | None = None, job_type: str = "sync") -> Job:
    return Job(job_id, "theirs", status, job_type, created, None, None, None)


def test_it_is_the_sync_with_the_smallest_id_above_the_newest_before() -> None:
    jobs = [a_job(9), a_job(7), a_job(8), a_job(5)]

    assert job_begun_after(5, jobs) == jobs[1]
    assert job_begun_after(8, jobs) == jobs[0]
    assert job_begun_after(9, jobs) is None
    assert job_begun_after(0, []) is None


def test_no_clock_has_a_say() -> None:
    jobs = [a_job(5, created="2030-01-01T00:00:00.000Z"), a_job(6, created="2020-01-01T00:00:00.000Z"), a_job(7)]

    assert job_begun_after(5, jobs) == jobs[1]


def test_a_job_of_another_type_is_nobodys() -> None:
    jobs = [a_job(9), a_job(6, "running", job_type="reset")]

    assert job_begun_after(5, jobs) == jobs[0]
    assert newest_before([a_job(6, "running", job_type="reset"), a_job(5)]) == Before(5)


def test_without_a_look_before_no_job_is_known_to_be_a_triggers() -> None:
    assert job_begun_after(None, [a_job(1)]) is None


def test_the_newest_before_is_the_highest_id_in_whatever_order() -> None:
    assert newest_before([a_job(5), a_job(7), a_job(6)]) == Before(7)
    assert newest_before([]) == Before(0)


@pytest.mark.parametrize("status", ["pending", "queued", "running", "incomplete"])
def test_a_sync_that_has_not_ended_is_under_way(status: str) -> None:
    jobs = [a_job(7), a_job(6, status)]

    assert newest_before(jobs) == Before(7, jobs[1])


def test_a_word_that_is_new_to_us_does_not_keep_a_connection_from_being_triggered_for_ever() -> None:
    assert newest_before([a_job(7, "skipped")]) == Before(7)
