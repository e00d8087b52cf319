"""Read the jobs that changed since the last reading, of all workspaces in use: one question for every client."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from gateway.airbyte import MAX_JOBS, Airbyte
from gateway.models import Job
from gateway.store import Store
from gateway.syncs.last_sync_recorder import LastSyncRecorder
from gateway.times import format_time, parse_time

OVERLAP = timedelta(seconds=10)
"""Asked for again each time: Airbyte's clock is known to a second, and a row appears at commit, after `updatedAt`."""
MAX_PAGES = 20
"""More changes than this many pages hold: ask for each connection again instead."""
WORKSPACES_PER_CALL = 100
"""A workspace takes 37 bytes of URL; Airbyte takes 32 KB of request head."""


class ChangeReader:
    """Goes on where the last reading of any gateway stopped."""

    def __init__(
        self, store: Store, airbyte: Airbyte, recorder: LastSyncRecorder, *, checkpoint_seconds: float
    ) -> None:
        """Note how far reading has come once it is `checkpoint_seconds` further than was noted last."""
        self._last_syncs = store.last_syncs
        self._airbyte = airbyte
        self._recorder = recorder
        self._checkpoint = timedelta(seconds=checkpoint_seconds)

    async def read(self) -> None:
        """Record every change since the last reading. Raises UpstreamError, StorageUnavailable."""
        workspaces = await self._last_syncs.workspaces_in_use()
        read_upto = await self._last_syncs.read_upto()
        started = self._airbyte.now()
        # A clock that was ahead once must not keep us from asking about the present.
        since = min(parse_time(read_upto), started) if read_upto else started
        for some in workspace_batches(workspaces):
            await self._recorder.record(await self._changes(some, since - OVERLAP))
        if workspaces and (read_upto is None or abs(started - parse_time(read_upto)) > self._checkpoint):
            await self._last_syncs.record([], read_upto=format_time(started))

    async def _changes(self, workspaces: list[str], since: datetime) -> list[Job]:
        jobs: list[Job] = []
        for page in range(MAX_PAGES):
            more = await self._airbyte.jobs_updated_since(workspaces, since, offset=page * MAX_JOBS)
            jobs += more
            if len(more) < MAX_JOBS:
                return jobs
        await self._last_syncs.require_backfill()
        return jobs


def workspace_batches(workspaces: list[str]) -> Iterator[list[str]]:
    """Yield the workspaces in groups that one call to Airbyte can name."""
    for first in range(0, len(workspaces), WORKSPACES_PER_CALL):
        yield workspaces[first : first + WORKSPACES_PER_CALL]
