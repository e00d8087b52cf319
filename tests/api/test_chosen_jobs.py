"""GET /api/v1/connections/{id}/jobs with jobType or include."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from gateway.api.job_query import NO_TIME
from gateway.provisioning.keys import NewKey
from gateway.sandbox.failures import CREDENTIALS_REFUSED, DESTINATION_TIMEOUT, PLANTED_PASSWORD
from gateway.sandbox.faults import ConfigApi
from gateway.sandbox.records import JobType
from gateway.syncs.failure_text import HIDDEN
from tests.support import NEVER_OURS, World, bearer

TYPES: list[JobType] = ["sync", "refresh", "reset", "clear"]


async def walked(world: World, key: NewKey, url: str) -> list[list[dict[str, object]]]:
    """The pages from the first to the last, by their links."""
    pages = []
    following: str | None = url
    while following is not None:
        answer = await world.http.get(following, headers=bearer(key))
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()["data"])
        link = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers.get("link", ""))
        following = link[1] if link else None
    return pages


def ids(pages: list[list[dict[str, object]]]) -> list[object]:
    return [job["jobId"] for page in pages for job in page]


async def many_jobs(world: World, count: int, *, apart: float = 60.0) -> tuple[NewKey, str, str]:
    """A client's key, where the jobs of its connection are listed, and Airbyte's id; jobs of each type in turn."""
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    now = world.clock.now().timestamp()
    for number in range(count):
        world.sandbox.world.add_job(
            theirs, created_at=now - apart * (count - number), duration_seconds=1, job_type=TYPES[number % 4]
        )
    return key, f"/api/v1/connections/{ours}/jobs", theirs


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("sync", {"sync"}),
        ("refresh", {"refresh"}),
        ("sync,refresh", {"sync", "refresh"}),
        ("refresh,sync", {"sync", "refresh"}),
        ("clear", {"clear", "reset"}),
        ("reset", {"clear", "reset"}),
        ("sync,refresh,clear,reset", {"sync", "refresh", "clear", "reset"}),
    ],
)
async def test_shows_the_types_that_are_asked_for_newest_first(world: World, asked: str, shown: set[str]) -> None:
    key, url, _ = await many_jobs(world, 12)

    (page,) = await walked(world, key, f"{url}?jobType={asked}")

    assert {job["jobType"] for job in page} == shown
    assert ids([page]) == [number for number in range(12, 0, -1) if TYPES[(number - 1) % 4] in shown]
    assert list(page[0])[-1] == "duration"
    assert len(page[0]) == 8


@pytest.mark.parametrize("apart", [60.0, 0.3, 0.0])
async def test_following_the_link_gives_every_job_of_several_types_once(world: World, apart: float) -> None:
    key, url, _ = await many_jobs(world, 21, apart=apart)
    expected = [number for number in range(21, 0, -1) if TYPES[(number - 1) % 4] in {"sync", "refresh"}]

    for limit in (1, 2, 3, 7, 100):
        pages = await walked(world, key, f"{url}?jobType=sync,refresh&limit={limit}")

        assert ids(pages) == expected, limit
        assert all(len(page) <= limit for page in pages), limit


async def test_jobs_that_start_while_paging_neither_repeat_nor_hide_one(world: World) -> None:
    key, url, theirs = await many_jobs(world, 16)
    answer = await world.http.get(f"{url}?jobType=sync,refresh&limit=2", headers=bearer(key))
    seen = [job["jobId"] for job in answer.json()["data"]]
    while "link" in answer.headers:
        for job_type in TYPES:
            world.sandbox.world.add_job(theirs, created_at=world.clock.now().timestamp(), job_type=job_type)
        answer = await world.http.get(answer.headers["link"][1:].partition(">")[0], headers=bearer(key))
        seen += [job["jobId"] for job in answer.json()["data"]]

    assert seen == [14, 13, 10, 9, 6, 5, 2, 1]


async def test_all_types_are_one_call_to_airbyte(world: World) -> None:
    key, url, theirs = await many_jobs(world, 4)
    world.sandbox.requests.clear()

    await world.http.get(f"{url}?jobType=sync,refresh,clear,reset", headers=bearer(key))

    (request,) = world.sandbox.requests
    assert request.query == f"connectionId={theirs}&orderBy=createdAt%7CDESC&limit=22&offset=0"


async def test_the_link_keeps_what_was_asked_for(world: World) -> None:
    key, url, _ = await many_jobs(world, 12)

    answer = await world.http.get(
        f"{url}?jobType=sync,reset&status=succeeded&limit=1&include=failure", headers=bearer(key)
    )

    assert re.search(
        r"\?limit=1&status=succeeded&jobType=sync,reset&include=failure&cursor=[0-9]{10}-[0-9]+>",
        answer.headers["link"],
    )


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("jobType=all", "jobType must be one or more of sync, refresh, clear, reset, separated by commas"),
        ("jobType=sync,", "jobType must be one or more of sync, refresh, clear, reset, separated by commas"),
        ("jobType=SYNC", "jobType must be one or more of sync, refresh, clear, reset, separated by commas"),
        ("jobType=sync&jobType=reset", "jobType is given more than once"),
        ("include=attempts", "include must be failure"),
        ("include=failure,failure", "include must be failure"),
        ("updatedSince=2026-04-01T03:00:00Z", NO_TIME),
        ("include=failure&updatedSince=2026-04-01T03:00:00Z", NO_TIME),
        ("include=failure&limit=0", "limit must be a whole number from 1 to 100"),
        ("include=failure&cursor=20", "Invalid cursor: pass the one from the Link header unchanged"),
        ("jobType=reset&cursor=x", "Invalid cursor: pass the one from the Link header unchanged"),
    ],
)
async def test_a_bad_parameter_is_named_and_airbyte_is_not_asked(world: World, query: str, message: str) -> None:
    key, url, _ = await many_jobs(world, 1)
    world.sandbox.requests.clear()

    answer = await world.http.get(f"{url}?{query}", headers=bearer(key))

    assert (answer.status_code, answer.json()) == (400, {"error": message})
    assert not world.sandbox.requests


async def failed_jobs(world: World) -> tuple[NewKey, str]:
    key = await world.client_with_key()
    ours, theirs = await world.mapped_connection()
    now = world.clock.now().timestamp()
    for hours, failure in ((3, CREDENTIALS_REFUSED), (2, DESTINATION_TIMEOUT)):
        world.sandbox.world.add_job(theirs, status="failed", created_at=now - 3600 * hours, failures=[failure])
    world.sandbox.world.add_job(theirs, created_at=now - 3600)
    return key, f"/api/v1/connections/{ours}/jobs"


async def test_include_failure_adds_end_and_failure_to_each_row(world: World) -> None:
    key, url = await failed_jobs(world)
    plain = (await world.http.get(url, headers=bearer(key))).json()["data"]

    answer = await world.http.get(f"{url}?include=failure", headers=bearer(key))

    rows = answer.json()["data"]
    assert [list(row) for row in rows] == [[*row, "endTime", "failure"] for row in plain]
    assert [{name: row[name] for name in plain[0]} for row in rows] == plain
    assert [row["failure"] and row["failure"]["type"] for row in rows] == [None, "timeout", "credentials"]
    assert rows[0]["endTime"] == "2026-04-01T02:01:00.000Z"
    assert PLANTED_PASSWORD not in answer.text


class RecordingExecutor(ThreadPoolExecutor):
    """Remembers the names of the functions that are called in its threads."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Take what `asyncio.to_thread` submits: a context's `run` with the function as its argument."""
        self.called += [each.__name__ for each in getattr(fn, "args", ())[:1]]
        return super().submit(fn, *args, **kwargs)


