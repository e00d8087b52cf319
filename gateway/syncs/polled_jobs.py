"""Tell how jobs stand that programs ask for by Airbyte's job id alone, again and again, for next to no calls.

What is known of a job is kept. Of a sync the shared refresh tells when its status changes (`last_sync.py`), and only
its end is read again. Job ids are one sequence for all of Airbyte: whose a job is, its connection tells.
"""

import asyncio
from contextlib import suppress

import msgspec
import structlog

from gateway.airbyte import Airbyte
from gateway.errors import JobNotFound, UpstreamError, UpstreamTimeout
from gateway.models import KNOWN_JOB_TYPES, Client, Connection, EndedJob, Job
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.client_cache import ClientCache
from gateway.syncs.job_reports import with_end
from gateway.syncs.last_sync import LastSyncRefresh
from gateway.syncs.timings import PollTimings
from gateway.times import Clock

MOST_JOBS_OF_CLIENT = 1_000
"""Of which something is known: more than run at once, and than a client may ask for in vain in that time."""

log = structlog.get_logger()


class Polled(msgspec.Struct, frozen=True):
    """A job of a client's connection as it stands; `is_fresh` is False if Airbyte could not be asked lately."""

    connection: Connection
    job: EndedJob
    is_fresh: bool = True


class _Known(msgspec.Struct, frozen=True):
    """A job as it was read at a moment, monotonic."""

    job: EndedJob
    read_at: float


