"""Pages that are merged of several lists, each of which shows its jobs in its own pace and ties by chance."""

import random
from datetime import UTC, datetime

from gateway.airbyte import JobList
from gateway.airbyte.rows import Page
from gateway.models import EndedJob
from gateway.syncs.cursor import Position
from gateway.syncs.merged_jobs import merged_page
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
