"""Ask Airbyte for the newest sync of single connections: newly mapped ones, and those that reading changes missed."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain, islice

import structlog

from gateway.airbyte import Airbyte
from gateway.errors import StorageUnavailable, UpstreamBusy, UpstreamError, UpstreamRefused
from gateway.models import Connection, Job
from gateway.store import KEPT_RECENT, LastSync, Store
from gateway.syncs.backoff import Backoff
from gateway.syncs.last_sync_recorder import LastSyncRecorder, newest_syncs
from gateway.syncs.refusals import NOT_FOUND
from gateway.syncs.statuses import record_statuses
from gateway.syncs.timings import LastSyncTimings
from gateway.syncs.workspace_lists import WorkspaceLists
from gateway.times import Clock, format_time, parse_time

BATCH = 100
"""Connections of one run, a call each: the changes of everybody else wait for its end."""
NEWEST = KEPT_RECENT + 1
"""Syncs asked for with one call: all that are kept of those that ended, and one that has not."""
APPEARS_WITHIN = timedelta(minutes=2)
"""A younger job may be missing from Airbyte's list only because it does not show there yet."""

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
        timings: LastSyncTimings,
    ) -> None:
        self._store = store
        self._last_syncs = store.last_syncs
        self._airbyte = airbyte
        self._recorder = recorder
        self._lists = lists
        self._clock = clock
        self._timings = timings
        self._failed: Backoff[str] = Backoff(clock, timings.backoff)
        self._checked_at = float("-inf")
        """When a connection was checked that did not wait for it."""

    async def run(self, *, is_read: bool) -> None:
        """Back-fill connections that wait for it, the clients in turn, and check one other. Raises StorageUnavailable.

        The check goes round all connections, for changes that were read may have been told wrong or not at all. While
        nobody reads (not `is_read`), there is one a minute for whoever has a webhook, and none for nobody.
        One that fails keeps waiting and is passed over for a while, and so is one whose workspace Airbyte refuses. What
        the run has no time for waits for the next one, with those that began to wait meanwhile.
        """
        waiting = await self._last_syncs.waiting_for_backfill()
        recheck = timedelta(seconds=self._timings.recheck_age)
        checks = await self._begins_check(is_read=is_read)
        others = await self._last_syncs.asked_longest_ago(BATCH, before=format_time(self._clock.now() - recheck))
        self._failed.keep_only(connection.id for connection in [*waiting, *others])
        again = islice(filter(self._is_due, others), int(checks))
        for connection in chain(self._for_a_while(waiting), again):
            try:
                await self.run_one(connection)
            except UpstreamBusy as error:
                # This says nothing about the connection: no other one would be told of either.
                log.warning("backfill_interrupted", detail=error.detail)
                return
            except UpstreamError as error:
                log.warning("backfill_failed", connection=connection.id, error=error.message, detail=error.detail)
                await self._pass_over(connection)
            except StorageUnavailable:
                raise
            except Exception:
                # Whatever is wrong with this one, the others are asked for.
                log.exception("backfill_failed", connection=connection.id)
                await self._pass_over(connection)

    def _for_a_while(self, waiting: Iterable[Connection]) -> Iterator[Connection]:
        """Yield those that may be asked for now. Calls that hang take all of a run's time, and no more than that."""
        until = self._clock.monotonic() + self._timings.one_by_one
        for connection in islice(filter(self._is_due, waiting), BATCH):
            yield connection
            if self._clock.monotonic() >= until:
                return

    async def _begins_check(self, *, is_read: bool) -> bool:
        """Return whether to check one connection now, and count that as done. Raises StorageUnavailable."""
        now = self._clock.monotonic()
        is_due = is_read or now - self._checked_at >= self._timings.unread_check
        begins = is_due and (is_read or await self._store.webhooks.is_any_listening())
        if begins:
            self._checked_at = now
        return begins

    async def _pass_over(self, connection: Connection) -> None:
        """Leave a connection alone for a while; until it was told of, its client's figures are stale."""
        self._failed.fail(connection.id)
        if connection.airbyte_id is not None:
            await self._last_syncs.require_backfill(airbyte_ids=[connection.airbyte_id])

    async def round_seconds(self) -> float | None:
        """Return how long ago the connection was asked for that was not for longest; None if none ever was.

        Raises StorageUnavailable.
        """
        oldest = await self._last_syncs.oldest_asked()
        return None if oldest is None else (self._clock.now() - parse_time(oldest)).total_seconds()

    def _is_due(self, connection: Connection) -> bool:
        workspace_id = connection.workspace_id
        return self._failed.is_due(connection.id) and (workspace_id is None or not self._lists.is_refused(workspace_id))

    async def run_one(self, connection: Connection) -> None:
        """Ask for the newest sync of one mapped connection, and for its workspace and status where unknown.

        A connection that Airbyte does not have counts as back-filled. One whose young last sync Airbyte does not list
        is asked for again, and is not called fresh until then. Raises UpstreamError, StorageUnavailable.
        """
        airbyte_id = connection.airbyte_id
        if airbyte_id is None:
            return
        if await self._last_syncs.read_upto() is None:
            await self._last_syncs.record([], read_upto=format_time(self._airbyte.now()))
        jobs: list[Job] = []
        known = (await self._last_syncs.known([airbyte_id])).get(airbyte_id)
        try:
            if connection.workspace_id is None:
                await self._read_connection(airbyte_id)
            jobs = await self._airbyte.jobs.recent_syncs(airbyte_id, limit=NEWEST)
            if known is not None and _is_missing(known, newest_syncs(jobs).get(airbyte_id)):
                if known.at >= format_time(self._airbyte.now() - APPEARS_WITHIN):
                    await self._pass_over(connection)
                    return
                log.warning("last_sync_vanished", airbyte_id=airbyte_id, job=known.job_id, at=known.at)
                await self._last_syncs.withdraw(known)
        except UpstreamRefused as refusal:
            if refusal.title != NOT_FOUND:
                raise
            log.warning("backfill_refused", connection=connection.id, detail=refusal.detail)
        await self._recorder.record(jobs, backfilled=[airbyte_id])

    async def _read_connection(self, airbyte_id: str) -> None:
        record = await self._airbyte.connection(airbyte_id)
        await record_statuses(self._store, [record], checked_at=format_time(self._clock.now()))


def _is_missing(known: LastSync, told: LastSync | None) -> bool:
    """Return whether Airbyte's newest sync is older than the stored one: it was restored from a backup, perhaps."""
    return told is None or told.order < known.order
