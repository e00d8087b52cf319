"""Merge lists of Airbyte's jobs into one page, newest first.

Airbyte takes one job type in a call, or all, and a hundred workspaces; its offsets shift with each new job. So a page
goes on from the last job shown: its second and its id. Jobs are shown once all lists have been read beyond their
second, as Airbyte orders the jobs of one second by chance.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from http import HTTPStatus
from itertools import chain
from math import inf

import msgspec

from gateway.airbyte import MAX_JOBS, JobList
from gateway.airbyte.rows import Page
from gateway.errors import UpstreamInvalid, UpstreamRefused, UpstreamUnreachable
from gateway.models import EndedJob
from gateway.syncs.cursor import LARGEST_ID, Position
from gateway.syncs.together import together
from gateway.times import parse_time

MOST_ROUNDS = 5
"""Pages of a list that one call reads: beyond them a short page, or an empty one, says where to go on."""
BEFORE_ALL = -1

ReadPage = Callable[[JobList, int, int, datetime | None], Awaitable[Page[EndedJob]]]
"""Reads a page of a list: its size, its offset, and up to when its jobs were created."""


class MergedPage(msgspec.Struct, frozen=True):
    """Jobs, newest first; `next` is None at the end. `is_whole`: every list was told of and read."""

    jobs: list[EndedJob]
    next: Position | None
    is_whole: bool = True


class _List:
    """How far one list has been read, up to a moment."""

    def __init__(self, jobs: JobList, size: int, until: datetime | None) -> None:
        self.jobs = jobs
        self.rows: list[EndedJob] = []
        self.floor = inf
        """The second of the oldest row: older ones, and some of this second, have not been read."""
        self.is_refused = False
        self.is_unreadable = False
        """Whether it has jobs, and none of those that were read has a form that is known."""
        self._size = size
        self._until = until
        self._offset = 0

    async def read(self, read_page: ReadPage) -> "list[_List]":
        """Read on, and return what to go on with: the list itself, or its parts if Airbyte refuses the whole.

        Raises UpstreamInvalid if no job of a connection could be read, and what `read_page` raises. A workspace's odd
        jobs may all be another client's.
        """
        try:
            page = await read_page(self.jobs, self._size, self._offset, self._until)
        except UpstreamRefused as refusal:
            if refusal.upstream_status != HTTPStatus.FORBIDDEN or not self.jobs.workspace_ids:
                raise
            return await _read(self._halves(), read_page) or self._refused()
        self.rows += [job for job in page.rows if job.start_time]
        self.is_unreadable = not self.rows and (self.is_unreadable or page.sent > 0)
        if self.is_unreadable and self.jobs.airbyte_id is not None:
            raise UpstreamInvalid(detail="no job of a page could be read")
        if page.sent < self._size:
            self.floor = BEFORE_ALL
        else:
            self._go_on(page.sent)
        return [self]

    def _go_on(self, sent: int) -> None:
        """Begin the next page with the whole of the second that this one ends in, unless it has no other."""
        self._offset += sent
        self._size = MAX_JOBS
        if self.rows and (floor := min(map(_second, self.rows))) < self.floor:
            self._offset, self.floor, self._until = 0, floor, Position(floor, 0).until

    def give_up(self) -> None:
        """Leave a list of which nothing could be read so far."""
        if self.is_unreadable:
            self.floor = BEFORE_ALL

    def _refused(self) -> "list[_List]":
        self.is_refused, self.floor = True, BEFORE_ALL
        return [self]

    def _halves(self) -> "list[_List]":
        """Return the list as two, to find which of its workspaces Airbyte refuses; nothing of a single one."""
        workspaces = self.jobs.workspace_ids
        if len(workspaces) == 1:
            return []
        middle = len(workspaces) // 2
        halves = (workspaces[:middle], workspaces[middle:])
        return [
            _List(msgspec.structs.replace(self.jobs, workspace_ids=half), self._size, self._until) for half in halves
        ]


async def merged_page(
    asked: Sequence[JobList],
    read_page: ReadPage,
    is_wanted: Callable[[EndedJob], bool],
    *,
    limit: int,
    after: Position | None,
) -> MergedPage:
    """Return the wanted jobs of all lists that come after a position. Raises what `read_page` raises.

    Raises UpstreamUnreachable if Airbyte refuses every list, UpstreamInvalid if no job of a connection can be read.
    """
    # One more shows that there are others; and of the last row's second not all may have been read.
    size = min(limit + 2, MAX_JOBS)
    lists = [_List(jobs, size, None if after is None else after.until) for jobs in asked]
    found: list[EndedJob] = []
    floor = _floor(lists)
    for _ in range(MOST_ROUNDS):
        due = [each for each in lists if each.floor == floor]
        rest = [each for each in lists if each.floor != floor]
        lists = rest + await _read(due, read_page)
        floor = _floor(lists)
        found = _found(lists, is_wanted, after, floor)
        if len(found) > limit or floor == BEFORE_ALL:
            break
    else:
        for each in lists:
            each.give_up()
        floor = _floor(lists)
        found = _found(lists, is_wanted, after, floor)
    if lists and all(each.is_refused for each in lists):
        raise UpstreamUnreachable(detail="403: the credential may not read these workspaces")
    if after is not None and floor >= after.second:
        # One second has more jobs than are read at once: show what there is of it, and go on.
        floor = after.second - 1
        found = _found(lists, is_wanted, after, floor)
    is_whole = not any(each.is_refused or each.is_unreadable for each in lists)
    return MergedPage(found[:limit], _next(found, limit, floor), is_whole)


async def _read(lists: Iterable[_List], read_page: ReadPage) -> list[_List]:
    """Read a page of each list, at the same time, and return what to go on with."""
    return [*chain.from_iterable(await together(each.read(read_page) for each in lists))]


def _found(
    lists: Iterable[_List], is_wanted: Callable[[EndedJob], bool], after: Position | None, floor: float
) -> list[EndedJob]:
    """Return the wanted jobs after a position and of later seconds than `floor`, newest first, each once."""
    jobs = {job.job_id: job for each in lists for job in each.rows if is_wanted(job)}
    ready = (job for job in jobs.values() if _second(job) > floor and (after is None or _order(job) < after.order))
    return sorted(ready, key=_order, reverse=True)


def _next(found: list[EndedJob], limit: int, floor: float) -> Position | None:
    if len(found) > limit:
        return Position(*_order(found[limit - 1]))
    return None if floor == BEFORE_ALL else Position(int(floor), LARGEST_ID)


def _floor(lists: Iterable[_List]) -> float:
    return max((each.floor for each in lists), default=BEFORE_ALL)


def _order(job: EndedJob) -> tuple[int, int]:
    return _second(job), job.job_id


def _second(job: EndedJob) -> int:
    return int(parse_time(job.start_time or "").timestamp())
