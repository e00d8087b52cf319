"""Look each minute at what needs the operator, and tell him: once when it begins, once when it is over."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress

import structlog

from gateway.background import Progress
from gateway.errors import StorageUnavailable
from gateway.models import Notice
from gateway.notices.channels import Channel, NoticeRefused, NotTold
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
        self._problems: dict[str, str] = {}
        """What was wrong with a channel last time, of which the log has told."""
        self._refused: dict[str, Collection[str]] = {}
        """Matters whose notice a channel refused last time."""

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
        # A channel may never take one of them, as a mail server that calls a name in it spam: no other waits for that.
        refused_before = self._refused.get(channel.name, ())
        due.sort(key=lambda notice: notice.matter in refused_before)
        problem = ""
        refused: list[str] = []
        for notice in due[:MOST_OF_LOOK]:
            try:
                await self._tell_one(channel, notice)
            except NoticeRefused as error:
                problem = str(error)
                refused.append(notice.matter)
            except NotTold as error:
                problem = str(error)
                break
        self._refused[channel.name] = refused
        if problem and self._problems.get(channel.name) != problem:
            log.warning("notice_not_told", channel=channel.name, error=problem, waiting=len(due))
        self._problems[channel.name] = problem

    async def _tell_one(self, channel: Channel, notice: Notice) -> None:
        missed = await channel.tell(notice)
        log.info("notice_told", channel=channel.name, matter=notice.matter, is_over=notice.is_over)
        if missed:
            log.warning("notice_not_told_to_all", channel=channel.name, error=missed)
        await self._notices.mark_told(channel.name, notice, now=format_time(self._clock.now()))
