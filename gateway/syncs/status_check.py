"""Read each mapped connection's status, schedule and workspace from Airbyte, in the background, hourly at most."""

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta

import structlog

from gateway.airbyte import Airbyte
from gateway.errors import GatewayError, UpstreamError
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.statuses import record_statuses
from gateway.syncs.timings import LastSyncTimings
from gateway.syncs.workspace_lists import WorkspaceLists
from gateway.times import Clock, format_time

STATUS_CHECK = "statuses"
MOST_UNLISTED = 20
"""Connections of one check that are asked for by themselves."""

log = structlog.get_logger()


class StatusCheck:
    """One check at a time."""

    def __init__(self, store: Store, airbyte: Airbyte, clock: Clock, timings: LastSyncTimings) -> None:
        """Check again when the oldest status is `timings.status_age` seconds old."""
        self._store = store
        self._last_syncs = store.last_syncs
        self._airbyte = airbyte
        self._clock = clock
        self._timings = timings
        self._longest_age = timedelta(seconds=2 * timings.status_age)
        self._lists = WorkspaceLists(clock, timings.workspaces, at_once=airbyte.own_calls_at_once)
        self._flight: SingleFlight[str, None] = SingleFlight(
            tell=lambda error: log.error("status_refresh_failed", exc_info=error), is_for_all=True
        )
        self._not_before = float("-inf")
        self._unlisted_asked = 0

    async def start_if_due(self) -> None:
        """Start a check behind the caller's back if a status has become too old. Raises StorageUnavailable."""
        if self._clock.monotonic() < self._not_before:
            return
        oldest = await self._store.statuses.oldest_check()
        age = timedelta(seconds=self._timings.status_age)
        if oldest is not None and oldest < format_time(self._clock.now() - age):
            self._flight.start(STATUS_CHECK, self._run)

    def is_current(self, told_at: datetime | None) -> bool:
        """Return whether a status that was told then is no older than twice its cadence; None: there is no status."""
        return told_at is None or self._clock.now() - told_at <= self._longest_age

    @property
    def under_way(self) -> asyncio.Task[None] | None:
        """The check that is being made, if one is."""
        return self._flight.start(STATUS_CHECK, self._run) if STATUS_CHECK in self._flight else None

    async def close(self) -> None:
        """Cancel the check under way."""
        await self._flight.close(cancel=True)

    async def _run(self) -> None:
        """Read all statuses. Airbyte lists connections in no order: one that a pass misses is left as it is."""
        began = self._clock.monotonic()
        # What cannot be read stays old, and shall not be asked for all the time.
        self._not_before = began + self._timings.status_retry
        try:
            failure = await self._read_all()
        except GatewayError as error:
            failure = error
        if failure is None:
            # As old as what is marked: a status is told as of the check's beginning, however long it took.
            self._not_before = began + self._timings.status_age
        else:
            log.warning("status_refresh_failed", error=str(failure), detail=getattr(failure, "detail", ""))

    async def _read_all(self) -> GatewayError | None:
        """Read and mark what Airbyte tells; return why the rest could not be read. Raises StorageUnavailable."""
        now = format_time(self._clock.now())
        workspaces = await self._last_syncs.workspaces_in_use()
        reading = await self._lists.read(workspaces, lambda some: self._read(some, now))
        retried = await self._lists.retry(lambda some: self._read(some, now))
        read = reading.read | retried.read
        # One in a refused workspace may have moved out of it.
        await self._ask_unlisted(now, read | self._lists.refused)
        await self._store.statuses.mark_checked(now, read)
        return reading.failure

    async def _ask_unlisted(self, now: str, workspaces: Collection[str]) -> None:
        """Ask for connections in no list: they may have moved to another workspace. Raises StorageUnavailable."""
        unlisted = await self._store.statuses.older_than(now, workspaces)
        # Each check goes on where the last one stopped: what never answers keeps no other from being asked for.
        first = self._unlisted_asked % max(1, len(unlisted))
        chosen = [*unlisted[first:], *unlisted[:first]][:MOST_UNLISTED]
        self._unlisted_asked = first + len(chosen)
        for airbyte_id in chosen:
            try:
                record = await self._airbyte.connection(airbyte_id)
            except UpstreamError as error:
                log.warning("connection_not_listed", airbyte_id=airbyte_id, detail=error.detail)
                continue
            await record_statuses(self._store, [record], checked_at=now)

    async def _read(self, workspaces: list[str], now: str) -> None:
        async for page in self._airbyte.lists.connection_pages(workspaces):
            await record_statuses(self._store, page.rows, checked_at=now)
