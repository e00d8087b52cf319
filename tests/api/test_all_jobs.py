"""GET /api/v1/jobs: jobs of all of the client's connections."""

import asyncio
import re

import pytest

from gateway.airbyte import MAX_JOBS
from gateway.provisioning.keys import NewKey
from gateway.sandbox import Answer
from gateway.syncs.cursor import INVALID_CURSOR
from gateway.syncs.cursor_seal import SEALED_PATTERN
from gateway.syncs.merged_jobs import MOST_ROUNDS
from tests.support import World, bearer

WRONG_TIME = "updatedSince must be a time with its offset, such as 2026-04-01T03:00:00Z; in a URL a + is written as %2B"


async def walked(world: World, key: NewKey, url: str) -> list[list[int]]:
    """The ids of the jobs of each page, by the links."""
    pages = []
    following: str | None = url
    while following is not None:
        answer = await world.http.get(following, headers=bearer(key))
        assert answer.status_code == 200, answer.text
        pages.append([job["jobId"] for job in answer.json()["data"]])
        link = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers.get("link", ""))
        following = link[1] if link else None
    return pages


async def connection_in(world: World, workspace: str, slug: str = "acme") -> tuple[str, str]:
    """A connection of the client's in a workspace of Airbyte's: our id and Airbyte's."""
    theirs = world.sandbox.world.add_connection(workspace)
    added = await world.services.connections.add(
        slug, connector_type="shopify", label="Shop", airbyte_id=theirs.connection_id
    )
    return added.connection.id, theirs.connection_id


def job_at(world: World, airbyte_id: str, minutes_ago: float, **more: object) -> int:
    created_at = world.clock.now().timestamp() - 60 * minutes_ago
    return world.sandbox.world.add_job(
        airbyte_id,
        created_at=created_at,
        duration_seconds=30,
        **more,  # type: ignore[arg-type]
    ).job_id


async def test_lists_jobs_of_all_of_the_client_s_connections_newest_first_with_the_eight_keys(world: World) -> None:
    key = await world.client_with_key()
    _, first = await world.mapped_connection()
    _, second = await connection_in(world, world.sandbox.world.add_workspace("Another").workspace_id)
    jobs = [job_at(world, each, 60 - number) for number, each in enumerate((first, second, second, first))]

    answer = await world.http.get("/api/v1/jobs", headers=bearer(key))

    rows = answer.json()["data"]
    assert [row["jobId"] for row in rows] == jobs[::-1]
    assert list(rows[0]) == [
        *("jobId", "connectionId", "status", "jobType", "startTime", "bytesSynced", "rowsSynced", "duration")
    ]
    assert "link" not in answer.headers
    assert "warning" not in answer.headers


async def test_each_job_has_our_id_of_its_connection_where_it_is_asked_for(world: World) -> None:
    key = await world.client_with_key()
    ours = dict([await world.mapped_connection(), await world.mapped_connection()])
    for theirs in ours.values():
        job_at(world, theirs, 10)

    rows = (await world.http.get("/api/v1/jobs?include=connection", headers=bearer(key))).json()["data"]

    assert {row["connection"]: row["connectionId"] for row in rows} == ours
    assert list(rows[0])[-2:] == ["duration", "connection"]


async def test_it_costs_airbyte_one_call_for_the_client_s_own_workspaces(world: World) -> None:
    key = await world.client_with_key()
    await world.mapped_connection()
    await world.mapped_connection()
    own = next(iter(world.sandbox.world.workspaces))
    world.sandbox.world.add_workspace("Somebody's")
    world.sandbox.requests.clear()

    await world.http.get("/api/v1/jobs?updatedSince=2026-04-01T02:00:00%2B02:00&status=failed", headers=bearer(key))

    (request,) = world.sandbox.requests
    assert request.query == (
        f"workspaceIds={own}&orderBy=createdAt%7CDESC&limit=22&offset=0&jobType=sync&status=failed"
        "&updatedAtStart=2026-04-01T00:00:00Z"
    )


@pytest.mark.parametrize("limit", [1, 20, 98])
async def test_a_page_with_more_behind_it_costs_one_call(world: World, limit: int) -> None:
    key = await world.client_with_key()
    _, mine = await world.mapped_connection()
    for number in range(120):
        job_at(world, mine, 200 - number)
    await world.http.get("/api/v1/jobs?limit=1", headers=bearer(key))
    world.sandbox.requests.clear()

    answer = await world.http.get(f"/api/v1/jobs?limit={limit}", headers=bearer(key))

    assert len(answer.json()["data"]) == limit
    assert "link" in answer.headers
    assert len(world.sandbox.requests) == 1


