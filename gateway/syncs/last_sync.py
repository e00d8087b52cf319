"""Keeps every connection's last sync and status near Airbyte's, without a call per connection or per request.

One incremental question ("which jobs changed since?") over all workspaces in use refreshes all connections of all
clients, at most once in `freshness_seconds`, shared by whoever waits, on whichever gateway. A new mapping is
back-filled by one call.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog

from gateway.airbyte import MAX_JOBS, Airbyte
from gateway.errors import GatewayError, StorageUnavailable, UpstreamRefused
from gateway.models import Connection, Job
from gateway.single_flight import SingleFlight
from gateway.store import LastSync, Store
from gateway.store.leadership import Leadership, SoleLeadership
from gateway.times import Clock, format_time, parse_time

OVERLAP = timedelta(seconds=10)
"""Asked for again each time: Airbyte's clock is known to a second, and a row appears at commit, after `updatedAt`."""
WAIT_SECONDS = 2.0
"""From the beginning of a refresh, readers wait this long for it; then, and whoever comes later, get what is known."""
MAX_PAGES = 20
"""More changes than this many pages hold: ask for each connection again instead."""
WORKSPACES_PER_CALL = 100
"""A workspace takes 37 bytes of URL; Airbyte takes 32 KB of request head."""
WRITE_AFTER = timedelta(minutes=1)
"""How far reading goes on before it is noted: asking for a minute twice costs less than a write each time."""
BACKFILL_BATCH = 100
LAST_SYNCS = "last syncs"
TURN_SECONDS = 15.0
"""After so long without an end another gateway begins anew: this one may have been killed. Two at once do no harm."""
LOOK_SECONDS = 0.05
FRESH = "fresh"
STALE = "stale"
STATUS_AGE = timedelta(hours=1)

log = structlog.get_logger()


