"""Pages that are merged of several lists, each of which shows its jobs in its own pace and ties by chance."""

import random
from datetime import UTC, datetime
from http import HTTPStatus

import pytest

from gateway.airbyte import MAX_JOBS, JobList
from gateway.airbyte.rows import Page
from gateway.errors import UpstreamInvalid, UpstreamRefused
from gateway.models import EndedJob
from gateway.syncs.cursor import Position
from gateway.syncs.merged_jobs import MOST_ROUNDS, merged_page
from gateway.times import format_time

OWN, FOREIGN = "own", "foreign"


def job(job_id: int, second: int, connection: str = OWN) -> EndedJob:
    start = format_time(datetime.fromtimestamp(second, UTC))
    return EndedJob(job_id, connection, "succeeded", "sync", start, None, None, None, None)


class Upstream:
    """Lists by their type; jobs of one second come in another order with each call."""

    def __init__(self, seed: int = 1, **lists: list[EndedJob]) -> None:
        self._lists = lists
        self._draw = random.Random(seed)

    async def read_page(self, jobs: JobList, size: int, offset: int, until: datetime | None) -> Page[EndedJob]:
        end = None if until is None else format_time(until)
        rows = [row for row in self._lists[jobs.job_type or ""] if end is None or (row.start_time or "") <= end]
        rows.sort(key=lambda row: (row.start_time, self._draw.random()), reverse=True)
        page = rows[offset : offset + size]
        return Page(page, len(page))

    async def walked(self, *, limit: int) -> list[int]:
        """The ids of all pages, one after the other."""
        seen: list[int] = []
        after: Position | None = None
        while True:
            page = await merged_page(
                [JobList(airbyte_id=OWN, job_type=name) for name in self._lists],
                self.read_page,
                lambda row: row.connection_id == OWN,
                limit=limit,
                after=after,
            )
            seen += [row.job_id for row in page.jobs]
            after = page.next
            if after is None:
                return seen


async def test_a_list_that_has_shown_only_others_jobs_is_read_on_before_an_older_job_is_shown() -> None:
    behind = [job(9, 100, FOREIGN), job(8, 99, FOREIGN), job(7, 98, FOREIGN), job(6, 50)]
    upstream = Upstream(sync=behind, refresh=[job(5, 10), job(4, 9), job(3, 8)])

    assert await upstream.walked(limit=1) == [6, 5, 4, 3]


async def test_jobs_of_one_second_are_each_shown_once_in_whatever_order_they_come() -> None:
    for seed in range(30):
        upstream = Upstream(
            seed,
            sync=[job(number, 1000 + number // 7) for number in range(0, 60, 2)],
            refresh=[job(number, 1000 + number // 7) for number in range(1, 60, 2)],
        )

        assert await upstream.walked(limit=4) == list(range(59, -1, -1))


async def test_the_end_is_told_with_the_last_job() -> None:
    page = await merged_page(
        [JobList(airbyte_id=OWN, job_type="sync")],
        Upstream(sync=[job(2, 5), job(1, 4)]).read_page,
        lambda _: True,
        limit=2,
        after=None,
    )

    assert ([row.job_id for row in page.jobs], page.next) == ([2, 1], None)


class SharedWorkspace:
    """One workspace's list; the `odd` jobs are another client's, and of no form that is known."""

    def __init__(self, jobs: list[EndedJob], odd: set[int]) -> None:
        self._jobs = jobs
        self._odd = odd

    async def read_page(self, jobs: JobList, size: int, offset: int, until: datetime | None) -> Page[EndedJob]:
        end = None if until is None else format_time(until)
        sent = [each for each in self._jobs if end is None or (each.start_time or "") <= end][offset : offset + size]
        return Page([each for each in sent if each.job_id not in self._odd], len(sent))

    async def page(self, *, limit: int) -> tuple[list[int], Position | None, bool]:
        """The ids of the first page, where it goes on, and whether it is whole."""
        page = await merged_page(
            [JobList(workspace_ids=("shared",))],
            self.read_page,
            lambda row: row.connection_id == OWN,
            limit=limit,
            after=None,
        )
        return [row.job_id for row in page.jobs], page.next, page.is_whole


async def test_the_newest_jobs_of_a_workspace_are_odd_and_the_list_is_read_on() -> None:
    jobs = [job(9, 100, FOREIGN), job(8, 99, FOREIGN), job(7, 98, FOREIGN), job(6, 50), job(5, 40)]

    assert await SharedWorkspace(jobs, {9, 8, 7}).page(limit=1) == ([6], Position(50, 6), True)


async def test_a_workspace_in_which_no_job_can_be_read_is_passed_over_and_the_page_is_not_whole() -> None:
    few = [job(number, number, FOREIGN) for number in range(3, 0, -1)]
    many = [job(number, number, FOREIGN) for number in range(2 * MOST_ROUNDS * MAX_JOBS, 0, -1)]

    for jobs in (few, many):
        workspace = SharedWorkspace(jobs, {each.job_id for each in jobs})

        assert await workspace.page(limit=1) == ([], None, False)


async def test_a_connection_of_which_no_job_can_be_read_is_no_empty_list() -> None:
    async def read_page(*_: object) -> Page[EndedJob]:
        return Page([], 1)

    with pytest.raises(UpstreamInvalid):
        await merged_page([JobList(airbyte_id=OWN)], read_page, lambda _: True, limit=1, after=None)


async def test_one_workspace_of_a_hundred_is_refused_and_the_jobs_of_all_others_are_shown() -> None:
    workspaces = tuple(map(str, range(100)))

    async def read_page(jobs: JobList, *_: object) -> Page[EndedJob]:
        if "37" in jobs.workspace_ids:
            raise UpstreamRefused(HTTPStatus.FORBIDDEN)
        rows = [job(int(each) + 1, 1000 + int(each)) for each in jobs.workspace_ids]
        return Page(rows, len(rows))

    page = await merged_page([JobList(workspace_ids=workspaces)], read_page, lambda _: True, limit=100, after=None)

    assert sorted(row.job_id for row in page.jobs) == [each for each in range(1, 101) if each != 38]
    assert (page.next, page.is_whole) == (None, False)
