"""Ask Airbyte for the newest sync of single connections: newly mapped ones, and those that reading changes missed."""

from itertools import islice

import structlog

from gateway.airbyte import Airbyte
from gateway.errors import UpstreamBusy, UpstreamError, UpstreamRefused
from gateway.models import Connection, Job
from gateway.store import Store
from gateway.syncs.backoff import Backoff
from gateway.syncs.last_sync_recorder import LastSyncRecorder
from gateway.syncs.timings import BackoffTimings
from gateway.syncs.workspace_lists import WorkspaceLists
from gateway.times import Clock, format_time

BATCH = 100
"""Connections of one run, a call each: the changes of everybody else wait for its end."""

log = structlog.get_logger()


class Backfill:
    """Takes a call for each connection, once."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        recorder: LastSyncRecorder,
        lists: WorkspaceLists,
        clock: Clock,
        *,
        timings: BackoffTimings,
    ) -> None:
        self._last_syncs = store.last_syncs
        self._airbyte = airbyte
        self._recorder = recorder
        self._lists = lists
        self._clock = clock
        self._failed: Backoff[str] = Backoff(clock, timings)

    async def run(self) -> None:
        """Back-fill connections that wait for it, the clients in turn. Raises StorageUnavailable.

        One that fails keeps waiting and is passed over for a while, and so is one whose workspace Airbyte refuses.
        """
        waiting = await self._last_syncs.waiting_for_backfill()
        self._failed.keep_only(connection.id for connection in waiting)
        for connection in islice(filter(self._is_due, waiting), BATCH):
            try:
                await self.run_one(connection)
            except UpstreamBusy as error:
                # This says nothing about the connection: no other one would be told of either.
                log.warning("backfill_interrupted", detail=error.detail)
                return
            except UpstreamError as error:
                log.warning("backfill_failed", connection=connection.id, error=error.message, detail=error.detail)
                self._failed.fail(connection.id)

    def _is_due(self, connection: Connection) -> bool:
        workspace_id = connection.workspace_id
        return self._failed.is_due(connection.id) and (workspace_id is None or not self._lists.is_refused(workspace_id))

    async def run_one(self, connection: Connection) -> None:
        """Ask for the newest sync of one mapped connection, and for its workspace and status where unknown.

        A connection that Airbyte refuses to tell of counts as back-filled. Raises UpstreamError, StorageUnavailable.
        """
        airbyte_id = connection.airbyte_id
        if airbyte_id is None:
            return
        if await self._last_syncs.read_upto() is None:
            await self._last_syncs.record([], read_upto=format_time(self._airbyte.now()))
        jobs: list[Job] = []
        try:
            if connection.workspace_id is None:
                await self._read_connection(airbyte_id)
            jobs = await self._airbyte.jobs(airbyte_id, caller="gateway", limit=1, drop_odd=False)
        except UpstreamRefused as refusal:
            log.warning("backfill_refused", connection=connection.id, detail=refusal.detail)
        await self._recorder.record(jobs, backfilled=[airbyte_id])

    async def _read_connection(self, airbyte_id: str) -> None:
        record = await self._airbyte.connection(airbyte_id)
        await self._last_syncs.record_statuses(
            [(airbyte_id, record.status)],
            checked_at=format_time(self._clock.now()),
            workspace_id=record.workspace_id,
        )
