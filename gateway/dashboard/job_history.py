"""A connection's jobs as its page shows them: what runs, charts, a page of the list, and why the last one failed."""

import asyncio
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from gateway.dashboard.charts import Chart, duration_chart, rows_chart
from gateway.dashboard.client_token import take_client_token
from gateway.dashboard.connections import is_running
from gateway.dashboard.date_range import ONE_DAY, DateRange
from gateway.dashboard.day_strip import DayStrip, day_strip
from gateway.dashboard.job import read_job
from gateway.dashboard.job_csv import MOST_CSV_JOBS
from gateway.dashboard.timings import PageTimings
from gateway.dashboard.upstream_problems import TIMED_OUT, words_of
from gateway.dashboard.volume_page import month_name, recent_months
from gateway.errors import BadRequest, ConnectionNotFound, NotFound, RateLimitExceeded, UpstreamError
from gateway.models import JOB_STATUSES, Client, Connection, Failure, Job, MonthVolume
from gateway.services import services_of
from gateway.syncs.chosen_jobs import SYNCS, Choice, ChosenPage
from gateway.syncs.cursor import Cursor, Position, decode_cursor, decode_position
from gateway.syncs.history import DAYS
from gateway.syncs.jobs import MOST_JOBS
from gateway.syncs.stored_jobs import stored_jobs
from gateway.times import format_time
from gateway.web.disconnect import caller_left
from gateway.web.request_context import upstream_timing

JOB_ROWS = 12
DRAWN_JOBS = MOST_JOBS - 2
"""In the charts of chosen days: as many as one call brings."""

Value = TypeVar("Value")


class Shown(msgspec.Struct, frozen=True):
    """A page of the list; `next` is the text that asks for the one after, empty at the end."""

    jobs: Sequence[Job] = ()
    next: str = ""


class JobHistory(msgspec.Struct, frozen=True):
    """What the page shows of Airbyte's job list; `problem` says why it shows what is stored instead."""

    running: Sequence[Job] = ()
    duration: Chart | None = None
    rows: Chart | None = None
    jobs: Sequence[Job] = ()
    next: str = ""
    problem: str = ""
    failed: Job | None = None
    """The newest job, if it failed."""
    failure: Failure | None = None
    """Why it failed, if that is known."""
    has_reasons: bool = False
    """Whether each of `jobs` has its failure."""
    ended: frozenset[int] = frozenset()
    """The newest jobs that have ended."""
    known_at: str | None = None
    """Of what is stored: as of when it is known, if anybody can say."""
    days: DayStrip | None = None
    """Of what is stored: the last thirty days."""


