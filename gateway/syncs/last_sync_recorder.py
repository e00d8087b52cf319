"""Record the newest sync of each connection, and write only what the database does not hold yet."""

from collections.abc import Iterable

from gateway.models import Job
from gateway.store import LastSync, Store
from gateway.times import Clock, format_time


class LastSyncRecorder:
    """Writes last syncs. Other gateways and commands write too, so nothing is remembered here."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._last_syncs = store.last_syncs
        self._clock = clock

    async def record(self, jobs: Iterable[Job], *, backfilled: Iterable[str] = ()) -> None:
        """Write the newest syncs among `jobs`, and that the connections `backfilled` (Airbyte's ids) were asked for.

        Raises StorageUnavailable.
        """
        marks = set(backfilled)
        told = newest_syncs(jobs)
        known = await self._last_syncs.known(told) if told else {}
        news = [sync for airbyte_id, sync in told.items() if airbyte_id in known and known[airbyte_id] != sync]
        if news or marks:
            await self._last_syncs.record(news, backfilled=marks, backfilled_at=format_time(self._clock.now()))


def newest_syncs(jobs: Iterable[Job]) -> dict[str, LastSync]:
    """Return the newest sync of each connection among `jobs`."""
    newest: dict[str, LastSync] = {}
    for job in jobs:
        if job.job_type == "sync" and job.start_time:
            sync = LastSync(job.connection_id, job.job_id, job.start_time, job.status)
            known = newest.get(job.connection_id)
            if known is None or known.order < sync.order:
                newest[job.connection_id] = sync
    return newest
