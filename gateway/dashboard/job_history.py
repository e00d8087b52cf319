"""A connection's jobs as its page shows them: what runs, charts, a page of the list, and why the last one failed."""

import asyncio
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from gateway.dashboard.charts import Chart, duration_chart, rows_chart
from gateway.dashboard.client_token import take_client_token
from gateway.dashboard.job import read_job
from gateway.dashboard.job_csv import MOST_CSV_JOBS
from gateway.dashboard.timings import PageTimings
from gateway.dashboard.upstream_problems import TIMED_OUT, words_of
from gateway.errors import BadRequest, ConnectionNotFound, NotFound, RateLimitExceeded, UpstreamError
from gateway.models import JOB_STATUSES, Client, Connection, Failure, Job
from gateway.services import services_of
from gateway.syncs.chosen_jobs import SYNCS, Choice
from gateway.syncs.cursor import Cursor, decode_cursor, decode_position
from gateway.syncs.jobs import MOST_JOBS
from gateway.web.disconnect import caller_left
from gateway.web.request_context import upstream_timing

JOB_ROWS = 20

Value = TypeVar("Value")


class Shown(msgspec.Struct, frozen=True):
    """A page of the list; `next` is the text that asks for the one after, empty at the end."""

    jobs: Sequence[Job] = ()
    next: str = ""


class JobHistory(msgspec.Struct, frozen=True):
    """What the page shows of Airbyte's job list; `problem` says why there is none."""

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


class HistoryReader:
    """Reads for one page. Operators get the reason of each job, and take none of the client's tokens.

    What they read takes the share of the connection's client at Airbyte, so nobody else waits for it.
    """

    def __init__(
        self, request: Request, client: Client, connection: Connection, timings: PageTimings, *, is_operator: bool
    ) -> None:
        self._request = request
        self._client = client
        self._connection = connection
        self._timings = timings
        self._is_operator = is_operator
        self._cursor = request.query_params.get("cursor")
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
            "live_seconds": self._live_seconds(history),
        }

    def _live_seconds(self, history: JobHistory) -> int | None:
        """Return after how many seconds the page is loaded again; None when nothing is about to change."""
        if history.problem:
            return self._timings.reload_problem
        return self._timings.reload_job_running if history.running else None

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
            return JobHistory(problem=words_of(error))
        except TimeoutError:
            return JobHistory(problem=TIMED_OUT)

    async def _read_all(self) -> JobHistory:
        syncs = services_of(self._request).syncs
        newest = syncs.jobs.read_page(self._client, self._connection.id, limit=MOST_JOBS, status=None, cursor=None)
        recent = (await self._wait(newest)).jobs
        shown = await (self._explained() if self._is_operator else self._listed(recent))
        failed = recent[0] if recent and recent[0].status == "failed" else None
        finished = [job for job in recent if job.is_terminal]
        return JobHistory(
            running=[job for job in recent if not job.is_terminal],
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

    async def _explained(self) -> Shown:
        """Return the page of the list, each job with its failure."""
        after = None if self._cursor is None else decode_position(self._cursor)
        choice = Choice(SYNCS, JOB_ROWS, self.status or None, after=after)
        chosen_jobs = services_of(self._request).syncs.chosen_jobs
        page = await self._wait(chosen_jobs.of_connection(self._client, self._connection.id, choice, is_explained=True))
        return Shown(page.jobs, page.next.encode() if page.next else "")

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
