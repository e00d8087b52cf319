"""A connection's page: its syncs, starting one, and what stands there when Airbyte does not do as it should."""

import asyncio
import re
from contextlib import closing
from html import unescape
from pathlib import Path
from sqlite3 import connect

import httpx2
import pytest

from gateway.dashboard.job_history import JOB_ROWS
from gateway.dashboard.timings import PageTimings
from gateway.sandbox import Answer
from gateway.sandbox.timeline import Status, Step
from tests.dashboard.support import browser, signed_in
from tests.support import NEVER_OURS, World, quiet, running_gateway

NASTY = "<script>alert(1)</script> \u202eevil\u200b " + "long" * 30


@pytest.fixture
async def member(world: World) -> httpx2.AsyncClient:
    await world.services.clients.add(slug="acme", name="Acme", plan="free")
    return await signed_in(world, "acme")


def add_job(world: World, theirs: str, status: Status = "succeeded", hours_ago: float = 1.0, rows: int = 1_000) -> int:
    at = world.clock.now().timestamp() - hours_ago * 3600
    job = world.sandbox.world.add_job(theirs, status=status, created_at=at, duration_seconds=90, rows=rows)
    return job.job_id


def path_of(connection_id: str) -> str:
    return f"/dashboard/connections/{connection_id}"


async def seen(member: httpx2.AsyncClient, path: str) -> str:
    answer = await member.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


async def trigger(member: httpx2.AsyncClient, connection_id: str) -> httpx2.Response:
    return await member.post(f"{path_of(connection_id)}/sync", data={})


async def landed(member: httpx2.AsyncClient, answer: httpx2.Response) -> str:
    """The page a redirect leads to."""
    assert answer.status_code == 303
    return await seen(member, str(answer.request.url.join(answer.headers["location"])))


def jobs(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<th scope="row"><a href="[^"]*">(\d+)</a></th>', page)]


def notice(page: str) -> str:
    return "".join(re.findall(r'<p class="notice"[^>]*>(.*?)</p>', page))


def problem(page: str) -> str:
    return "".join(re.findall(r'<p class="problem"[^>]*>(.*?)</p>', page))


def without_request_id(answer: httpx2.Response) -> tuple[int, dict[str, str], str]:
    request_id = answer.headers["x-request-id"]
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, headers, answer.text.replace(request_id, "")


def posts(world: World) -> int:
    return sum(request.method == "POST" and request.path.endswith("/jobs") for request in world.sandbox.requests)


