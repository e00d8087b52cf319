"""A connection's jobs as a file, for its members and for the operator."""

import asyncio

import httpx2
import pytest

from gateway.dashboard.job_csv import CSV_PAGE_JOBS
from gateway.errors import RateLimitExceeded, UpstreamError
from gateway.sandbox import Answer
from gateway.sandbox.failures import CREDENTIALS_REFUSED, PLANTED_PASSWORD
from tests.dashboard.support import csv_of, signed_in, words
from tests.support import NEVER_OURS, SPINS, World, bearer

HEADER = [
    *("jobId", "connectionId", "status", "jobType", "startTime", "bytesSynced", "rowsSynced", "duration"),
    *("endTime", "failureOrigin", "failureType", "failureMessage"),
]
AT = "/dashboard/connections"
ADMIN_AT = "/dashboard/admin/connections"


@pytest.fixture
async def member(world: World) -> httpx2.AsyncClient:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    return await signed_in(world, "acme")


def add_jobs(world: World, theirs: str, number: int, status: str = "succeeded") -> list[str]:
    """Return the ids, newest first."""
    now = world.clock.now().timestamp()
    jobs = [
        world.sandbox.world.add_job(theirs, status=status, created_at=now - 600 * ago, duration_seconds=90, rows=1_000)  # type: ignore[arg-type]
        for ago in range(number, 0, -1)
    ]
    return [str(job.job_id) for job in reversed(jobs)]


def job_lists(world: World) -> list[str]:
    """What Airbyte was asked for since its `requests` were cleared."""
    return [each.path for each in world.sandbox.requests if each.path.endswith("/jobs")]


async def limit(world: World, rate_total: str) -> None:
    await world.services.clients.update(
        "acme", name="Acme", plan="free", rate=None, rate_total=rate_total, most_keys=None
    )


async def test_a_file_has_what_the_api_has(world: World) -> None:
    key = await world.client_with_key()
    member = await signed_in(world, "acme")
    ours, theirs = await world.mapped_connection()
    add_jobs(world, theirs, 1)

    answer = await member.get(f"{AT}/{ours}/jobs.csv")
    path = f"/api/v1/connections/{ours}/jobs?include=failure"
    (job,) = (await world.http.get(path, headers=bearer(key))).json()["data"]

    assert job.pop("failure") is None
    assert csv_of(answer) == [HEADER, [*(str(value) for value in job.values()), "", "", ""]]
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == f'attachment; filename="{ours}-jobs-2026-04-01.csv"'
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("who", ["member", "admin"])
async def test_all_pages_of_airbyte_are_in_one_file(world: World, member: httpx2.AsyncClient, who: str) -> None:
    ours, theirs = await world.mapped_connection()
    ids = add_jobs(world, theirs, 230)
    visitor = member if who == "member" else await signed_in(world, None)

    answer = await visitor.get(f"{AT if who == 'member' else ADMIN_AT}/{ours}/jobs.csv")

    assert [row[0] for row in csv_of(answer)[1:]] == ids


