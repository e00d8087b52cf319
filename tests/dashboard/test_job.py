"""The page of one job, for members and for the operator: what is told of it, and to whom."""

import re
from html import unescape

import httpx2
import pytest

from gateway.dashboard.humanize import duration
from gateway.sandbox import Answer
from gateway.sandbox.failures import (
    CREDENTIALS_REFUSED,
    DESTINATION_TIMEOUT,
    PLANTED_HOST,
    PLANTED_PASSWORD,
    Failure,
)
from gateway.sandbox.faults import ConfigApi
from gateway.sandbox.records import Stream, StreamVolume
from gateway.sandbox.timeline import Status
from gateway.store import CancelWish
from gateway.times import format_time
from tests.dashboard.support import rows_of, signed_in, words
from tests.support import NEVER_OURS, START, World, bearer, quiet

AT = "/dashboard/connections"
ADMIN_AT = "/dashboard/admin/connections"


@pytest.fixture
async def member(world: World) -> httpx2.AsyncClient:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    return await signed_in(world, "acme")


def add_job(world: World, theirs: str, status: Status = "failed", hours_ago: float = 1.0) -> int:
    at = world.clock.now().timestamp() - hours_ago * 3600
    job = world.sandbox.world.add_job(theirs, status=status, created_at=at, duration_seconds=90, rows=1_000)
    return job.job_id


def support(page: httpx2.Response) -> str:
    return "".join(re.findall(r'<code id="support">(.*?)</code>', page.text, re.DOTALL))


@pytest.mark.parametrize("who", ["member", "admin"])
async def test_a_job_opens_from_its_connection(world: World, member: httpx2.AsyncClient, who: str) -> None:
    ours, theirs = await world.mapped_connection()
    number = add_job(world, theirs, "succeeded")
    visitor = member if who == "member" else await signed_in(world, None)
    path = f"{AT if who == 'member' else ADMIN_AT}/{ours}"
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])
    world.clock.advance(6)
    await member.get(f"{AT}/{ours}")

    connection = await visitor.get(path)
    page = await visitor.get(f"{path}/jobs/{number}")

    assert f'{path}/jobs/{number}"' in connection.text.replace("../", "").replace('href="', 'href="/')
    assert page.status_code == 200
    assert "succeeded sync" in words(page)
    assert "Started 1 Apr 2026, 02:00 UTC Ended 1 Apr 2026, 02:01 UTC Duration 1 min 30 s Rows 1,000" in words(page)
    assert "Why it failed" not in page.text


async def test_the_text_for_support_names_job_connection_time_and_request(
    world: World, member: httpx2.AsyncClient
) -> None:
    ours, theirs = await world.mapped_connection()
    number = add_job(world, theirs, "cancelled")

    page = await member.get(f"{AT}/{ours}/jobs/{number}")

    assert support(page).splitlines()[:3] == [
        f"Job {number} (sync, cancelled)",
        f"Connection {ours}, in Airbyte {theirs}",
        "Started 2026-04-01T02:00:00.000Z, ended 2026-04-01T02:01:30.000Z",
    ]
    assert support(page).splitlines()[-1] == f"Seen 2026-04-01T03:00:00.000Z, request {page.headers['x-request-id']}"
    assert '<button type="button" class="second" data-copy="support" hidden>Copy for support</button>' in page.text


async def test_other_clients_and_unknown_jobs_and_numbers_are_not_found(
    world: World, member: httpx2.AsyncClient
) -> None:
    ours, _ = await world.mapped_connection()
    await world.services.clients.add(slug="other", name="Other", plan="free")
    others, airbyte_id = await world.mapped_connection("other")
    number = add_job(world, airbyte_id)
    world.sandbox.requests.clear()

    foreign, unknown = [await member.get(f"{AT}/{each}/jobs/{number}") for each in (others, NEVER_OURS)]
    asked_for_foreign = len(world.sandbox.requests)
    jobs = [await member.get(f"{AT}/{ours}/jobs/{each}") for each in (number, 999_999, "1e3", "01", "9" * 40)]

    assert [each.status_code for each in (foreign, unknown, *jobs)] == [404] * 7
    assert words(foreign).replace(foreign.headers["x-request-id"], "") == words(unknown).replace(
        unknown.headers["x-request-id"], ""
    )
    assert asked_for_foreign == 0
    assert "Job not found" in jobs[0].text
    assert airbyte_id not in "".join(each.text for each in (foreign, *jobs))


