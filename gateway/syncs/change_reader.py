"""Read the jobs that changed since the last reading, of all workspaces in use: one question for every client."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from gateway.airbyte import MAX_JOBS, Airbyte
from gateway.models import Job
from gateway.store import Store
from gateway.syncs.last_sync_recorder import LastSyncRecorder
from gateway.syncs.workspace_lists import WorkspaceLists
from gateway.times import format_time, parse_time

CHANGE_OVERLAP = timedelta(minutes=2)
"""Asked for again each time: a row appears at commit, after `updatedAt`, and clocks of Airbyte's parts differ."""
MAX_CHANGE_PAGES = 20
"""More changes than this many pages hold: ask for each connection of these workspaces again instead."""


class ChangeReader:
    """Goes on where the last reading of any gateway stopped."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        recorder: LastSyncRecorder,
        lists: WorkspaceLists,
        *,
        checkpoint_seconds: float,
    ) -> None:
        """Note how far reading has come once it is `checkpoint_seconds` further than was noted last."""
        self._last_syncs = store.last_syncs
        self._airbyte = airbyte
        self._recorder = recorder
        self._lists = lists
        self._checkpoint = timedelta(seconds=checkpoint_seconds)

    @property
    def unread(self) -> frozenset[str]:
        """The workspaces that Airbyte does not tell of: reading passes them over."""
        return self._lists.refused

    async def read(self) -> bool:
        """Record every change since the last reading; return whether Airbyte answered, or there is none to ask for.

        Raises UpstreamError, StorageUnavailable.

        The connections of a workspace that Airbyte does not tell of wait for a back-fill from then on.
        """
        workspaces = await self._last_syncs.workspaces_in_use()
        read_upto = await self._last_syncs.read_upto()
        started = self._airbyte.now()
        reading = await self._lists.read(workspaces, lambda some: self._read(some, _since(read_upto, started)))
        await self._last_syncs.require_backfill(workspaces=reading.refused)
        if reading.failure is not None:
            raise reading.failure
        if workspaces and (read_upto is None or abs(started - parse_time(read_upto)) > self._checkpoint):
            await self._last_syncs.record([], read_upto=format_time(started))
        return bool(reading.read) or not workspaces

    async def retry_unread(self) -> None:
        """Ask for workspaces that were passed over, each by itself. Raises StorageUnavailable.

        Those that are told of again are read like all others from then on; what was missed, a back-fill finds.
        """
        read_upto = await self._last_syncs.read_upto()
        since = _since(read_upto, self._airbyte.now())
        await self._lists.retry(lambda some: self._read(some, since))

    async def _read(self, workspaces: list[str], since: datetime) -> None:
        """Record the changes of some workspaces; what their pages do not tell is left to a back-fill.

        Nothing is recorded before all is read: the newest comes first, and what is older than what is known is no news.
        """
        changed: dict[int, Job] = {}
        is_complete = False
        for number in range(MAX_CHANGE_PAGES):
            page = await self._airbyte.jobs.updated_since(workspaces, since, offset=number * MAX_JOBS)
            await self._last_syncs.require_backfill(airbyte_ids=page.odd_connections)
            known = len(changed)
            changed.update((job.job_id, job) for job in page.rows)
            is_complete = page.sent < MAX_JOBS
            if is_complete or len(changed) == known:
                break
        for jobs in _batches(changed.values()):
            await self._recorder.record(jobs)
        if not is_complete:
            await self._last_syncs.require_backfill(workspaces=workspaces)


def _batches(jobs: Collection[Job]) -> Iterator[list[Job]]:
    """Yield the jobs in parts, each of little more than a page's, with all jobs of a connection in one of them.

    So a connection's news are written at once, in their order, and no transaction keeps others waiting for long.
    """
    by_connection: dict[str, list[Job]] = {}
    for job in jobs:
        by_connection.setdefault(job.connection_id, []).append(job)
    batch: list[Job] = []
    for each in by_connection.values():
        batch += each
        if len(batch) >= MAX_JOBS:
            yield batch
            batch = []
    if batch:
        yield batch


def _since(read_upto: str | None, now: datetime) -> datetime:
    """Return from when on to ask. A clock that was ahead once must not keep us from asking about the present."""
    return (min(parse_time(read_upto), now) if read_upto else now) - CHANGE_OVERLAP
