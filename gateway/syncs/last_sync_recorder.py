"""Record the newest sync of each connection, and write only what the database does not hold yet."""

from collections.abc import Collection, Iterable, Sequence

from gateway.models import Job
from gateway.store import KEPT_RECENT, EndedSync, LastSync, Store, end_of
from gateway.times import Clock, format_time


class LastSyncRecorder:
    """Writes last syncs. Other gateways and commands write too, so nothing is remembered here."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._last_syncs = store.last_syncs
        self._clock = clock

    async def record(self, jobs: Collection[Job], *, backfilled: Iterable[str] = ()) -> None:
        """Write the newest syncs among `jobs`, and that the connections `backfilled` (Airbyte's ids) were asked for.

        Raises StorageUnavailable.
        """
        marks = set(backfilled)
        told = newest_syncs(jobs)
        known = await self._last_syncs.known(told) if told else {}
        news = [sync for airbyte_id, sync in told.items() if airbyte_id in known and known[airbyte_id] != sync]
        ended = await self._not_held(jobs)
        if news or marks or ended:
            await self._last_syncs.record(
                news, backfilled=marks, backfilled_at=format_time(self._clock.now()), ended=ended, told=jobs
            )

    async def _not_held(self, jobs: Collection[Job]) -> list[EndedSync]:
        """Return the syncs among `jobs` that have ended, as far as they would change what is held of them."""
        told = ended_syncs(jobs)
        held = await self._last_syncs.recent({sync.airbyte_id for sync in told}) if told else {}
        return [sync for sync in told if sync.airbyte_id in held and not _is_held(sync, held[sync.airbyte_id])]


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


def ended_syncs(jobs: Iterable[Job]) -> list[EndedSync]:
    """Return the syncs among `jobs` that have ended."""
    return [
        EndedSync(
            airbyte_id=job.connection_id,
            job_id=job.job_id,
            at=job.start_time,
            ended_at=end_of(job),
            status=job.status,
            rows=job.rows_synced,
            bytes=job.bytes_synced,
        )
        for job in jobs
        if job.job_type == "sync" and job.start_time and job.is_terminal
    ]


def _is_held(sync: EndedSync, held: Sequence[EndedSync]) -> bool:
    """Return whether it would change nothing: it is held, or older than all of as many as are kept."""
    return sync in held or (len(held) >= KEPT_RECENT and (sync.at, sync.job_id) < (held[-1].at, held[-1].job_id))