async def test_another_client_s_jobs_in_the_same_workspace_are_never_shown(world: World) -> None:
    key, other = await world.client_with_key(), await world.client_with_key("other")
    _, mine = await world.mapped_connection()
    _, theirs = await world.mapped_connection("other")
    unmapped = world.sandbox.world.add_connection(next(iter(world.sandbox.world.workspaces))).connection_id
    for number, each in enumerate((mine, theirs, unmapped) * 3):
        job_at(world, each, 60 - number)

    assert await walked(world, key, "/api/v1/jobs?limit=2") == [[7, 4], [1]]
    assert await walked(world, other, "/api/v1/jobs") == [[8, 5, 2]]


async def test_jobs_behind_very_many_of_others_are_reached_by_short_pages(world: World) -> None:
    key = await world.client_with_key()
    await world.client_with_key("other")
    _, mine = await world.mapped_connection()
    _, theirs = await world.mapped_connection("other")
    oldest = job_at(world, mine, 10_000)
    for number in range(MAX_JOBS * MOST_ROUNDS + 50):
        job_at(world, theirs, 9_000 - number)
    newest = job_at(world, mine, 1)
    world.sandbox.requests.clear()

    pages = await walked(world, key, "/api/v1/jobs")

    assert pages == [[newest], [oldest]]
    assert len([each for each in world.sandbox.requests if each.path.endswith("/jobs")]) <= 2 * MOST_ROUNDS


async def test_a_cursor_tells_nothing_of_another_client_s_jobs_and_is_good_for_its_client_alone(world: World) -> None:
    key, other = await world.client_with_key(), await world.client_with_key("other")
    _, mine = await world.mapped_connection()
    _, theirs = await world.mapped_connection("other")
    oldest = job_at(world, mine, 10_000)
    for number in range(MAX_JOBS * MOST_ROUNDS + 50):
        job_at(world, theirs, 9_000 - number)

    first, again = [await world.http.get("/api/v1/jobs", headers=bearer(key)) for _ in range(2)]
    cursors = [re.findall("cursor=([^>]*)>", answer.headers["link"])[0] for answer in (first, again)]
    pages = [await world.http.get(f"/api/v1/jobs?cursor={each}", headers=bearer(key)) for each in cursors]
    refused = [
        await world.http.get(f"/api/v1/jobs?cursor={cursors[0]}", headers=bearer(other)),
        await world.http.get("/api/v1/jobs?cursor=1775012400-4711", headers=bearer(key)),
    ]

    assert first.json() == {"data": []}
    assert all(re.fullmatch(SEALED_PATTERN, each) for each in cursors)
    assert cursors[0] != cursors[1]
    assert [[job["jobId"] for job in page.json()["data"]] for page in pages] == [[oldest], [oldest]]
    assert [(each.status_code, each.json()["error"]) for each in refused] == [
        (404, "No such page: pass the cursor from the Link header unchanged"),
        (400, INVALID_CURSOR),
    ]


async def test_a_second_with_more_jobs_than_are_read_at_once_is_passed(world: World) -> None:
    key = await world.client_with_key()
    await world.client_with_key("other")
    _, mine = await world.mapped_connection()
    _, theirs = await world.mapped_connection("other")
    oldest = job_at(world, mine, 10)
    for _ in range(MAX_JOBS * MOST_ROUNDS + 50):
        job_at(world, theirs, 5)
    newest = job_at(world, mine, 1)

    pages = await walked(world, key, "/api/v1/jobs")

    assert [job for page in pages for job in page] == [newest, oldest]