class PolledJobs:
    """What is known of jobs, for each client."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        refresh: LastSyncRefresh,
        clock: Clock,
        timings: PollTimings,
        *,
        absent_seconds: float,
        alone_seconds: float,
    ) -> None:
        """`absent_seconds`: how long it is remembered that the client has no such job.

        `alone_seconds`: between two looks at a job of which the changes do not tell.
        """
        self.timings = timings
        self._alone_seconds = alone_seconds
        self._connections = store.connections
        self._airbyte = airbyte
        self._refresh = refresh
        self._clock = clock
        self._known: ClientCache[int, _Known] = ClientCache(clock, seconds=timings.kept, most=MOST_JOBS_OF_CLIENT)
        self._unknown: ClientCache[int, bool] = ClientCache(clock, seconds=absent_seconds, most=MOST_JOBS_OF_CLIENT)
        self._unread: ClientCache[int, bool] = ClientCache(clock, seconds=alone_seconds, most=MOST_JOBS_OF_CLIENT)
        """Known jobs whose last read failed."""
        self._reads: SingleFlight[tuple[int, int], _Known | None] = SingleFlight(
            tell=lambda error: log.warning("polled_job_not_read", error=str(error))
        )

    async def close(self) -> None:
        """Cancel the reads under way."""
        await self._reads.close(cancel=True)

    def note(self, client_id: int, job: Job) -> None:
        """Keep what was just told of a job of the client's, unless it has ended and its end is not told."""
        if job.is_terminal and not isinstance(job, EndedJob):
            self._known.forget(client_id, job.job_id)
            return
        self._known.put(client_id, job.job_id, _Known(with_end(job), self._clock.monotonic()))
        self._unknown.forget(client_id, job.job_id)

    def needs_read(self, client: Client, job_id: int) -> bool:
        """Return whether asking for the job would begin a read: nothing is known of it, not even that it is absent."""
        is_known = self._known.get(client.id, job_id) is not None or self._unknown.get(client.id, job_id) is not None
        return not is_known and (client.id, job_id) not in self._reads

    async def find_known(self, client: Client, job_id: int) -> Polled:
        """Return the job as it was last known, and ask nobody. Raises JobNotFound; UpstreamTimeout if it is unknown."""
        if self._known.get(client.id, job_id) is None:
            raise UpstreamTimeout(detail=f"job {job_id} was not read in time")
        return msgspec.structs.replace(await self.find(client, job_id), is_fresh=False)

    async def find(self, client: Client, job_id: int) -> Polled:
        """Return the job as it was last known, read if it never was. Raises JobNotFound, UpstreamError.

        Who has to wait for too long gets UpstreamTimeout; the read goes on for whoever asks next.
        """
        connection, known = await self._find(client, job_id)
        return Polled(connection, known.job)

    async def look(self, client: Client, job_id: int) -> Polled:
        """Return the job as it stands now, as far as that can be told soon. Raises as `find`."""
        _, known = await self._find(client, job_id)
        if not known.job.is_terminal:
            await self._refresh.refresh_if_older(self.timings.look_age)
        connection, known = await self._find(client, job_id)  # while the refresh was waited for it may have been moved
        if known.job.is_terminal:
            return Polled(connection, known.job)
        told = self._told_status(connection, known)
        if told is None:
            is_due = self._clock.monotonic() - known.read_at >= self._alone_seconds
            return await self._read_again(client, connection, known.job) if is_due else Polled(connection, known.job)
        job = msgspec.structs.replace(known.job, status=told)
        if job.is_terminal:
            return await self._read_again(client, connection, job)
        return Polled(connection, job, self._refresh.is_current_for({connection.workspace_id or ""}))

    async def _find(self, client: Client, job_id: int) -> tuple[Connection, _Known]:
        known = self._known.get(client.id, job_id)
        if known is None:
            if self._unknown.get(client.id, job_id):
                raise JobNotFound
            known = await self._read(client.id, job_id, seconds=self.timings.wait)
        if known is None:
            raise JobNotFound
        connection = await self._owner(client, known.job)
        if connection is None or known.job.job_type not in KNOWN_JOB_TYPES:
            self._known.forget(client.id, job_id)
            self._unknown.put(client.id, job_id, True)
            raise JobNotFound
        return connection, known

    def _told_status(self, connection: Connection, known: _Known) -> str | None:
        """Return the status of the job that the refresh tells, or a later read; None if the refresh does not tell."""
        is_told = self._refresh.tells_of(known.job.job_type, connection.workspace_id)
        if not is_told or connection.last_job_id != known.job.job_id:
            return None
        return connection.last_sync_status if known.read_at <= self._refresh.refreshed_at else known.job.status

    async def _read_again(self, client: Client, connection: Connection, job: EndedJob) -> Polled:
        """Return the job as it is read now; as it is, if that fails, takes too long, or failed a moment ago."""
        read = None
        if not self._unread.get(client.id, job.job_id):
            with suppress(UpstreamError):
                read = await self._read(client.id, job.job_id, seconds=self.timings.look_age)
        told = None if read is None or read.job.connection_id != connection.airbyte_id else read.job
        if told is None:
            self._unread.put(client.id, job.job_id, True)
        owner = await self._owner(client, job)  # while it was read the connection may have been given away
        if owner is None:
            raise JobNotFound
        return Polled(owner, told or job, is_fresh=told is not None)

    async def _read(self, client_id: int, job_id: int, *, seconds: float) -> _Known | None:
        """Return the job, whosever it is, read in a call shared by the client's callers. Raises UpstreamError."""
        try:
            async with asyncio.timeout(seconds):
                return await self._reads.run((client_id, job_id), lambda: self._ask(client_id, job_id))
        except TimeoutError:
            raise UpstreamTimeout(detail=f"job {job_id} was not read in {seconds:g} s; the read goes on") from None

    async def _ask(self, client_id: int, job_id: int) -> _Known | None:
        job = await self._airbyte.jobs.by_id(job_id, caller=client_id)
        if job is None:
            self._unknown.put(client_id, job_id, True)
            return None
        known = _Known(job, self._clock.monotonic())
        if self._is_newer(self._known.get(client_id, job_id), job):
            self._known.put(client_id, job_id, known)
        return known

    @staticmethod
    def _is_newer(before: _Known | None, job: EndedJob) -> bool:
        """Return whether what was read may replace what is known: an end that was told is not taken back."""
        return before is None or job.is_terminal or not before.job.is_terminal

    async def _owner(self, client: Client, job: Job) -> Connection | None:
        """Return the client's connection that the job is of; None if it is nobody's or another client's."""
        return (await self._connections.of_client(client.id)).by_airbyte_id.get(job.connection_id)
