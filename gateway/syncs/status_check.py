"""Read the status of every mapped connection from Airbyte, in the background and at most once an hour."""

from datetime import timedelta

import structlog

from gateway.airbyte import Airbyte
from gateway.errors import GatewayError
from gateway.single_flight import SingleFlight
from gateway.store import Store
from gateway.syncs.change_reader import workspace_batches
from gateway.times import Clock, format_time

STATUSES = "statuses"

log = structlog.get_logger()


class StatusCheck:
    """One check at a time."""

    def __init__(self, store: Store, airbyte: Airbyte, clock: Clock, *, age_seconds: float) -> None:
        """Check again when the oldest status is `age_seconds` old."""
        self._last_syncs = store.last_syncs
        self._airbyte = airbyte
        self._clock = clock
        self._age = timedelta(seconds=age_seconds)
        self._flight: SingleFlight[str, None] = SingleFlight()

    async def start_if_due(self) -> None:
        """Start a check behind the caller's back if a status has become too old. Raises StorageUnavailable."""
        oldest = await self._last_syncs.oldest_status_check()
        if oldest is not None and oldest < format_time(self._clock.now() - self._age):
            self._flight.start(STATUSES, self._run)

    async def close(self) -> None:
        """Cancel the check under way."""
        await self._flight.close(cancel=True)

    async def _run(self) -> None:
        """Read all statuses. Airbyte lists connections in no order: one that a pass misses is left as it is."""
        now = format_time(self._clock.now())
        workspaces = await self._last_syncs.workspaces_in_use()
        try:
            for some in workspace_batches(workspaces):
                await self._read(some, now)
        except GatewayError as error:
            log.warning("status_refresh_failed", error=str(error), detail=getattr(error, "detail", ""))
        await self._last_syncs.mark_statuses_checked(now)

    async def _read(self, workspaces: list[str], now: str) -> None:
        offset = 0
        while page := await self._airbyte.connections(workspaces, offset=offset, include_deleted=True):
            statuses = [(record.connection_id, record.status) for record in page]
            await self._last_syncs.record_statuses(statuses, checked_at=now)
            offset += len(page)