class HistoryReader:
    """Reads for one page. Operators get the reason of each job, and take none of the client's tokens.

    What they read takes the share of the connection's client at Airbyte, so nobody else waits for it.
    """

    def __init__(
        self, request: Request, client: Client, connection: Connection, timings: PageTimings, *, is_operator: bool
    ) -> None:
        """Read for the request. Raises BadRequest if its address names no dates."""
        self._request = request
        self._client = client
        self._connection = connection
        self._timings = timings
        self._is_operator = is_operator
        self._cursor = request.query_params.get("cursor")
        self._range = DateRange.of(request)
        self.status = request.query_params.get("status", "")

    async def shown(self) -> dict[str, Any]:
        """Return what the templates of a connection's jobs need. Raises BadRequest, StorageUnavailable."""
        history = await self._read()
        return {
            "history": history,
            "to_be_cancelled": await services_of(self._request).syncs.cancel.awaited(self._client, self._connection),
            "job_status": self.status,
            "job_statuses": JOB_STATUSES,
            "most_csv_jobs": MOST_CSV_JOBS,
            "is_first": self._cursor is None,
            "dates": self._range,
            "months": await self._months(),
            "live_seconds": self._live_seconds(history),
        }

    async def _months(self) -> list[MonthVolume]:
        """Return what the connection moved by month, as far as its days are stored."""
        services = services_of(self._request)
        months = map(month_name, recent_months(services.clock.now().date()))
        return await services.store.volumes.by_month(self._client.id, months, connection_id=self._connection.id)

    def _live_seconds(self, history: JobHistory) -> int | None:
        """Return after how many seconds the page is loaded again; None when nothing is about to change."""
        if history.problem:
            return self._timings.reload_problem
        # The head of the page is of the last syncs that are stored: they may tell of the end some seconds later.
        return self._timings.reload_job_running if history.running or is_running(self._connection) else None

    async def _read(self) -> JobHistory:
        """Return the job history, or the reason why there is none. Raises BadRequest for what no link of ours asks."""
        if self.status and self.status not in JOB_STATUSES:
            raise BadRequest("There is no such status")
        if self._connection.airbyte_id is None:
            return JobHistory()
        try:
            if not self._is_operator:
                await take_client_token(self._request, self._client)
            async with asyncio.timeout(self._timings.job_list):
                return await self._read_all()
        except (RateLimitExceeded, UpstreamError, ConnectionNotFound) as error:
            return await self._stored(words_of(error, self._request))
        except TimeoutError:
            return await self._stored(TIMED_OUT)

    async def _read_all(self) -> JobHistory:
        syncs = services_of(self._request).syncs
        newest = syncs.jobs.read_page(self._client, self._connection.id, limit=MOST_JOBS, status=None, cursor=None)
        recent = (await self._wait(newest)).jobs
        drawn = (await self._chosen(DRAWN_JOBS, None, self._end)).jobs if self._range else recent
        shown = await (self._chosen_page() if self._is_operator or self._range else self._listed(recent))
        failed = recent[0] if recent and recent[0].status == "failed" else None
        finished = [job for job in drawn if job.is_terminal]
        return JobHistory(
            running=[job for job in recent if not job.is_terminal],
            ended=frozenset(job.job_id for job in recent if job.is_terminal),
            duration=duration_chart(finished),
            rows=rows_chart(finished),
            jobs=shown.jobs,
            next=shown.next,
            failed=failed,
            failure=await self._failure(failed) if failed else None,
            has_reasons=self._is_operator,
        )

    async def _listed(self, recent: list[Job]) -> Shown:
        """Return the page of the list; the first one is among the jobs that were read for the charts."""
        cursor = None if self._cursor is None else decode_cursor(self._cursor)
        if not self.status and cursor is None:
            jobs = recent[:JOB_ROWS]
            has_more = len(recent) > JOB_ROWS
            return Shown(jobs, Cursor(JOB_ROWS, jobs[-1].job_id).encode() if has_more else "")
        reader = services_of(self._request).syncs.jobs
        page = await self._wait(
            reader.read_page(
                self._client, self._connection.id, limit=JOB_ROWS, status=self.status or None, cursor=cursor
            )
        )
        return Shown(page.jobs, page.next.encode() if page.next else "")

    async def _chosen_page(self) -> Shown:
        """Return the page of the list, of the days that are asked for; for operators each job with its failure."""
        after = self._end if self._cursor is None else decode_position(self._cursor)
        page = await self._chosen(JOB_ROWS, self.status or None, after)
        return Shown(page.jobs, page.next.encode() if page.next else "")

    @property
    def _end(self) -> Position | None:
        """Where the newest jobs of the days begin that are asked for; None for the newest of all."""
        before = self._range.before
        return None if before is None else Position.before(before)

    async def _chosen(self, limit: int, status: str | None, after: Position | None) -> ChosenPage:
        choice = Choice(SYNCS, limit, status, after=after, created_since=self._range.since)
        chosen_jobs = services_of(self._request).syncs.chosen_jobs
        is_explained = self._is_operator and limit == JOB_ROWS
        return await self._wait(
            chosen_jobs.of_connection(self._client, self._connection.id, choice, is_explained=is_explained)
        )

    async def _stored(self, problem: str) -> JobHistory:
        """Return what is stored, which is less and may be old."""
        services = services_of(self._request)
        jobs = await stored_jobs(services.store, self._client, self._connection)
        chosen = [job for job in jobs if self._is_chosen(job)]
        finished = [job for job in chosen if job.is_terminal]
        return JobHistory(
            problem=problem,
            duration=duration_chart(finished),
            rows=rows_chart(finished),
            jobs=chosen if self._cursor is None else (),
            failed=jobs[0] if jobs and jobs[0].status == "failed" else None,
            ended=frozenset(job.job_id for job in jobs if job.is_terminal),
            known_at=await services.syncs.last_sync.known_at(self._connection),
            days=await self._stored_days(),
        )

    def _is_chosen(self, job: Job) -> bool:
        """Return whether the job has the status and began on one of the days that are asked for."""
        since, before = self._range.since, self._range.before
        at = job.start_time or ""
        return (
            (not self.status or job.status == self.status)
            and (since is None or at >= format_time(since))
            and (before is None or at < format_time(before))
        )

    async def _stored_days(self) -> DayStrip | None:
        """Return the last thirty days, as far as they are stored; None if they never were."""
        services, airbyte_id = services_of(self._request), self._connection.airbyte_id or ""
        today = services.clock.now().date()
        if not await services.store.sync_days.read_upto([airbyte_id]):
            return None
        since = (today - (DAYS - 1) * ONE_DAY).isoformat()
        days = await services.store.sync_days.of_client(self._client.id, [airbyte_id], since=since)
        return day_strip({day.day: day for day in days}, today)

    async def _failure(self, job: Job) -> Failure | None:
        """Return why the job failed; None if that is not known, which is no reason to show no history."""
        try:
            return (await read_job(self._request, self._client, self._connection, str(job.job_id))).failure
        except (UpstreamError, NotFound):
            return None

    async def _wait(self, answer: Coroutine[Any, Any, Value]) -> Value:
        with upstream_timing(self._request.scope):
            return await services_of(self._request).syncs.waiting.wait(
                self._client, answer, left=partial(caller_left, self._request.receive)
            )
