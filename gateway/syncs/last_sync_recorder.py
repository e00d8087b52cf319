"""Record the newest sync of each connection, and write only what is news."""

from collections.abc import Iterable

from gateway.models import Job
from gateway.store import LastSync, Store
from gateway.times import Clock, format_time


class LastSyncRecorder:
    """Writes last syncs, and remembers which it has written."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._last_syncs = store.last_syncs
        self._clock = clock
        self._recorded: dict[str, LastSync] = {}

    async def record(self, jobs: Iterable[Job], *, backfilled: Iterable[str] = ()) -> None:
        """Write the newest syncs among `jobs`, and that the connections `backfilled` (Airbyte's ids) were asked for.

        Raises StorageUnavailable.
        """
        marks = set(backfilled)
        news = {
            airbyte_id: sync
            for airbyte_id, sync in newest_syncs(jobs).items()
            # A new mapping of a known Airbyte connection starts with nothing, whatever was recorded before.
            if airbyte_id in marks or self._recorded.get(airbyte_id) != sync
        }
        if news or marks:
            await self._last_syncs.record(news.values(), backfilled=marks, backfilled_at=format_time(self._clock.now()))
            self._recorded |= news


def newest_syncs(jobs: Iterable[Job]) -> dict[str, LastSync]:
    """Return the newest sync of each connection among `jobs`. Job ids grow with time, over the whole Airbyte."""
    newest: dict[str, LastSync] = {}
    for job in jobs:
        known = newest.get(job.connection_id)
        if job.job_type == "sync" and job.start_time and (known is None or known.job_id < job.job_id):
            newest[job.connection_id] = LastSync(job.connection_id, job.job_id, job.start_time, job.status)
    return newest
