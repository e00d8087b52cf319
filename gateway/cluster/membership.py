"""This gateway among those that serve the same database: how many there are, and which of them it is."""

import asyncio
import math
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from gateway.errors import DatabaseRefused, StorageUnavailable
from gateway.store import LIVE_SECONDS, Store

HEARTBEAT_SECONDS = 2.0
LOOK_SECONDS = 0.5
SURE_SECONDS = 6.0
"""So long after its last heartbeat the others surely count a gateway as living: less than LIVE_SECONDS by what sending
something may take."""
STEADY_SECONDS = 5.0
"""Until all that live have said so again, after a time when none could."""
OUTAGE_SECONDS = 300.0
"""How long ago a gateway may have been seen last that could not say that it lives."""

log = structlog.get_logger()


class Membership:
    """Alone until it has joined. While the database is away, those seen last are taken for the cluster."""

    def __init__(self, store: Store, *, is_alone: bool) -> None:
        """`is_alone`: it bears no other beside it."""
        self.id = secrets.token_hex(8)
        self._gateways = store.gateways
        self._name = socket.gethostname()
        self._is_alone = is_alone
        self._live = [self.id]
        self._beat_at = -math.inf
        self._steady_from = -math.inf

    @property
    def count(self) -> int:
        return len(self._live)

    def share(self, places: int) -> int:
        """How many of so many are this gateway's, when each takes some by itself."""
        each, rest = divmod(places, len(self._live))
        return each + (self._live.index(self.id) < rest)

    @property
    def is_sure(self) -> bool:
        """Whether no other takes it for dead: if one may, nothing must be begun that is for one gateway alone."""
        return self._seconds_since_beat() < SURE_SECONDS

    def silence_seconds(self) -> float:
        """After how long a silent gateway is dead. Longer when the database was away: then all were silent."""
        is_steady = self._seconds_since_beat() < STEADY_SECONDS and self._now() >= self._steady_from
        return LIVE_SECONDS if is_steady else OUTAGE_SECONDS

    def _seconds_since_beat(self) -> float:
        return self._now() - self._beat_at

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """Raises DatabaseRefused beside another gateway if one of them bears no other."""
        began = self._now()
        await self._gateways.join(self.id, name=self._name, is_alone=self._is_alone)
        self._beat_at = began
        await self.look()
        beat = asyncio.create_task(self._keep_beating())
        try:
            yield
        finally:
            beat.cancel()
            await asyncio.wait({beat})
            with suppress(StorageUnavailable):
                await self._gateways.leave(self.id)

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                await self.beat()
                await self.look()
            except StorageUnavailable as error:
                log.warning("heartbeat_not_written", detail=error.detail)

    async def beat(self) -> None:
        began = self._now()
        await self._gateways.stay(self.id, name=self._name, is_alone=self._is_alone)
        if self._seconds_since_beat() > STEADY_SECONDS:
            self._steady_from = self._now() + STEADY_SECONDS
        self._beat_at = began

    async def look(self) -> None:
        live = [gateway.id for gateway in await self._gateways.live()]
        self._live = live if self.id in live else [*live, self.id]


async def require_room(store: Store, *, is_alone: bool, waits: Callable[[str], None]) -> None:
    """Before anything is set up: raises DatabaseRefused as `joined` would.

    One that was killed counts as live for a while: a gateway that is started in its place waits for so long, and
    `waits` is told why.
    """
    member = Membership(store, is_alone=is_alone)
    for attempt in range(int(LIVE_SECONDS / LOOK_SECONDS)):
        try:
            async with member.joined():
                return
        except DatabaseRefused as refusal:
            if attempt == 0:
                waits(str(refusal))
        await asyncio.sleep(LOOK_SECONDS)
    async with member.joined():
        return