async def activity(world: World) -> list[tuple[str, str, str]]:
    client = await world.services.store.clients.by_slug("acme")
    entries = await world.services.store.activity.of_client(client.id, limit=100)
    return [(entry.actor, entry.action, entry.subject) for entry in entries if entry.action == "sync.trigger"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_another_client_s_connection_is_answered_like_one_that_never_was(
    world: World, member: httpx2.AsyncClient, method: str
) -> None:
    await world.services.clients.add(slug="other", name="Other", plan="free")
    ours, _ = await world.mapped_connection("other")
    world.sandbox.requests.clear()
    suffix = "/sync" if method == "POST" else ""

    foreign = await member.request(method, path_of(ours) + suffix)
    unknown = await member.request(method, path_of(NEVER_OURS) + suffix)

    assert foreign.status_code == 404
    assert without_request_id(foreign) == without_request_id(unknown)
    assert not world.sandbox.requests


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whoever_is_not_signed_in_is_led_to_the_sign_in(
    world: World, member: httpx2.AsyncClient, method: str
) -> None:
    ours, _ = await world.mapped_connection()
    world.sandbox.requests.clear()
    suffix = "/sync" if method == "POST" else ""

    answer = await browser(world).request(method, path_of(ours) + suffix)

    assert answer.status_code == 303
    assert "dashboard/sign-in" in answer.headers["location"]
    assert not world.sandbox.requests


async def test_another_site_s_form_starts_nothing(world: World, member: httpx2.AsyncClient) -> None:
    ours, _ = await world.mapped_connection()

    answer = await member.post(f"{path_of(ours)}/sync", headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403
    assert posts(world) == 0


async def test_the_page_says_what_the_connection_is(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()

    page = await seen(member, path_of(ours))

    assert "<h1><bdi>Shop</bdi></h1>" in page
    assert f'<code id="id">{ours}</code>' in page
    assert f'<code id="airbyte-id">{theirs}</code>' in page
    assert 'data-copy="id"' in page
    assert '<span class="badge active">active</span>' in page
    assert "No sync yet" in page
    assert "data-live" not in page


async def test_the_history_shows_what_each_job_did(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    number = add_job(world, theirs, rows=12_345)

    page = await seen(member, path_of(ours))

    assert jobs(page) == [number]
    assert '<td data-label="Status"><span class="badge succeeded">succeeded</span>' in page.replace(">\n<", "><")
    assert ">1 Apr 2026, 02:00 UTC</time>" in page
    assert 'class="number">1 min 30 s</td>' in page
    assert 'class="number">12,345</td>' in page
    assert 'class="number">512.0 kB</td>' in page


async def test_the_history_comes_in_pages_newest_first(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    numbers = [add_job(world, theirs, hours_ago=60 - hour) for hour in range(3 * JOB_ROWS - 1)]
    path, pages = path_of(ours), []

    while True:
        page = await seen(member, path)
        pages.append(jobs(page))
        following = re.search(r'rel="next" href="\.\./\.\.(/dashboard/[^"#]*)', page)
        if not following:
            break
        path = unescape(following[1])
        # A new job shifts Airbyte's pages, and shall not show twice what was shown.
        add_job(world, theirs, hours_ago=0.1)

    assert [len(each) for each in pages] == [JOB_ROWS, JOB_ROWS, JOB_ROWS - 1]
    assert [number for each in pages for number in each] == numbers[::-1]


@pytest.mark.parametrize(("count", "has_more"), [(JOB_ROWS, False), (JOB_ROWS + 1, True)])
async def test_there_is_a_next_page_only_if_it_holds_something(
    world: World, member: httpx2.AsyncClient, count: int, has_more: bool
) -> None:
    ours, theirs = await world.mapped_connection()
    for hour in range(count):
        add_job(world, theirs, hours_ago=hour + 1)

    assert ('rel="next"' in await seen(member, path_of(ours))) == has_more


async def test_the_first_page_and_the_charts_cost_one_call(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    add_job(world, theirs)
    await seen(member, path_of(ours))
    world.sandbox.requests.clear()

    await seen(member, path_of(ours))

    assert len(world.sandbox.requests) == 1


async def test_the_history_of_one_status(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    failed = [add_job(world, theirs, "failed", hours_ago=50 - hour) for hour in range(JOB_ROWS + 3)]
    add_job(world, theirs)

    page = await seen(member, f"{path_of(ours)}?status=failed")

    assert jobs(page) == failed[:2:-1]
    assert "<option selected>failed</option>" in page
    assert re.search(r'rel="next" href="[^"]*status=failed&amp;cursor=', page)


async def test_a_status_that_no_job_has_is_said_kindly(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    add_job(world, theirs)

    page = await seen(member, f"{path_of(ours)}?status=cancelled")

    assert "No sync has this status" in page


@pytest.mark.parametrize("query", ["status=great", "cursor=!", "cursor=MS4"])
async def test_an_address_that_never_was_ours_is_refused(world: World, member: httpx2.AsyncClient, query: str) -> None:
    ours, _ = await world.mapped_connection()

    assert (await member.get(f"{path_of(ours)}?{query}")).status_code == 400


async def test_charts_are_drawn_and_told(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    for hours_ago in (72, 48):
        add_job(world, theirs, hours_ago=hours_ago)
    add_job(world, theirs, "failed", hours_ago=24, rows=100)
    add_job(world, theirs, "running", hours_ago=0.5)

    page = await seen(member, path_of(ours))

    assert "The last 3 finished syncs took 1 min 30 s; 1 failed." in page
    assert "The last 3 finished syncs moved 100 to 1,000 rows, typically 1,000; 1 failed." in page
    for chart in re.findall(r'<svg viewBox="0 0 400 170" role="img" aria-labelledby=.*?</svg>', page, re.DOTALL):
        assert chart.count('<circle class="succeeded"') == 2
        assert chart.count('<path class="failed"') == 1
    assert page.count("<figure") == 2


async def test_what_runs_is_shown_until_it_has_ended(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    started = world.clock.now().timestamp()
    steps = (Step(started, "running"), Step(started + 300, "succeeded"))
    job = world.sandbox.world.put_job(theirs, steps, job_type="sync", rows=600, size=6_000)
    world.clock.advance(150)

    page = await seen(member, path_of(ours))
    assert "<h2>Running now</h2>" in page
    assert f"Job {job.job_id}" in page
    assert "300 rows so far" in page
    assert 'data-live="5"' in page

    world.clock.advance(151)
    page = await seen(member, path_of(ours))
    assert "Running now</h2>" not in page
    assert "data-live" not in page


async def test_the_page_goes_on_until_its_head_knows_of_the_end_too(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    started = world.clock.now().timestamp()
    steps = (Step(started, "running"), Step(started + 300, "succeeded"))
    world.sandbox.world.put_job(theirs, steps, job_type="sync", rows=600, size=6_000)
    world.clock.advance(299)
    await seen(member, path_of(ours))

    world.clock.advance(2)  # sooner than the last syncs are read again
    ended = await seen(member, path_of(ours))
    world.clock.advance(10)
    known = await seen(member, path_of(ours))

    head = re.compile(r'id="state"([^>]*)>.*?<span class="badge (?:running|succeeded)">([a-z]+)</span>', re.DOTALL)
    assert "Running now</h2>" not in ended
    assert head.findall(ended) == [(' data-live="5"', "running")]
    assert head.findall(known) == [("", "succeeded")]


async def test_a_sync_is_started_and_told_of(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()

    answer = await trigger(member, ours)

    (number,) = world.jobs_of(theirs)
    page = await landed(member, answer)
    assert notice(page) == f"Sync job {number} has started."
    assert jobs(page) == [number]
    assert await activity(world) == [("acme@example.com", "sync.trigger", f"Shop ({ours})")]


async def test_the_audit_names_the_user(world: World, member: httpx2.AsyncClient) -> None:
    ours, _ = await world.mapped_connection()

    await trigger(member, ours)

    rows = await world.services.store.database.fetch_all("SELECT caller, outcome FROM triggers")
    client = await world.services.store.clients.by_slug("acme")
    (user,) = await world.services.store.users.of_client(client.id)
    assert [tuple(row) for row in rows] == [(user.id, "ok")]


async def test_a_sync_that_is_under_way_is_joined(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    await trigger(member, ours)
    world.clock.advance(5)

    page = await landed(member, await trigger(member, ours))

    (number,) = world.jobs_of(theirs)
    assert notice(page) == f"A sync was already pending or running: job {number}."


async def test_a_sync_that_airbyte_started_itself_is_joined(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    await seen(member, path_of(ours))
    world.clock.advance(30)
    job = world.sandbox.world.add_job(theirs, status="running")
    world.clock.advance(30)

    page = await landed(member, await trigger(member, ours))

    assert notice(page) == f"A sync was already pending or running: job {job.job_id}."
    assert world.jobs_of(theirs) == [job.job_id]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("done=started&job=12", "Sync job 12 has started."),
        ("done=started&job=%3Cb%3E", ""),
        ("done=started&job=", ""),
        ("done=started", ""),
        ("done=other&job=12", ""),
    ],
)
async def test_a_notice_says_nothing_but_a_number_of_the_address(
    world: World, member: httpx2.AsyncClient, query: str, shown: str
) -> None:
    ours, _ = await world.mapped_connection()

    assert notice(await seen(member, f"{path_of(ours)}?{query}")) == shown


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (Answer.html(502), 504, "Airbyte did not say whether a sync has started"),
        (Answer(429), 503, "Airbyte is busy. No sync was started."),
        (Answer(422), 502, "Airbyte gave an answer that cannot be used. No sync was started."),
    ],
)
async def test_why_a_sync_could_not_be_started_is_said_on_the_page(
    world: World, member: httpx2.AsyncClient, answer: Answer, status: int, words: str
) -> None:
    ours, theirs = await world.mapped_connection()
    world.sandbox.faults.answer_with(answer, times=1, when=lambda method, path: method == "POST" and "jobs" in path)

    refused = await trigger(member, ours)

    assert refused.status_code == status
    assert problem(refused.text).startswith(words)
    assert "<h1><bdi>Shop</bdi></h1>" in refused.text
    assert world.jobs_of(theirs) == []
    assert len(await activity(world)) == (1 if status == 504 else 0)


async def test_an_inactive_connection_is_explained(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.set_connection_status(theirs, "inactive")

    refused = await trigger(member, ours)

    assert refused.status_code == 400
    assert problem(refused.text) == "Connection is not active in Airbyte (status: inactive). No sync was started."
    assert "This connection is inactive in Airbyte" in await seen(member, path_of(ours))


async def test_a_connection_that_airbyte_has_lost_is_explained(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    world.sandbox.world.forget_connection(theirs)

    refused = await trigger(member, ours)

    assert refused.status_code == 404
    assert problem(refused.text) == "Airbyte no longer has this connection. No sync was started."
    assert "This connection was deleted in Airbyte" in await seen(member, path_of(ours))


async def test_without_mapping_there_is_nothing_to_start(world: World, member: httpx2.AsyncClient) -> None:
    connection = (
        await world.services.connections.add("acme", connector_type="shopify", label="Shop", airbyte_id=None)
    ).connection

    page = await seen(member, path_of(connection.id))
    refused = await trigger(member, connection.id)

    assert "is not mapped to Airbyte yet" in page
    assert "Sync now" not in page
    assert refused.status_code == 400
    assert problem(refused.text) == "Connection has no Airbyte mapping. No sync was started."


async def test_without_airbyte_the_page_shows_what_is_stored(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    numbers = [add_job(world, theirs, "failed", 50, rows=500), add_job(world, theirs, "succeeded", 1, rows=500)]
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])
    world.clock.advance(6)
    live = await seen(member, path_of(ours))
    await member.get("/dashboard/connections")
    await quiet()
    world.sandbox.faults.answer_with(Answer.html(503), times=100)

    page = await seen(member, path_of(ours))

    assert "Airbyte cannot be reached: it, or a proxy in front of it, fails. These are the last syncs that are" in page
    assert "stored, as of <time" in page
    assert jobs(page) == jobs(live) == numbers[::-1]
    assert page.count('<figure class="chart">') == live.count('<figure class="chart">') == 2
    assert "Last 30 days: 2 syncs, 1 failed." in page
    assert "Sync now" in page
    assert "jobs.csv" not in page
    assert 'data-live="30"' in page
    assert jobs(await seen(member, f"{path_of(ours)}?status=failed")) == numbers[:1]
    assert jobs(await seen(member, f"{path_of(ours)}?from=2026-04-01")) == numbers[1:]


async def test_where_nothing_is_stored_the_page_says_why_it_has_no_history(
    world: World, member: httpx2.AsyncClient
) -> None:
    ours, _ = await world.mapped_connection()
    world.sandbox.faults.answer_with(Answer.html(503), times=100)

    page = await seen(member, path_of(ours))

    assert "Airbyte cannot be reached: it, or a proxy in front of it, fails, so the job history cannot be shown" in page


async def test_what_is_stored_of_another_client_s_connection_stays_his(
    world: World, member: httpx2.AsyncClient
) -> None:
    await world.services.clients.add(slug="other", name="Other", plan="free")
    ours, theirs = await world.mapped_connection("other")
    number = add_job(world, theirs)
    await world.services.store.last_syncs.require_backfill(airbyte_ids=[theirs])
    world.clock.advance(6)
    await world.services.syncs.last_sync.ensure_fresh(2)
    await quiet()
    world.sandbox.faults.answer_with(Answer.html(503), times=100)

    assert (await member.get(path_of(ours))).status_code == 404
    assert (await member.get(f"{path_of(ours)}/jobs/{number}")).status_code == 404


async def test_the_history_is_of_the_days_in_the_address(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    days = {number: add_job(world, theirs, hours_ago=24 * number + 1) for number in range(5)}

    async def shown(query: str) -> list[int]:
        return jobs(await seen(member, f"{path_of(ours)}?{query}"))

    # It is 03:00 on the first of April.
    assert await shown("from=2026-03-30&to=2026-03-31") == [days[1], days[2]]
    assert await shown("to=2026-03-29") == [days[3], days[4]]
    assert await shown("from=2026-04-01&status=failed") == []
    assert (await member.get(f"{path_of(ours)}?from=never")).status_code == 400
    table = await member.get(f"{path_of(ours)}/jobs.csv?from=2026-03-30&to=2026-03-31")
    assert [row.split(",")[0] for row in table.text.splitlines()[1:]] == [str(days[1]), str(days[2])]


async def test_many_jobs_of_chosen_days_come_in_pages(world: World, member: httpx2.AsyncClient) -> None:
    ours, theirs = await world.mapped_connection()
    numbers = [add_job(world, theirs, hours_ago=30 + number / 10) for number in range(JOB_ROWS + 1)]
    add_job(world, theirs)

    first = await seen(member, f"{path_of(ours)}?to=2026-03-31")
    (older,) = re.findall(r'rel="next" href="[^"?]*([^"]*)"', first)
    second = await seen(member, path_of(ours) + unescape(older))

    assert jobs(first) == numbers[:JOB_ROWS]
    assert jobs(second) == numbers[JOB_ROWS:]


async def test_that_a_sync_has_started_is_told_until_it_ends(world: World, member: httpx2.AsyncClient) -> None:
    ours, _ = await world.mapped_connection()
    answer = await trigger(member, ours)
    path = str(answer.request.url.join(answer.headers["location"]))

    began = await seen(member, path)
    world.clock.advance(7200)
    ended = await seen(member, path)

    assert "has started" in notice(began)
    assert '<div id="told" data-live="5">' in began
    assert notice(ended) == ""


async def test_a_page_waits_for_airbyte_no_longer_than_it_may(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, page_timings=PageTimings(job_list=0.0)) as world:
        await world.services.clients.add(slug="acme", name="Acme", plan="free")
        member = await signed_in(world, "acme")
        ours, _ = await world.mapped_connection()

        page = await seen(member, path_of(ours))

    assert "Airbyte did not answer in time, so the job history cannot be shown now." in page


async def test_the_page_of_a_connection_that_is_given_to_another_client_meanwhile_is_not_found(
    world: World, member: httpx2.AsyncClient
) -> None:
    ours, theirs = await world.mapped_connection()
    add_job(world, theirs)
    await world.services.clients.add(slug="other", name="Other", plan="free")
    await seen(member, path_of(ours))
    world.sandbox.requests.clear()
    world.sandbox.faults.get_hang = release = asyncio.Event()

    asking = asyncio.create_task(member.get(path_of(ours)))
    await world.until_airbyte_is_asked("GET", "/jobs")
    world.sandbox.faults.get_hang = None
    await world.services.connections.remove(ours)
    await world.services.connections.add("other", connector_type="x", label="Shop", airbyte_id=theirs)
    release.set()
    answer = await asking

    assert answer.status_code == 404


async def test_a_log_that_cannot_be_written_takes_no_started_sync_away(
    world: World, member: httpx2.AsyncClient
) -> None:
    ours, theirs = await world.mapped_connection()
    with closing(connect(world.services.settings.database_path)) as database:
        database.execute("CREATE TRIGGER broken BEFORE INSERT ON activity BEGIN SELECT * FROM nowhere; END")

    page = await landed(member, await trigger(member, ours))

    assert notice(page) == f"Sync job {world.jobs_of(theirs)[0]} has started."


async def test_whatever_a_label_holds_stays_text(world: World, member: httpx2.AsyncClient) -> None:
    ours, _ = await world.mapped_connection()
    client = await world.services.store.clients.by_slug("acme")
    await world.services.store.connections.rename(client.id, ours, label=NASTY)

    page = await seen(member, path_of(ours))

    assert "<script>alert" not in page
    assert unescape(re.findall(r"<h1><bdi>(.*?)</bdi></h1>", page)[0]) == NASTY
