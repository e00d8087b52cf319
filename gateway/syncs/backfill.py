"""Ask Airbyte for the newest sync of single connections: newly mapped ones, and all after too many changes."""

import structlog

from gateway.airbyte import Airbyte
from gateway.errors import UpstreamRefused
from gateway.models import Connection, Job
from gateway.store import Store
from gateway.syncs.last_sync_recorder import LastSyncRecorder
from gateway.times import Clock, format_time

BATCH = 100

log = structlog.get_logger()


class Backfill:
    """Takes a call for each connection, once."""

    def __init__(self, store: Store, airbyte: Airbyte, recorder: LastSyncRecorder, clock: Clock) -> None:
        self._last_syncs = store.last_syncs
        self._airbyte = airbyte
        self._recorder = recorder
        self._clock = clock

    async def run(self) -> None:
        """Back-fill every connection that waits for it. Raises UpstreamError, StorageUnavailable."""
        while waiting := await self._last_syncs.waiting_for_backfill(BATCH):
            for connection in waiting:
                await self.run_one(connection)

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
            jobs = await self._airbyte.jobs(airbyte_id, caller="gateway", limit=1)
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
