"""How jobs stand that somebody waits for: from what the shared refresh has stored, or from a call for one job."""

from collections.abc import Collection, Mapping

import msgspec
import structlog

from gateway.airbyte import Airbyte
from gateway.errors import UpstreamError
from gateway.single_flight import SingleFlight
from gateway.store import LastSync, Store
from gateway.syncs.last_sync import LastSyncRefresh
from gateway.syncs.timings import WatchTimings
from gateway.times import Clock

log = structlog.get_logger()


class WatchedJob(msgspec.Struct, frozen=True):
    """A job that somebody waits for; its workspace is None while it is not known."""

    client_id: int
    airbyte_id: str
    workspace_id: str | None
    job_id: int
    job_type: str


class JobStates:
    """The last known statuses of the jobs that were asked about last."""

    def __init__(
        self, store: Store, airbyte: Airbyte, refresh: LastSyncRefresh, clock: Clock, timings: WatchTimings
    ) -> None:
        self._last_syncs = store.last_syncs
        self._airbyte = airbyte
        self._refresh = refresh
        self._clock = clock
        self._timings = timings
        self._newest: dict[str, LastSync | None] = {}
        """The newest sync of each connection, as stored after the refresh that ended at `_newest_of`."""
        self._newest_of = float("-inf")
        self._statuses: dict[WatchedJob, str] = {}
        self._alone: dict[WatchedJob, float] = {}
        """Jobs of which the changes do not tell, and when each was asked for."""
        self._failed: set[WatchedJob] = set()
        """Of those, the ones that Airbyte did not tell of when it was asked last."""
        self._reads: SingleFlight[WatchedJob, None] = SingleFlight(
            tell=lambda error: log.error("job_not_read", exc_info=error)
        )

    async def close(self) -> None:
        """Cancel the calls under way."""
        await self._reads.close(cancel=True)

    async def look(self, jobs: Collection[WatchedJob], *, age_seconds: float) -> Mapping[WatchedJob, str]:
        """Return the known statuses of `jobs`, by a refresh that is at most `age_seconds` old.

        Of a sync the refresh tells, with one call for all syncs of all clients. A job of another type, of a workspace
        that Airbyte does not tell of, or with a newer one after it, is asked for by itself. Raises StorageUnavailable.
        """
        await self._refresh.refresh_if_older(age_seconds)
        await self._read_newest({job.airbyte_id for job in jobs})
        for job in jobs:
            sync = self._newest.get(job.airbyte_id)
            if self._must_ask_alone(job, sync):
                self._ask_alone(job)
                continue
            self._alone.pop(job, None)
            if sync is not None and sync.job_id == job.job_id:
                self._statuses[job] = sync.status
        self._forget_all_but(jobs)
        return self._statuses

    async def _read_newest(self, airbyte_ids: set[str]) -> None:
        """Read what is stored, unless no refresh has ended since."""
        refreshed_at = self._refresh.refreshed_at
        if refreshed_at != self._newest_of or not airbyte_ids <= self._newest.keys():
            self._newest = {**dict.fromkeys(airbyte_ids), **await self._last_syncs.known(airbyte_ids)}
            self._newest_of = refreshed_at

    def is_current(self, job: WatchedJob) -> bool:
        """Return whether Airbyte told of the job when it was asked last."""
        if job in self._alone:
            return job not in self._failed
        return job.workspace_id is not None and self._refresh.is_current_for({job.workspace_id})

    def _must_ask_alone(self, job: WatchedJob, newest: LastSync | None) -> bool:
        is_told = self._refresh.tells_of(job.job_type, job.workspace_id)
        # A newer one means that this one has ended, and not how.
        return not is_told or (newest is not None and newest.job_id > job.job_id)

    def _ask_alone(self, job: WatchedJob) -> None:
        now = self._clock.monotonic()
        if now - self._alone.get(job, float("-inf")) >= self._timings.alone_interval and job not in self._reads:
            self._alone[job] = now
            self._reads.start(job, lambda: self._read(job))

    async def _read(self, job: WatchedJob) -> None:
        try:
            found = await self._airbyte.jobs.of_connection(job.airbyte_id, job.job_id, caller=job.client_id)
        except UpstreamError:
            self._failed.add(job)
            return
        if found is None:
            self._failed.add(job)
            return
        self._failed.discard(job)
        if job in self._alone:
            self._statuses[job] = found.status

    def _forget_all_but(self, jobs: Collection[WatchedJob]) -> None:
        for gone in self._statuses.keys() - jobs:
            del self._statuses[gone]
        for gone in self._alone.keys() - jobs:
            del self._alone[gone]
        self._failed &= set(jobs)