async def test_a_client_without_mapped_connections_asks_nothing(world: World) -> None:
    key = await world.client_with_key()
    await world.services.connections.add("acme", connector_type="shopify", label="Later", airbyte_id=None)
    world.sandbox.requests.clear()

    answer = await world.http.get("/api/v1/jobs", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (200, {"data": []})
    assert not world.sandbox.requests


async def test_a_connection_that_is_taken_away_meanwhile_is_not_shown(world: World) -> None:
    key = await world.client_with_key()
    await world.client_with_key("other")
    ours, theirs = await world.mapped_connection()
    _, kept = await world.mapped_connection()
    job_at(world, theirs, 9)
    staying = job_at(world, kept, 5)
    world.sandbox.faults.get_hang = asyncio.Event()
    world.sandbox.requests.clear()
    call = asyncio.create_task(world.http.get("/api/v1/jobs", headers=bearer(key)))
    await world.until_airbyte_is_asked("GET", "/jobs")

    await world.services.connections.remove(ours)
    world.sandbox.faults.get_hang.set()

    assert [job["jobId"] for job in (await call).json()["data"]] == [staying]


async def test_updated_since_shows_what_changed_since_however_old_the_job_is(world: World) -> None:
    key = await world.client_with_key()
    _, theirs = await world.mapped_connection()
    now = world.clock.now().timestamp()
    long = world.sandbox.world.add_job(theirs, created_at=now - 7200, duration_seconds=7000).job_id
    job_at(world, theirs, 60)

    assert await walked(world, key, "/api/v1/jobs?updatedSince=2026-04-01T02:50:00Z") == [[long]]


NO_TIMES = [
    "2026-04-01T03:00:00",
    "2026-04-01",
    "yesterday",
    "1775012400",
    "2026-04-01T03:00:00+02:00",
    "2026-13-01T03:00:00Z",
    "2026-04-01T25:00:00Z",
    "0001-01-01T00:00:00%2B23:59",
    "2026-04-01T03:00:00Z%0a",
    "2026-W14-3T03:00:00Z",
]


async def test_a_time_that_is_none_or_has_no_offset_is_refused_with_what_is_right(world: World) -> None:
    key = await world.client_with_key()
    await world.mapped_connection()
    world.sandbox.requests.clear()

    for time in NO_TIMES:
        answer = await world.http.get(f"/api/v1/jobs?updatedSince={time}", headers=bearer(key))

        assert (answer.status_code, answer.json()) == (400, {"error": WRONG_TIME}), time
    assert not world.sandbox.requests


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-04-01t03:00:00z"])
async def test_any_time_of_the_calendar_is_taken(world: World, time: str) -> None:
    key = await world.client_with_key()
    await world.mapped_connection()

    assert (await world.http.get(f"/api/v1/jobs?updatedSince={time}", headers=bearer(key))).status_code == 200


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("include=failure", "include must be connection"),
        ("cursor=20.5", "Invalid cursor: pass the one from the Link header unchanged"),
        ("jobType=x", "jobType must be one or more of sync, refresh, clear, reset, separated by commas"),
        ("updatedSince=2026-04-01T03:00:00Z&updatedSince=2026-04-01T03:00:00Z", "updatedSince is given more than once"),
    ],
)
async def test_a_bad_parameter_is_named(world: World, query: str, message: str) -> None:
    key = await world.client_with_key()

    answer = await world.http.get(f"/api/v1/jobs?{query}", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (400, {"error": message})


async def test_more_workspaces_than_a_call_takes_are_merged(world: World) -> None:
    key = await world.client_with_key()
    expected = []
    for number in range(103):
        workspace = world.sandbox.world.add_workspace(f"Work {number}").workspace_id
        _, theirs = await connection_in(world, workspace)
        expected.append(job_at(world, theirs, 200 - number))
    world.sandbox.requests.clear()

    first = await world.http.get("/api/v1/jobs?limit=100", headers=bearer(key))

    assert len([each for each in world.sandbox.requests if each.path.endswith("/jobs")]) == 2
    assert [job["jobId"] for job in first.json()["data"]] == expected[::-1][:100]
    assert [job for page in await walked(world, key, "/api/v1/jobs?limit=9") for job in page] == expected[::-1]


async def test_a_workspace_that_airbyte_refuses_costs_the_others_nothing_and_a_warning_says_so(world: World) -> None:
    key = await world.client_with_key()
    lost = world.sandbox.world.add_workspace("Lost").workspace_id
    await connection_in(world, lost)
    _, kept = await connection_in(world, world.sandbox.world.add_workspace("Kept").workspace_id)
    job = job_at(world, kept, 5)
    world.sandbox.faults.user_mode = True
    del world.sandbox.world.workspaces[lost]

    answer = await world.http.get("/api/v1/jobs", headers=bearer(key))

    assert [row["jobId"] for row in answer.json()["data"]] == [job]
    assert answer.headers["warning"] == '110 - "Response is Stale"'


async def test_a_client_all_of_whose_workspaces_are_refused_gets_no_empty_list(world: World) -> None:
    key = await world.client_with_key()
    await world.mapped_connection()
    world.sandbox.faults.answer_with(Answer(403, body=b"{}"), when=lambda _, path: path.endswith("/jobs"))

    answer = await world.http.get("/api/v1/jobs", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (502, {"error": "Upstream service unreachable"})


async def test_simultaneous_readers_share_one_call(world: World) -> None:
    key = await world.client_with_key()
    await world.mapped_connection()
    await world.http.get("/api/v1/jobs", headers=bearer(key))
    world.sandbox.requests.clear()

    answers = await world.simultaneously("GET", "/api/v1/jobs", [key] * 32)

    assert {answer.status_code for answer in answers} == {200}
    assert len([each for each in world.sandbox.requests if each.path.endswith("/public/v1/jobs")]) == 1
