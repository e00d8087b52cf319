"""Let callers wait for the end of jobs: the one watch (`last_sync_watch.py`) looks at the jobs of all of them.

Each second one incremental call, of one gateway for all, tells which syncs changed (`last_sync.py`), so two hundred
callers cost no more than one. Who waits holds no permit of the bulkhead and is no longer counted in admission.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import msgspec
import structlog

from gateway.errors import StorageUnavailable
from gateway.models import TERMINAL_STATUSES, Client, Connection, Job, TriggeredJob
from gateway.store import Store
from gateway.syncs.connections import connection_of, require_still_mapped
from gateway.syncs.job_states import JobStates, WatchedJob
from gateway.syncs.timings import WatchTimings
from gateway.syncs.waiting import wait_unless_left
from gateway.times import Clock

MOST_OF_CLIENT = 50
"""Callers of one client that wait at once: each holds memory and a socket."""

log = structlog.get_logger()


class JobNow(msgspec.Struct, frozen=True):
    """How a job stands after waiting for it; `is_fresh` is False if Airbyte could not be asked lately."""

    status: str
    is_fresh: bool


class Watcher:
    """Callers that wait for jobs, of all clients. Nothing is looked at while there are none."""

    def __init__(
        self,
        store: Store,
        states: JobStates,
        clock: Clock,
        timings: WatchTimings,
        *,
        most: int = MOST_OF_CLIENT,
    ) -> None:
        """Let `most` callers of one client wait at once."""
        self.longest_seconds = timings.longest
        """From a call to its answer, at most."""
        self._store = store
        self._states = states
        self._clock = clock
        self._timings = timings
        self._most = most
        self._callers: Counter[int] = Counter()
        self._waiting: dict[WatchedJob, set[asyncio.Future[None]]] = {}
        self._statuses: dict[WatchedJob, str] = {}
        self._looked_at = float("-inf")
        """When the last look began, monotonic, of those that came to their end."""
        self._has_caller = asyncio.Event()
        self._is_stopping = False

    def __len__(self) -> int:
        return self._callers.total()

    async def close(self) -> None:
        """Have all who wait answered, and cancel the calls for them."""
        self.stop()
        await self._states.close()

    def stop(self) -> None:
        """Have everybody who waits answered now, as his job stands, and let nobody wait from now on."""
        self._is_stopping = True
        for ends in self._waiting.values():
            for end in ends:
                _tell(end)

    def has_room(self, client: Client) -> bool:
        """Return whether another caller of the client may wait."""
        return not self._is_stopping and self._callers[client.id] < self._most

    @contextmanager
    def counted(self, client_id: int) -> Iterator[None]:
        """Count a caller of the client among those that wait."""
        self._callers[client_id] += 1
        try:
            yield
        finally:
            self._callers[client_id] -= 1
            if not self._callers[client_id]:
                del self._callers[client_id]

    async def wait_for_end(
        self,
        client: Client,
        connection_id: str,
        job: TriggeredJob | Job,
        *,
        until: float,
        left: Callable[[], Awaitable[None]],
    ) -> JobNow:
        """Wait until the job has ended, but not beyond `until`, monotonic; return how it stands then.

        Raises CallerLeft once `left` returns; ConnectionNotFound if the connection is the client's no more.
        """
        if job.status in TERMINAL_STATUSES:
            return JobNow(job.status, is_fresh=True)
        try:
            connection = await connection_of(self._store, client, connection_id)
            now = await self._wait(connection, job, until, left)
            await require_still_mapped(self._store, client, connection_id, job.connection_id)
        except StorageUnavailable as error:
            # The job was known before: whoever triggered it must not learn less because he waited.
            log.warning("job_not_waited_for", detail=error.detail)
            return JobNow(job.status, is_fresh=False)
        return now

    async def _wait(
        self, connection: Connection, job: TriggeredJob | Job, until: float, left: Callable[[], Awaitable[None]]
    ) -> JobNow:
        told_at = self._clock.monotonic()
        watched = WatchedJob(connection.client_id, job.connection_id, connection.workspace_id, job.job_id, job.job_type)
        with self._waiting_for(watched) as end:
            if self._is_stopping:
                _tell(end)
            await wait_unless_left(end, seconds=until - self._clock.monotonic(), left=left)
            status = self._statuses.get(watched, job.status)
            return JobNow(status, is_fresh=status in TERMINAL_STATUSES or self._is_current(watched, told_at))

    def _is_current(self, job: WatchedJob, told_at: float) -> bool:
        """Return whether Airbyte told of the job lately: to the caller, at `told_at`, or to the last look."""
        seen_at = max(told_at, self._looked_at)
        return self._clock.monotonic() - seen_at <= self._timings.stale and self._states.is_current(job)

    @contextmanager
    def _waiting_for(self, job: WatchedJob) -> Iterator[asyncio.Future[None]]:
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job, set()).add(end)
        self._has_caller.set()
        try:
            with self.counted(job.client_id):
                yield end
        finally:
            self._waiting[job].discard(end)
            if not self._waiting[job]:
                del self._waiting[job]
                self._statuses.pop(job, None)
                if not self._waiting:
                    self._has_caller.clear()

    async def rest(self, seconds: float) -> None:
        """Sleep until the next look at the jobs is due, or somebody begins to wait; for so long at most."""
        if self._waiting:
            await asyncio.sleep(min(seconds, self._timings.poll_interval))
            return
        try:
            async with asyncio.timeout(seconds):
                await self._has_caller.wait()
        except TimeoutError:
            return

    async def look(self) -> None:
        """Look at the jobs of all who wait, by a refresh that is a second old at most, and answer whose has ended."""
        if not self._waiting:
            return
        try:
            await self._look()
        except StorageUnavailable as error:
            log.warning("jobs_not_watched", detail=error.detail)
            await asyncio.sleep(self._timings.interval)

    async def _look(self) -> None:
        began = self._clock.monotonic()
        known = await self._states.look(list(self._waiting), age_seconds=self._timings.interval)
        self._looked_at = began
        for job, ends in self._waiting.items():
            if job not in known:
                continue
            self._statuses[job] = known[job]
            if known[job] in TERMINAL_STATUSES:
                for end in ends:
                    _tell(end)


def _tell(end: asyncio.Future[None]) -> None:
    if not end.done():
        end.set_result(None)
