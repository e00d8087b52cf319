"""What a refusal of Airbyte's about a connection of ours means for its owner, whose own request was fine."""

from http import HTTPStatus

import structlog

from gateway.airbyte import Airbyte, Caller
from gateway.errors import ApiError, ConnectionNotActive, ConnectionNotFound, UpstreamForbidden, UpstreamRefused
from gateway.models import ACTIVE
from gateway.store import Store
from gateway.syncs.best_effort import best_effort
from gateway.syncs.statuses import record_statuses, record_vanished
from gateway.times import Clock, format_time

ALREADY_RUNNING = "try-again-later"
STATE_CONFLICT = "state-conflict"
NOT_FOUND = "resource-not-found"

log = structlog.get_logger()


class Refusals:
    """Translates Airbyte's refusals, and stores the connection's status where they tell it."""

    def __init__(self, store: Store, airbyte: Airbyte, clock: Clock) -> None:
        self._store = store
        self._airbyte = airbyte
        self._clock = clock

    async def error_for(self, refusal: UpstreamRefused, airbyte_id: str) -> ApiError:
        """Return what to raise in the refusal's place; the refusal itself if it says nothing about the connection."""
        if refusal.upstream_status == HTTPStatus.NOT_FOUND and refusal.title == NOT_FOUND:
            await best_effort(record_vanished(self._store, airbyte_id, checked_at=self._now()))
            return ConnectionNotFound(detail=f"Airbyte has no connection {airbyte_id}")
        if refusal.upstream_status == HTTPStatus.FORBIDDEN:
            log.error("airbyte_forbidden", airbyte_id=airbyte_id)
            return UpstreamForbidden(detail="403: the credential may not read this connection")
        return refusal

    async def require_active(self, airbyte_id: str, *, caller: Caller) -> None:
        """Ask Airbyte for the status, under a trigger's permit, and store it.

        Raises ConnectionNotActive unless it is active; ConnectionNotFound, UpstreamError.
        """
        try:
            record = await self._airbyte.connection_of_trigger(airbyte_id, caller=caller)
        except UpstreamRefused as refusal:
            raise await self.error_for(refusal, airbyte_id) from refusal
        await best_effort(record_statuses(self._store, [record], checked_at=self._now()))
        if record.status != ACTIVE:
            raise ConnectionNotActive(record.status)

    def _now(self) -> str:
        return format_time(self._clock.now())
