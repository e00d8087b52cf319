"""Tell the attempts of jobs to programs that ask again and again: what is known is kept while nothing should change."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from gateway.airbyte import Airbyte, JobReport
from gateway.errors import ConnectionNotFound, JobNotFound
from gateway.models import KNOWN_JOB_TYPES, Client, EndedJob, Job, JobDetail
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.client_cache import ClientCache
from gateway.syncs.connections import still_own
from gateway.syncs.failures import FailureMessages
from gateway.syncs.job_pages import JobsAsked
from gateway.syncs.job_reports import detail_of, with_end
from gateway.syncs.timings import PollTimings
from gateway.times import Clock


class _Told(msgspec.Struct, frozen=True):
    """A job as it was told at a moment, monotonic."""

    detail: JobDetail
    at: float


class Attempts:
    """The attempts of polled jobs, for each client. What cannot be told is left out: no answer waits for it long."""

    def __init__(
        self, store: Store, airbyte: Airbyte, messages: FailureMessages, clock: Clock, timings: PollTimings
    ) -> None:
        self._store = store
        self._airbyte = airbyte
        self._messages = messages
        self._clock = clock
        self._timings = timings
        self._told: ClientCache[int, _Told] = ClientCache(clock, seconds=timings.kept)
        self._reads: SingleFlight[tuple[int, int, str], JobDetail] = SingleFlight()
        self._page_reads: SingleFlight[tuple[int, str, JobsAsked], Mapping[int, JobReport]] = SingleFlight()

    async def close(self) -> None:
        """Cancel the reads under way."""
        await self._page_reads.close(cancel=True)
        await self._reads.close(cancel=True)

    async def of(self, client: Client, job: Job, *, until: float, may_read: Callable[[], bool]) -> JobDetail:
        """Return a job of the client's with its attempts; without any if those are not told soon.

        `until`, monotonic, it is waited at most. `may_read` says whether Airbyte may be asked, if need be: what was
        told before will do otherwise. Raises JobNotFound if its connection is the client's no more.
        """
        detail = await self._of(client, job, until=until, may_read=may_read)
        if not await still_own(self._store, client, {job.connection_id}):
            raise JobNotFound(detail="its connection was given away")
        return detail

    async def _of(self, client: Client, job: Job, *, until: float, may_read: Callable[[], bool]) -> JobDetail:
        whole = with_end(job)
        told = self._told.get(client.id, job.job_id)
        if told is not None and self._is_good(told, whole):
            return told.detail
        if (client.id, job.job_id, job.status) not in self._reads and not may_read():
            if told is not None and told.detail.status == whole.status:
                return told.detail
            return await self._detail(whole, None)
        seconds = min(self._timings.look_age, max(0.0, until - self._clock.monotonic()))
        try:
            async with asyncio.timeout(seconds):
                return await self._reads.run((client.id, job.job_id, job.status), lambda: self._read(client.id, whole))
        except TimeoutError:
            return await self._detail(whole, None)

    def _is_good(self, told: _Told, job: EndedJob) -> bool:
        """Return whether what was told still holds: of an ended job for good, if it was all told."""
        if told.detail.status != job.status:
            return False
        is_all = job.is_terminal and bool(told.detail.attempts)
        return is_all or self._clock.monotonic() - told.at < self._timings.attempts_age

    async def _read(self, client_id: int, job: EndedJob) -> JobDetail:
        report = await self._airbyte.config.job(job.connection_id, job, caller=client_id)
        detail = await self._detail(job, report)
        self._told.put(client_id, job.job_id, _Told(detail, self._clock.monotonic()))
        return detail

    async def of_page(
        self, client: Client, jobs: Sequence[EndedJob], asked: JobsAsked, *, until: float
    ) -> list[JobDetail]:
        """Return a page of jobs of one connection with their attempts; without any where those are not told.

        `until`, monotonic, it is waited at most. Raises ConnectionNotFound if that is the client's no more.
        """
        if not jobs:
            return []
        airbyte_id = jobs[0].connection_id
        reports: Mapping[int, JobReport] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - self._clock.monotonic())):
                reports = await self._page_reads.run(
                    (client.id, airbyte_id, asked), lambda: self._read_page(client.id, airbyte_id, asked)
                )
        if not await still_own(self._store, client, {airbyte_id}):
            raise ConnectionNotFound(detail=f"{airbyte_id} was given away")
        return [await self._detail(job, reports.get(job.job_id)) for job in jobs]

    async def _read_page(self, client_id: int, airbyte_id: str, asked: JobsAsked) -> Mapping[int, JobReport]:
        return await self._airbyte.config.jobs(
            airbyte_id,
            asked.types or KNOWN_JOB_TYPES,
            caller=client_id,
            limit=asked.limit,
            offset=asked.offset,
            statuses=asked.statuses,
        )

    async def _detail(self, job: EndedJob, report: JobReport | None) -> JobDetail:
        if report is None:
            return detail_of(job, None, self._messages)
        return await asyncio.to_thread(detail_of, job, report, self._messages)
