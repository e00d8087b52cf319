"""A36 and Airbyte's clock: rows in any order, twice, or somebody else's; a Date from nowhere."""

import random

import pytest

from tests.faults.conftest import Front, said, theirs
from tests.faults.fault import close
from tests.support import bearer


async def test_rows_in_any_order_and_twice_are_shown_once_newest_first(front: Front) -> None:
    for _ in range(6):
        front.airbyte.add_job(front.tenant.theirs, status="succeeded")
    random.Random(36).shuffle(front.airbyte.jobs)
    front.airbyte.jobs += front.airbyte.jobs[:3]

    got = await front.jobs()

    assert [job["jobId"] for job in got.json()["data"]] == [6, 5, 4, 3, 2, 1]
    front.airbyte.jobs.clear()
    await front.assert_recovered()


async def test_rows_of_other_connections_are_dropped_and_counted(front: Front) -> None:
    front.airbyte.add_job(front.tenant.theirs, status="succeeded")
    front.airbyte.filters = False
    for number in (2, 3, 4):
        front.airbyte.add_job(theirs(number))

    got = await front.jobs()
    metrics = await front.http.get("/metrics")

    assert [job["jobId"] for job in got.json()["data"]] == [1]
    assert "gateway_upstream_identity_mismatch_total 3.0" in metrics.text


async def test_a_job_of_another_connection_is_no_answer_to_a_trigger(front: Front) -> None:
    front.airbyte.answers_about = theirs(2)

    got = await front.trigger()

    assert got.status_code in {200, 504}
    assert theirs(2) not in got.text
    assert front.airbyte.count("trigger") == 1


@pytest.mark.parametrize(
    "date",
    [
        "",
        "soon",
        "Fri, 31 Dec 9999 23:59:59 -1200",
        "Mon, 01 Jan 0001 00:00:00 GMT",
        "Wed, 01 Apr 2099 03:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Wed, 01 Apr 2026 03:00:00 -0000",
        "Mon, 01 Jan 2024 00:00:00 +99999999999999",
    ],
)
async def test_a_date_from_nowhere_harms_nothing(front: Front, date: str) -> None:
    """A trigger that came to nothing stays unknown, a change is still seen, now and after the clock is right again."""
    front.airbyte.add_job(front.tenant.theirs, status="succeeded")
    front.clock.advance(3600)
    front.airbyte.date = date
    for _ in range(2):
        await front.http.get("/api/v1/connections", headers=bearer(front.tenant.key))
        front.clock.advance(60)
    front.airbyte.switch("trigger", close, works=False)

    lost = await front.trigger()
    front.airbyte.heal()
    front.airbyte.date = None
    front.airbyte.add_job(front.tenant.theirs, status="running")
    front.clock.advance(60)
    listed = await front.http.get("/api/v1/connections", headers=bearer(front.tenant.key))

    assert said(lost)[0] == 504
    assert listed.json()["data"][0]["last_sync_status"] == "running"
    assert "warning" not in listed.headers
    await front.assert_recovered()


async def test_an_old_job_is_no_answer_to_a_new_trigger_however_long_nobody_asked(front: Front) -> None:
    first = await front.trigger()
    front.airbyte.finish_jobs()
    front.clock.advance(3600)
    front.airbyte.switch("trigger", close, works=False)

    lost = await front.trigger()

    assert (first.status_code, lost.status_code) == (200, 504)
    await front.assert_recovered()
