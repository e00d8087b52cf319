"""Look each minute at what needs the operator, and tell him: once when it begins, once when it is over."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from gateway.background import Progress
from gateway.errors import StorageUnavailable
from gateway.models import Notice
from gateway.notices.channels import Channel, NotTold
from gateway.notices.matters import Found, Matters
from gateway.notices.timings import NoticeTimings
from gateway.store import Store
from gateway.store.leadership import Leadership
from gateway.times import Clock, format_time

NOTICES = "notices"
"""The task that tells the operator, as logs, /readyz and /metrics name it."""
MOST_OF_LOOK = 8
"""Messages of one look on one channel: the others follow a minute later."""

log = structlog.get_logger()


class NoticeWatch:
    """Tells the operator, of several gateways one. A channel that does not answer is tried again each minute."""

    def __init__(
        self,
        store: Store,
        matters: Matters,
        channels: Sequence[Channel],
        clock: Clock,
        *,
        leadership: Leadership,
        timings: NoticeTimings,
    ) -> None:
        self._notices = store.notices
        self._matters = matters
        self.channels = channels
        self._clock = clock
        self._leadership = leadership
        self._timings = timings
        self._failing: set[str] = set()
        """Channels that failed last time, of which the log has told."""

    async def run(self, progress: Progress) -> None:
        """Look and tell, until cancelled."""
        while True:
            try:
                await self.look()
            except StorageUnavailable as error:
                log.warning("notices_not_read", detail=error.detail)
            progress()
            await asyncio.sleep(self._timings.interval)

    async def look(self) -> None:
        """Look once, and tell what is new. Raises StorageUnavailable.

        The lease is kept from look to look: what gateways see of Airbyte and of backups differs, and one alone tells.
        """
        if not await self._leadership.acquire(NOTICES, seconds=self._timings.lease):
            return
        found = await self._matters.look()
        # Each ends by itself: one that is still telling must not meet the next look.
        ends = await asyncio.gather(*(self._tell(channel, found) for channel in self.channels), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end

    async def close(self) -> None:
        """Let another gateway tell at once."""
        with suppress(StorageUnavailable):
            await self._leadership.complete(NOTICES)

    async def _tell(self, channel: Channel, found: Found) -> None:
        now = format_time(self._clock.now())
        known = await self._notices.update(channel.name, found.texts, unknown=found.unknown, now=now)
        due = [each.notice for each in known if each.notice.is_over or not each.is_told]
        try:
            for notice in due[:MOST_OF_LOOK]:
                await self._tell_one(channel, notice)
        except NotTold as error:
            if channel.name not in self._failing:
                log.warning("notice_not_told", channel=channel.name, error=str(error), waiting=len(due))
            self._failing.add(channel.name)
        else:
            self._failing.discard(channel.name)

    async def _tell_one(self, channel: Channel, notice: Notice) -> None:
        await channel.tell(notice)
        log.info("notice_told", channel=channel.name, matter=notice.matter, is_over=notice.is_over)
        await self._notices.mark_told(channel.name, notice, now=format_time(self._clock.now()))
