"""Merge several of Airbyte's job lists into one that is paged by offset, in whatever order each of them has."""

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence

import msgspec

from gateway.airbyte import MAX_JOBS, JobList
from gateway.airbyte.paths import JobOrder
from gateway.airbyte.rows import Page
from gateway.errors import UpstreamRefused
from gateway.models import EndedJob
from gateway.syncs.job_place import Offset, Place
from gateway.syncs.together import together

MOST_READINGS = 10
"""Pages of each of Airbyte's lists that one of ours reads: beyond them it is short, and says where to go on."""
QUEUED = "queued"
"""Older Airbytes do not know this status."""
NOT_ENDED = "9"
"""Later than any time: it is not told when a job changed last that goes on."""

ReadPage = Callable[[JobList, int], Awaitable[Page[EndedJob]]]


class Merged(msgspec.Struct, frozen=True):
    """Jobs in the order asked for; `next` is where the page after starts, None at the end.

    `is_whole`: Airbyte told of all connections.
    """

    jobs: list[EndedJob]
    next: Place | None
    is_whole: bool = True


class _List:
    """One of Airbyte's lists, used up to an offset."""

    def __init__(self, jobs: JobList, own: Collection[str], offset: Offset) -> None:
        self.jobs = jobs
        self.offset = offset
        self.ahead: deque[EndedJob] = deque()
        self.refusal: UpstreamRefused | None = None
        self._own = own
        self._sent = 0
        self._is_at_end = False

    @property
    def is_due(self) -> bool:
        """Whether nothing is known of the list's next job."""
        return not self.ahead and not self._is_at_end

    async def read(self, read_page: ReadPage) -> None:
        """Read a page. Raises UpstreamError; a connection, or a status, that Airbyte does not tell of has no jobs."""
        try:
            page = await read_page(self.jobs, self.offset.page)
        except UpstreamRefused as refusal:
            if self.jobs.airbyte_id is None and self.jobs.status != QUEUED:
                raise
            self.refusal, self._is_at_end = refusal, True
            return
        self._sent = page.sent
        self.ahead.extend([job for job in page.rows if job.connection_id in self._own][self.offset.taken :])
        self._leave_page()

    def take(self) -> EndedJob:
        """Return the next job, and use it up."""
        job = self.ahead.popleft()
        self.offset = Offset(self.offset.page, self.offset.taken + 1)
        self._leave_page()
        return job

    def _leave_page(self) -> None:
        if self.ahead:
            return
        if self._sent < MAX_JOBS:
            self._is_at_end = True
        else:
            self.offset = Offset(self.offset.page + self._sent)


async def merge(
    asked: Sequence[tuple[JobList, Collection[str]]], read_page: ReadPage, start: Place, *, limit: int
) -> Merged:
    """Return the jobs of all lists that come after a place, each with the connections whose jobs are wanted of it.

    Each round reads all lists of which the next job is not known. So each page gets on, even one without a job.
    Raises UpstreamError.
    """
    lists = [_List(jobs, own, offset) for (jobs, own), offset in zip(asked, start.offsets, strict=True)]
    rows: list[EndedJob] = []
    to_skip = start.to_skip
    for _ in range(MOST_READINGS):
        await together(each.read(read_page) for each in lists if each.is_due)
        refusals = [each.refusal for each in lists if each.refusal]
        if len(refusals) == len(lists):
            raise refusals[0]
        while not any(each.is_due for each in lists):
            following = _first([each for each in lists if each.ahead])
            if following is None:
                return Merged(rows, None, _is_whole(lists))
            if to_skip:
                following.take()
                to_skip -= 1
            elif len(rows) < limit:
                rows.append(following.take())
            else:
                return Merged(rows, _place_of(lists, start, rows, to_skip), _is_whole(lists))
    return Merged(rows, _place_of(lists, start, rows, to_skip), _is_whole(lists))


def _is_whole(lists: Sequence[_List]) -> bool:
    """Return whether nothing is missing: jobs of a status that Airbyte does not know are not."""
    return not any(each.refusal and each.jobs.status != QUEUED for each in lists)


def _place_of(lists: Sequence[_List], start: Place, rows: Sequence[EndedJob], to_skip: int) -> Place:
    return Place(start.shown + len(rows), to_skip, [each.offset for each in lists])


def _first(lists: Sequence[_List]) -> _List | None:
    """Return the list that has the next job of all."""
    if not lists:
        return None
    order = lists[0].jobs.order
    pick = min if order.endswith("ASC") else max
    return pick(lists, key=lambda each: _order(each.ahead[0], order))


def _order(job: EndedJob, order: JobOrder) -> tuple[str, int]:
    time = job.start_time or "" if order.startswith("created") else job.end_time or NOT_ENDED
    return time, job.job_id
