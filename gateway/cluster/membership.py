"""Know which gateways serve the same database, by their heartbeats: how many there are, and which is this one."""

import asyncio
import math
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from gateway.background import Background, Progress
from gateway.cluster.timings import MembershipTimings
from gateway.errors import DatabaseRefused, StorageUnavailable
from gateway.store import Store

HEARTBEAT = "heartbeat"

log = structlog.get_logger()


class Membership:
    """One gateway among those of its database: alone until it has joined.

    While the database is unavailable, the gateways seen last count as the cluster.
    """

    def __init__(
        self,
        store: Store,
        *,
        monotonic: Callable[[], float],
        background: Background,
        is_alone: bool,
        timings: MembershipTimings | None = None,
    ) -> None:
        """`is_alone`: no other gateway may serve the database beside this one."""
        self.id = secrets.token_hex(8)
        self._gateways = store.gateways
        self._monotonic = monotonic
        self._background = background
        self._is_alone = is_alone
        self._timings = timings or MembershipTimings()
        self._name = socket.gethostname()
        self._live = [self.id]
        self._heartbeat_at = -math.inf
        self._settled_from = -math.inf

    @property
    def count(self) -> int:
        """How many gateways there are, this one among them."""
        return len(self._live)

    def share(self, permits: int) -> int:
        """Return how many of so many permits are this gateway's, when each gateway takes some by itself."""
        each, rest = divmod(permits, len(self._live))
        return each + (self._live.index(self.id) < rest)

    @property
    def is_sure(self) -> bool:
        """Whether no other gateway takes this one for dead: if one may, nothing must be begun that only one may do."""
        return self._seconds_since_heartbeat() < self._timings.sure

    def silence_seconds(self) -> float:
        """Return after how long a silent gateway is dead: longer after an outage, when all were silent."""
        timings = self._timings
        is_settled = self._seconds_since_heartbeat() < timings.settling and self._monotonic() >= self._settled_from
        return self._gateways.live_seconds if is_settled else timings.outage

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """Be a member. Raises DatabaseRefused beside another gateway if one of the two has to be alone."""
        began = self._monotonic()
        await self._gateways.join(self.id, name=self._name, is_alone=self._is_alone)
        self._heartbeat_at = began
        await self.read_members()
        heartbeats = self._background.start(HEARTBEAT, self._send_heartbeats, is_vital=True)
        try:
            yield
        finally:
            await heartbeats.stop()
            with suppress(StorageUnavailable):
                await self._gateways.leave(self.id)

    async def require_room(self, *, tell: Callable[[str], None]) -> None:
        """Raise DatabaseRefused as `joined` would, before anything is set up.

        A gateway that was killed counts as live for a while: one that is started instead of it waits for so long, and
        `tell` is called with the reason.
        """
        for attempt in range(int(self._timings.room_wait / self._timings.room_check)):
            try:
                async with self.joined():
                    return
            except DatabaseRefused as refusal:
                if attempt == 0:
                    tell(str(refusal))
            await asyncio.sleep(self._timings.room_check)
        async with self.joined():
            return

    async def send_heartbeat(self) -> None:
        """Say that this gateway lives. Raises StorageUnavailable."""
        began = self._monotonic()
        await self._gateways.stay(self.id, name=self._name, is_alone=self._is_alone)
        if self._seconds_since_heartbeat() > self._timings.settling:
            self._settled_from = self._monotonic() + self._timings.settling
        self._heartbeat_at = began

    async def read_members(self) -> None:
        """Read which gateways live. Raises StorageUnavailable."""
        live = [gateway.id for gateway in await self._gateways.live()]
        self._live = live if self.id in live else [*live, self.id]

    async def _send_heartbeats(self, progress: Progress) -> None:
        while True:
            await asyncio.sleep(self._timings.heartbeat)
            try:
                await self.send_heartbeat()
                await self.read_members()
            except StorageUnavailable as error:
                log.warning("heartbeat_not_written", detail=error.detail)
            # Also after a failure: the task runs, and storage that refuses writes is every gateway's at once.
            progress()

    def _seconds_since_heartbeat(self) -> float:
        return self._monotonic() - self._heartbeat_at