@pytest.mark.parametrize(("rest", "masking"), [("?include=failure", "explained"), ("/{}", "detail_of")])
async def test_messages_are_masked_beside_the_event_loop(world: World, rest: str, masking: str) -> None:
    key, url = await failed_jobs(world)
    rows = (await world.http.get(url, headers=bearer(key))).json()["data"]
    executor = RecordingExecutor()
    asyncio.get_running_loop().set_default_executor(executor)

    answer = await world.http.get(f"{url}{rest.format(rows[-1]['jobId'])}", headers=bearer(key))

    assert HIDDEN in answer.text
    assert masking in executor.called


async def test_a_page_of_failures_costs_one_call_to_the_config_api_and_goes_on(world: World) -> None:
    key, url = await failed_jobs(world)
    world.sandbox.requests.clear()

    pages = await walked(world, key, f"{url}?include=failure&limit=1")

    told = [row["failure"] and row["failure"]["type"] for page in pages for row in page]  # type: ignore[index]
    assert told == [None, "timeout", "credentials"]
    asked = [request.path for request in world.sandbox.requests if request.path == "/api/v1/jobs/list"]
    assert len(asked) == len(pages)


async def test_failures_of_a_status_are_found_however_far_back(world: World) -> None:
    key, url = await failed_jobs(world)

    (page,) = await walked(world, key, f"{url}?include=failure&status=failed")

    assert [row["failure"] and row["failure"]["type"] for row in page] == ["timeout", "credentials"]  # type: ignore[index]


@pytest.mark.parametrize("state", ["absent", "forbidden", "other shape"])
async def test_without_the_config_api_rows_have_their_ends_and_no_failure(world: World, state: ConfigApi) -> None:
    key, url = await failed_jobs(world)
    world.sandbox.faults.config_api = state

    rows = (await world.http.get(f"{url}?include=failure", headers=bearer(key))).json()["data"]

    assert [(row["endTime"] is None, row["failure"]) for row in rows] == [(False, None)] * 3


async def test_a_list_without_include_asks_the_config_api_nothing(world: World) -> None:
    key, url = await failed_jobs(world)
    world.sandbox.requests.clear()

    await world.http.get(url, headers=bearer(key))
    await world.http.get(f"{url}?jobType=sync,reset", headers=bearer(key))

    assert not [request for request in world.sandbox.requests if request.path.startswith("/api/v1/")]


async def test_a_foreign_connection_is_not_found_and_airbyte_is_not_asked(world: World) -> None:
    key, _, _ = await many_jobs(world, 1)
    world.sandbox.requests.clear()

    answer = await world.http.get(f"/api/v1/connections/{NEVER_OURS}/jobs?include=failure", headers=bearer(key))

    assert (answer.status_code, answer.content) == (404, b'{"error":"Connection not found"}')
    assert not world.sandbox.requests