async def test_without_airbyte_the_page_says_so_and_can_still_be_passed_on(
    world: World, member: httpx2.AsyncClient
) -> None:
    ours, theirs = await world.mapped_connection()
    number = add_job(world, theirs)
    world.sandbox.faults.answer_with(Answer.html(503), times=100)

    page = await member.get(f"{AT}/{ours}/jobs/{number}")

    assert page.status_code == 200
    cause = "it, or a proxy in front of it, fails"
    assert f"Airbyte cannot be reached: {cause}, so the job cannot be shown now." in words(page)
    assert support(page).startswith(f"Job {number}\n")
    assert 'data-live="30"' in page.text


async def test_without_airbyte_what_is_stored_of_the_job_is_shown(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    number = add_job(world, theirs)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])
    world.clock.advance(6)
    await member.get(f"{AT}/{ours}")
    live = await member.get(f"{AT}/{ours}/jobs/{number}")
    await quiet()
    world.sandbox.faults.answer_with(Answer.html(503), times=100)

    page = await member.get(f"{AT}/{ours}/jobs/{number}")

    assert "This is what is stored of the job, as of 1 Apr 2026" in words(page)
    for figure in ("Duration", "Rows", "Data", "Started", "Status"):
        (told,) = re.findall(rf"<dt>{figure}</dt><dd>.*?</dd>", live.text, re.DOTALL)
        assert told in page.text


async def test_as_of_when_it_is_stored_is_not_said_of_what_refreshing_passes_over(
    world: World, member: httpx2.AsyncClient
) -> None:
    ours, theirs = await world.mapped_connection()
    number = add_job(world, theirs)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])
    world.clock.advance(6)
    await member.get(f"{AT}/{ours}")
    await quiet()
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])
    world.sandbox.faults.answer_with(Answer.html(503), times=100)

    page, connection = await member.get(f"{AT}/{ours}/jobs/{number}"), await member.get(f"{AT}/{ours}")

    assert "This is what is stored of the job. " in words(page)
    assert "These are the last syncs that are stored; there may be newer and older ones." in words(connection)