async def test_a_file_ends_at_its_bound(
    world: World, member: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.dashboard.job_csv.MOST_CSV_PAGES", 2)
    ours, theirs = await world.mapped_connection()
    ids = add_jobs(world, theirs, 2 * CSV_PAGE_JOBS + 1)

    answer = await member.get(f"{AT}/{ours}/jobs.csv")

    assert [row[0] for row in csv_of(answer)[1:]] == ids[: 2 * CSV_PAGE_JOBS]


@pytest.mark.parametrize("who", ["member", "admin"])
async def test_a_job_that_failed_has_its_end_and_the_reason_that_the_page_shows(
    world: World, member: httpx2.AsyncClient, who: str
) -> None:
    ours, theirs = await world.mapped_connection()
    at = world.clock.now().timestamp() - 3600
    world.sandbox.world.add_job(
        theirs, status="failed", created_at=at, duration_seconds=90, failures=(CREDENTIALS_REFUSED,)
    )
    visitor = member if who == "member" else await signed_in(world, None)

    _, row = csv_of(await visitor.get(f"{AT if who == 'member' else ADMIN_AT}/{ours}/jobs.csv"))
    page = await member.get(f"{AT}/{ours}")

    assert row[8:11] == ["2026-04-01T02:01:30.000Z", "source", "credentials"]
    assert "password authentication failed" in row[11]
    assert row[11] in words(page)
    assert PLANTED_PASSWORD not in row[11]


async def test_without_the_config_api_a_file_has_no_reasons(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    ids = add_jobs(world, theirs, 120, "failed")
    world.sandbox.faults.config_api = "absent"

    rows = csv_of(await member.get(f"{AT}/{ours}/jobs.csv"))[1:]

    assert [row[0] for row in rows] == ids
    assert {tuple(row[9:]) for row in rows} == {("", "", "")}


async def test_the_status_of_the_page_is_that_of_the_file(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    add_jobs(world, theirs, 2)
    failed = add_jobs(world, theirs, 1, "failed")

    page = await member.get(f"{AT}/{ours}?status=failed")
    answer = await member.get(f"{AT}/{ours}/jobs.csv?status=failed")
    unknown = await member.get(f"{AT}/{ours}/jobs.csv?status=broken")

    assert f'connections/{ours}/jobs.csv?status=failed"' in page.text
    assert [row[0] for row in csv_of(answer)[1:]] == failed
    assert unknown.status_code == 400


async def test_a_connection_without_jobs_gives_a_file_without_rows(world: World, member: httpx2.AsyncClient) -> None:
    ours, _ = await world.mapped_connection()

    assert csv_of(await member.get(f"{AT}/{ours}/jobs.csv")) == [HEADER]


async def test_a_client_gets_no_other_s_jobs(world: World, member: httpx2.AsyncClient) -> None:
    await world.services.clients.add(slug="other", name="Other", plan="free")
    theirs, airbyte_id = await world.mapped_connection("other")
    add_jobs(world, airbyte_id, 1)
    world.sandbox.requests.clear()

    foreign, unknown = [await member.get(f"{AT}/{each}/jobs.csv") for each in (theirs, NEVER_OURS)]

    assert foreign.status_code == unknown.status_code == 404
    assert foreign.text.replace(theirs, "").replace(foreign.headers["x-request-id"], "") == unknown.text.replace(
        NEVER_OURS, ""
    ).replace(unknown.headers["x-request-id"], "")
    assert not world.sandbox.requests


async def test_a_failure_before_the_first_rows_has_its_page(world: World, member: httpx2.AsyncClient) -> None:
    ours, _ = await world.mapped_connection()
    world.sandbox.faults.answer_with(Answer.html(503), times=100)

    answer = await member.get(f"{AT}/{ours}/jobs.csv")

    assert answer.status_code == 502
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


async def test_a_failure_later_never_looks_like_the_end_of_the_file(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    add_jobs(world, theirs, 150)
    world.sandbox.requests.clear()
    world.sandbox.faults.answer_with(Answer.html(503), times=100, when=lambda _, __: len(job_lists(world)) > 1)

    with pytest.raises(UpstreamError):
        await member.get(f"{AT}/{ours}/jobs.csv")


async def test_each_page_takes_a_token_of_the_client(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    add_jobs(world, theirs, 150)
    await limit(world, "1/3600")

    with pytest.raises(RateLimitExceeded):
        await member.get(f"{AT}/{ours}/jobs.csv")
    refused = await member.get(f"{AT}/{ours}/jobs.csv")

    assert refused.status_code == 429
    assert "text/html" in refused.headers["content-type"]


async def test_a_file_that_has_begun_waits_for_a_token(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    ids = add_jobs(world, theirs, 150)
    await limit(world, "1/1")
    world.sandbox.requests.clear()

    reading = asyncio.create_task(member.get(f"{AT}/{ours}/jobs.csv"))
    await world.until_airbyte_is_asked("GET", "/jobs")
    for _ in range(SPINS):
        await asyncio.sleep(0)
    world.clock.advance(1)

    assert [row[0] for row in csv_of(await reading)[1:]] == ids


async def test_the_operator_s_file_takes_no_token_of_the_client(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    add_jobs(world, theirs, 150)
    await limit(world, "1/3600")
    admin = await signed_in(world, None)

    assert len(csv_of(await admin.get(f"{ADMIN_AT}/{ours}/jobs.csv"))) == 151
    assert (await member.get(f"{AT}/{ours}")).text.count("Rate limit") == 0


async def test_who_only_asks_for_the_head_costs_one_call(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    add_jobs(world, theirs, 250)
    world.sandbox.requests.clear()

    await member.head(f"{AT}/{ours}/jobs.csv")

    assert len(job_lists(world)) == 1