class LastSyncRefresh:
    """Reads call `ensure`; nothing happens when nobody reads."""

    def __init__(
        self,
        store: Store,
        airbyte: Airbyte,
        clock: Clock,
        *,
        freshness_seconds: float,
        leadership: Leadership | None = None,
    ) -> None:
        self._last_syncs = store.last_syncs
        self._airbyte = airbyte
        self._clock = clock
        self._freshness_seconds = freshness_seconds
        self._leadership = leadership or SoleLeadership()
        self._flight: SingleFlight[str, None] = SingleFlight()
        self._refreshed_at = float("-inf")
        self._begun_at = 0.0
        self._is_fresh = False
        self._recorded: dict[str, LastSync] = {}

    async def ensure(self) -> bool:
        """Whether the stored figures are at most `freshness_seconds` old, after refreshing them if need be."""
        now = self._clock.monotonic()
        if now - self._refreshed_at < self._freshness_seconds:
            return self._is_fresh
        if LAST_SYNCS not in self._flight:
            self._begun_at = now
        flight = self._flight.start(LAST_SYNCS, self._refresh)
        patience = self._begun_at + WAIT_SECONDS - now
        if patience > 0:
            await asyncio.wait({flight}, timeout=patience)
        return flight.done() and self._is_fresh

    async def note(self, job: Job, airbyte_id: str) -> None:
        """A job we have just seen start is news already."""
        await self._record([job] if job.connection_id == airbyte_id else [])

    async def close(self) -> None:
        await self._flight.close(cancel=True)

    async def _refresh(self) -> None:
        if not await self._is_done_elsewhere():
            await self._refresh_here()

    async def _refresh_here(self) -> None:
        try:
            await self._read_changes()
            await self._backfill()
            self._is_fresh = True
        except GatewayError as error:
            self._is_fresh = False
            log.warning("last_sync_refresh_failed", error=str(error), detail=getattr(error, "detail", ""))
        finally:
            # A failure counts as an attempt: a broken Airbyte is asked no more often than a sound one.
            self._refreshed_at = self._clock.monotonic()
        await self._tell_others()
        await self._start_status_check()

    async def _is_done_elsewhere(self) -> bool:
        """Wait while another gateway is at it; False when it is this one's turn, or nobody can tell."""
        try:
            while not await self._leadership.acquire(
                LAST_SYNCS, seconds=TURN_SECONDS, unless_done_within=self._freshness_seconds
            ):
                if await self._has_followed():
                    return True
        except StorageUnavailable as error:
            log.warning("last_sync_turn_not_known", detail=error.detail)
        return False

    async def _has_followed(self) -> bool:
        """Whether the other gateway, or another after it, ended the refresh well or badly; not if it gave up."""
        while True:
            state = await self._leadership.state(LAST_SYNCS)
            age = state.done_seconds_ago
            if age is not None and age < self._freshness_seconds:
                self._is_fresh = state.note == FRESH
                self._refreshed_at = self._clock.monotonic() - age
                return True
            if state.holder is None:
                return False
            await asyncio.sleep(LOOK_SECONDS)

    async def _tell_others(self) -> None:
        try:
            await self._leadership.complete(LAST_SYNCS, FRESH if self._is_fresh else STALE)
        except StorageUnavailable as error:
            log.warning("last_sync_refresh_not_told", detail=error.detail)

    async def _read_changes(self) -> None:
        workspaces = await self._last_syncs.workspaces_in_use()
        read_upto = await self._last_syncs.read_upto()
        started = self._airbyte.now()
        # A clock that was ahead once must not keep us from asking about the present.
        since = min(parse_time(read_upto), started) if read_upto else started
        for first in range(0, len(workspaces), WORKSPACES_PER_CALL):
            some = workspaces[first : first + WORKSPACES_PER_CALL]
            await self._record(await self._changes(some, since - OVERLAP))
        if workspaces and (read_upto is None or abs(started - parse_time(read_upto)) > WRITE_AFTER):
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

    async def _record(self, jobs: Iterable[Job], *, backfilled: Iterable[str] = ()) -> None:
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

    async def _backfill(self) -> None:
        while waiting := await self._last_syncs.waiting_for_backfill(BACKFILL_BATCH):
            for connection in waiting:
                await self.backfill(connection)

    async def backfill(self, connection: Connection) -> None:
        """Ask for the newest sync of one mapped connection, and for its workspace and status where unknown."""
        airbyte_id = connection.airbyte_id
        if airbyte_id is None:
            return
        if await self._last_syncs.read_upto() is None:
            await self._last_syncs.record([], read_upto=format_time(self._airbyte.now()))
        jobs: list[Job] = []
        try:
            if connection.workspace_id is None:
                await self._learn(airbyte_id)
            jobs = await self._airbyte.jobs(airbyte_id, caller="gateway", limit=1)
        except UpstreamRefused as refusal:
            log.warning("backfill_refused", connection=connection.id, detail=refusal.detail)
        await self._record(jobs, backfilled=[airbyte_id])

    async def _learn(self, airbyte_id: str) -> None:
        record = await self._airbyte.connection(airbyte_id)
        await self._last_syncs.record_statuses(
            [(airbyte_id, record.status)],
            checked_at=format_time(self._clock.now()),
            workspace_id=record.workspace_id,
        )

    async def _start_status_check(self) -> None:
        oldest = await self._last_syncs.oldest_status_check()
        if oldest is not None and oldest < format_time(self._clock.now() - STATUS_AGE):
            self._flight.start("statuses", self._refresh_statuses)

    async def _refresh_statuses(self) -> None:
        """Airbyte lists connections in no order: one that is missing from a pass is left as it is."""
        now = format_time(self._clock.now())
        workspaces = await self._last_syncs.workspaces_in_use()
        try:
            for first in range(0, len(workspaces), WORKSPACES_PER_CALL):
                await self._read_statuses(workspaces[first : first + WORKSPACES_PER_CALL], now)
        except GatewayError as error:
            log.warning("status_refresh_failed", error=str(error), detail=getattr(error, "detail", ""))
        await self._last_syncs.mark_statuses_checked(now)

    async def _read_statuses(self, workspaces: list[str], now: str) -> None:
        offset = 0
        while page := await self._airbyte.connections(workspaces, offset=offset, include_deleted=True):
            statuses = [(record.connection_id, record.status) for record in page]
            await self._last_syncs.record_statuses(statuses, checked_at=now)
            offset += len(page)


def newest_syncs(jobs: Iterable[Job]) -> dict[str, LastSync]:
    """The newest sync job of each connection among `jobs`. Job ids grow with time, over the whole Airbyte."""
    newest: dict[str, LastSync] = {}
    for job in jobs:
        known = newest.get(job.connection_id)
        if job.job_type == "sync" and job.start_time and (known is None or known.job_id < job.job_id):
            newest[job.connection_id] = LastSync(job.connection_id, job.job_id, job.start_time, job.status)
    return newest
