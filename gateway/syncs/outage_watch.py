"""Notice when Airbyte as a whole stops answering and when it answers again, for all gateways and across restarts."""

import structlog

from gateway.airbyte import Airbyte
from gateway.errors import StorageUnavailable, UpstreamBusy, UpstreamError
from gateway.store import Store
from gateway.times import Clock, format_time

log = structlog.get_logger()


class OutageWatch:
    """Hears how each reading of all connections' changes ended. It writes only what is news."""

    def __init__(self, store: Store, airbyte: Airbyte, clock: Clock) -> None:
        self._outages = store.outages
        self._is_shared = store.is_shared
        self._airbyte = airbyte
        self._clock = clock
        self._is_over = False
        """None is stored. Of several gateways another one may have stored one since, so there it stays False."""

    async def failed(self, error: UpstreamError) -> None:
        """Note why a reading failed, unless it only found no permit; never fail."""
        if isinstance(error, UpstreamBusy) and self._airbyte.state()["breaker"] == "closed":
            return
        trouble = self._airbyte.troubles.explain(error)
        self._is_over = False
        try:
            known = await self._outages.current()
            if known is None or known.trouble != trouble:
                await self._outages.note(trouble, at=format_time(self._clock.now()))
        except StorageUnavailable as failure:
            log.warning("outage_not_noted", detail=failure.detail)

    async def answered(self) -> None:
        """Note that Airbyte answered a reading; never fail."""
        if self._is_over:
            return
        try:
            if await self._outages.current() is not None:
                await self._outages.end()
            self._is_over = not self._is_shared
        except StorageUnavailable as failure:
            log.warning("outage_not_ended", detail=failure.detail)
