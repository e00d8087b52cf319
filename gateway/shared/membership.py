"""This gateway among those that serve the same database: how many there are, and which of them it is."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from gateway.errors import DatabaseRefused, StorageUnavailable
from gateway.store import LIVE_SECONDS, Store

HEART_BEAT_SECONDS = 2.0
LOOK_SECONDS = 0.5

log = structlog.get_logger()


class Membership:
    """Alone until it has joined. While the database is away, those seen last are taken for the fleet."""

    def __init__(self, store: Store, *, is_alone: bool) -> None:
        """`is_alone`: it bears no other beside it."""
        self.id = secrets.token_hex(8)
        self._gateways = store.gateways
        self._name = socket.gethostname()
        self._is_alone = is_alone
        self._live = [self.id]

    @property
    def count(self) -> int:
        return len(self._live)

    def share(self, places: int) -> int:
        """How many of so many are this gateway's, when each takes some by itself."""
        each, rest = divmod(places, len(self._live))
        return each + (self._live.index(self.id) < rest)

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """Raises DatabaseRefused beside another gateway if one of them bears no other."""
        await self._gateways.join(self.id, name=self._name, is_alone=self._is_alone)
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
            await asyncio.sleep(HEART_BEAT_SECONDS)
            try:
                await self._gateways.stay(self.id, name=self._name, is_alone=self._is_alone)
                await self.look()
            except StorageUnavailable as error:
                log.warning("heart_beat_not_written", detail=error.detail)

    async def look(self) -> None:
        live = [gateway.id for gateway in await self._gateways.live()]
        self._live = live if self.id in live else [*live, self.id]


async def require_room(store: Store, *, is_alone: bool) -> None:
    """Before anything is set up: raises DatabaseRefused as `joined` would.

    One that was killed counts as live for a while: a gateway that is started in its place waits for so long.
    """
    member = Membership(store, is_alone=is_alone)
    for _ in range(int(LIVE_SECONDS / LOOK_SECONDS)):
        with suppress(DatabaseRefused):
            async with member.joined():
                return
        await asyncio.sleep(LOOK_SECONDS)
    async with member.joined():
        return