async def test_a_running_job_is_kept_live(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    number = world.sandbox.world.add_job(theirs, status="running").job_id

    page = await member.get(f"{AT}/{ours}/jobs/{number}")

    assert 'data-live="5"' in page.text
    assert "Ended not yet" in words(page)


@pytest.mark.parametrize(
    ("status", "told"), [("pending", "Cancel is waiting until the job runs"), ("running", "Cancel is being sent")]
)
async def test_a_cancel_that_is_not_done_yet_is_shown_wherever_the_job_is(
    world: World, member: httpx2.AsyncClient, status: Status, told: str
) -> None:
    key = await world.key()
    ours, theirs = await world.mapped_connection()
    number = world.sandbox.world.add_job(theirs, status=status).job_id
    admin = await signed_in(world, None)
    pages = (
        (member, f"{AT}/{ours}"),
        (member, f"{AT}/{ours}/jobs/{number}"),
        (admin, f"{ADMIN_AT}/{ours}/jobs/{number}"),
    )
    before = [words(await visitor.get(path)) for visitor, path in pages]

    wish = CancelWish(key.record.client_id, ours, theirs, number, "sync", key.record.id, "r", format_time(START))
    await world.services.store.cancellations.begin(wish)

    assert not any("Cancel is" in page for page in before)
    assert [told in words(await visitor.get(path)) for visitor, path in pages] == [True] * len(pages)
    await world.services.keys.revoke(key.record.id)
    assert "Cancel is" not in "".join([words(await visitor.get(path)) for visitor, path in pages])


@pytest.mark.parametrize("status", ["running", "incomplete"])
async def test_the_duration_is_the_one_that_the_api_tells(
    world: World, member: httpx2.AsyncClient, status: Status
) -> None:
    key = await world.key()
    ours, theirs = await world.mapped_connection()
    at = world.clock.now().timestamp() - 3600
    number = world.sandbox.world.add_job(theirs, status=status, created_at=at, duration_seconds=90).job_id

    told = (await world.http.get(f"/api/v1/connections/{ours}/jobs/{number}", headers=bearer(key))).json()["job"]
    page = await member.get(f"{AT}/{ours}/jobs/{number}")
    ((_, _, _, listed, *_),) = rows_of((await member.get(f"{AT}/{ours}")).text)

    assert told["duration"] is not None
    assert f"Duration {duration(told['duration'])} Rows" in words(page)
    assert listed == duration(told["duration"])


async def test_a_client_over_its_rate_is_told_when_to_come_again(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    number = add_job(world, theirs)
    await world.services.clients.update(
        "acme", name="Acme", plan="free", rate=None, rate_total="1/3600", most_keys=None
    )
    await member.get(f"{AT}/{ours}/jobs/{number}")

    page = await member.get(f"{AT}/{ours}/jobs/{number}")

    assert re.search(r"Rate limit exceeded.*: try again in \d+ s, so the job cannot be shown now", words(page))


def fail(world: World, theirs: str, *failures: Failure, attempts: int = 1) -> int:
    at = world.clock.now().timestamp() - 3600
    job = world.sandbox.world.add_job(
        theirs, status="failed", created_at=at, duration_seconds=90, attempts=attempts, failures=failures
    )
    return job.job_id


def secrets_in(text: str) -> list[str]:
    planted = (PLANTED_HOST, PLANTED_PASSWORD, "org.postgresql.util", "10.20.30.40")
    return [secret for secret in planted if secret in unescape(text)]


async def test_a_member_reads_the_reason_as_the_api_tells_it(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    number = fail(world, theirs, CREDENTIALS_REFUSED)

    page, connection = await member.get(f"{AT}/{ours}/jobs/{number}"), await member.get(f"{AT}/{ours}")

    assert "Why it failed Where the source Kind credentials Message" in words(page)
    assert f"Job {number} failed. It began 1 hour ago. State code: 28P01; Message: FATAL: password" in words(connection)
    for each in (page, connection):
        assert secrets_in(each.text) == []
        assert "Airbyte’s message, as it came" not in each.text


async def test_the_operator_reads_airbyte_s_message_whole(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    number = fail(world, theirs, CREDENTIALS_REFUSED)
    admin = await signed_in(world, None)

    page = await admin.get(f"{ADMIN_AT}/{ours}/jobs/{number}")

    assert str(CREDENTIALS_REFUSED.external_message) in unescape(page.text)
    assert secrets_in(page.text) == [PLANTED_HOST, PLANTED_PASSWORD]
    assert secrets_in(support(page)) == []


async def test_each_attempt_says_why_it_failed(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    number = fail(world, theirs, DESTINATION_TIMEOUT, attempts=2)

    page = await member.get(f"{AT}/{ours}/jobs/{number}")
    attempts = rows_of(page.text.partition('id="attempts"')[2].partition("</table>")[0])

    assert [row[:2] for row in attempts] == [["Attempt 1", "failed"], ["Attempt 2", "failed"]]
    assert [row[-1] for row in attempts] == ["The destination made no progress in time."] * 2
    assert "Where the destination Kind timeout" in words(page)


async def test_streams_are_listed_and_can_be_searched(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    volumes = [StreamVolume(Stream(f"table_{number:02}", "public"), number, 1_000) for number in range(60)]
    number = world.sandbox.world.add_job(theirs, streams=volumes).job_id
    path = f"{AT}/{ours}/jobs/{number}"

    page, found = await member.get(path), await member.get(f"{path}?q=table_07")

    assert "1 to 20 of 60" in words(page)
    assert rows_of(found.text.partition('id="streams"')[2]) == [["public.table_07", "7", "1.0 kB"]]


@pytest.mark.parametrize("state", ["absent", "forbidden", "other shape"])
async def test_a_reason_that_is_not_to_be_had_is_said_to_be_so(
    world: World, member: httpx2.AsyncClient, state: ConfigApi
) -> None:
    ours, theirs = await world.mapped_connection()
    number = fail(world, theirs, CREDENTIALS_REFUSED)
    world.sandbox.faults.config_api = state

    page, connection = await member.get(f"{AT}/{ours}/jobs/{number}"), await member.get(f"{AT}/{ours}")

    assert "The reason is not available. Airbyte does not tell it, or could not be asked for it." in words(page)
    assert "The reason is not available." in words(connection)
    assert "Started 1 Apr 2026, 02:00 UTC" in words(page)


async def test_the_connection_s_page_asks_for_no_reason_once_a_newer_sync_runs(
    world: World, member: httpx2.AsyncClient
) -> None:
    ours, theirs = await world.mapped_connection()
    fail(world, theirs, CREDENTIALS_REFUSED)
    world.sandbox.world.add_job(theirs, status="running")
    world.sandbox.requests.clear()

    page = await member.get(f"{AT}/{ours}")

    assert "Reason, attempts and streams" not in page.text
    assert not [each for each in world.sandbox.requests if each.path.endswith("/jobs/list")]
