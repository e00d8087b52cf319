"""Elect the one gateway that refreshes the last syncs for all, and tell the others how its refresh ended."""

import asyncio
from collections.abc import Collection

import msgspec
import structlog

from gateway.errors import StorageUnavailable
from gateway.store.leadership import Leadership
from gateway.syncs.timings import LastSyncTimings

LAST_SYNCS = "last syncs"
FRESH = "fresh"
STALE = "stale"

log = structlog.get_logger()


class Refreshed(msgspec.Struct, frozen=True):
    """How another gateway's refresh ended, how long ago, and the workspaces that Airbyte did not tell of."""

    is_fresh: bool
    seconds_ago: float
    unread: frozenset[str] = frozenset()


class RefreshLeader:
    """Leads a refresh, or follows the gateway that does. A gateway alone always leads."""

    def __init__(self, leadership: Leadership, *, timings: LastSyncTimings) -> None:
        self._leadership = leadership
        self._timings = timings

    async def lead_or_follow(self, freshness_seconds: float) -> Refreshed | None:
        """Wait while another gateway refreshes and return how that ended; None if this gateway must refresh.

        One that ended less than `freshness_seconds` ago is followed. This gateway must refresh when it holds the lease
        now, or when storage cannot tell who does.
        """
        try:
            while not await self._leadership.acquire(
                LAST_SYNCS, seconds=self._timings.lease, unless_done_within=freshness_seconds
            ):
                refreshed = await self._follow(freshness_seconds)
                if refreshed is not None:
                    return refreshed
        except StorageUnavailable as error:
            log.warning("last_sync_lease_unknown", detail=error.detail)
        return None

    async def _follow(self, freshness_seconds: float) -> Refreshed | None:
        """Return how the refresh of the other gateway, or of another after it, ended; None if its lease ended first."""
        while True:
            state = await self._leadership.state(LAST_SYNCS)
            age = state.done_seconds_ago
            if age is not None and age < freshness_seconds:
                return _refreshed(state.note or STALE, age)
            if state.holder is None:
                return None
            await asyncio.sleep(self._timings.poll_interval)

    async def publish(self, *, is_fresh: bool, unread: Collection[str] = ()) -> None:
        """Tell the others how this gateway's refresh ended, and give up the lease; never fail."""
        try:
            await self._leadership.complete(LAST_SYNCS, _note(is_fresh=is_fresh, unread=unread))
        except StorageUnavailable as error:
            log.warning("last_sync_refresh_not_published", detail=error.detail)


def _note(*, is_fresh: bool, unread: Collection[str]) -> str:
    """Return the word for how a refresh ended, and the ids of the workspaces that it passed over."""
    return " ".join([FRESH, *sorted(unread)]) if is_fresh else STALE


def _refreshed(note: str, seconds_ago: float) -> Refreshed:
    word, *unread = note.split(" ")
    return Refreshed(word == FRESH, seconds_ago, frozenset(unread))
