"""Calls to Airbyte at once: at most so many for all gateways together, for Airbyte has only so many threads."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from gateway.airbyte import PERMIT_WAIT_SECONDS, Bulkhead, Kind
from gateway.cluster.scripts import GIVE, KEEP, TAKE_PLACE, BackendUnavailable, Runner
from gateway.errors import UpstreamBusy

KIND_KEYS = {"read": "gateway:places:read", "trigger": "gateway:places:trigger"}
HOLD_SECONDS = 6.0
"""After this without a word from who took it a place is free again: its gateway was killed."""
KEEP_SECONDS = 2.0
AGAIN_SECONDS = 0.1
"""How often a place is given back that could not be."""
LOOK_SECONDS = 0.02
"""How often one who waits looks for a place; nobody tells him."""


class SharedBulkhead(Bulkhead):
    """First a place of this gateway's, which keeps callers and kinds fair, then one of the cluster's."""

    def __init__(
        self,
        size: int,
        valkey: Runner,
        *,
        share: Callable[[int], int],
        may_trigger: Callable[[], bool],
        monotonic: Callable[[], float],
    ) -> None:
        """`share` tells how many of so many places are this gateway's when nobody can be asked.

        `may_trigger` is false while others may take this gateway for dead, and its triggers for theirs.
        """
        super().__init__(size, monotonic=monotonic)
        self._cluster_size = size
        self._cluster_of_kind = size - 1
        self._valkey = valkey
        self._share = share
        self._may_trigger = may_trigger
        self._held: dict[str, Kind] = {}
        self._asked: dict[str, asyncio.Future[object]] = {}
        self._telling = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._givers: set[asyncio.Task[None]] = set()
        self._is_closing = False

    @asynccontextmanager
    async def permit(self, kind: Kind, caller: str) -> AsyncIterator[None]:
        """Hold a place. Raises UpstreamBusy when none is free in time."""
        async with super().permit(kind, caller):
            holder = secrets.token_hex(8)
            await self._take(kind, holder)
            try:
                if kind == "trigger" and not self._may_trigger():
                    raise UpstreamBusy(detail="this gateway stood still: another may be at this trigger by now")
                yield
            finally:
                self._give(holder)

    async def close(self) -> None:
        self._is_closing = True
        if self._givers:
            await asyncio.wait(self._givers)
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})

    async def _take(self, kind: Kind, holder: str) -> None:
        """Noted as held before it is asked for: whoever is cancelled meanwhile gives back what he may have got."""
        self._held[holder] = kind
        try:
            async with asyncio.timeout(PERMIT_WAIT_SECONDS):
                while not await self._has_taken(kind, holder):  # noqa: ASYNC110 - the event is on another machine
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            self._give(holder)
            raise UpstreamBusy(detail=f"no place for a {kind} in the cluster within {PERMIT_WAIT_SECONDS} s") from None
        except BaseException:
            self._give(holder)
            raise
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    async def _has_taken(self, kind: Kind, holder: str) -> bool:
        mine = KIND_KEYS[kind]
        keys = (mine, *(key for key in KIND_KEYS.values() if key != mine))
        arguments = (self._cluster_size, self._cluster_of_kind, HOLD_SECONDS, holder)
        # Not cancelled with the caller: what was asked may be done, and is taken back only after its answer.
        self._asked[holder] = asyncio.ensure_future(self._valkey.run(TAKE_PLACE, keys, arguments))
        try:
            return bool(await asyncio.shield(self._asked[holder]))
        except BackendUnavailable:
            share = self._share(self._cluster_size)
            if not share:
                raise UpstreamBusy(detail="this gateway has no share of the places") from None
            return self._rank_of(holder) < share

    def _rank_of(self, holder: str) -> int:
        return list(self._held).index(holder)

    def _give(self, holder: str) -> None:
        """Nobody waits for it to be told: a place that cannot be given back ends by itself."""
        giver = asyncio.create_task(self._tell(KIND_KEYS[self._held.pop(holder)], holder, self._asked.pop(holder)))
        self._givers.add(giver)
        giver.add_done_callback(self._givers.discard)

    async def _tell(self, key: str, holder: str, asked: asyncio.Future[object]) -> None:
        with suppress(BackendUnavailable):
            await asked
        # A server that was away for a moment would otherwise take all places that came free in it for taken.
        with suppress(TimeoutError):
            async with asyncio.timeout(HOLD_SECONDS):
                while not await self._has_given(key, holder) and not self._is_closing:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(AGAIN_SECONDS)

    async def _has_given(self, key: str, holder: str) -> bool:
        try:
            # One that is told as kept just now must not be told so after that; places given back delay each other not.
            async with self._telling:
                pass
            await self._valkey.run(GIVE, (key,), (holder,))
        except BackendUnavailable:
            return False
        return True

    async def _keep(self) -> None:
        """Until nothing is held."""
        while self._held:
            with suppress(BackendUnavailable):
                # What is given back meanwhile must not be told as kept after that.
                async with self._telling:
                    for kind, key in KIND_KEYS.items():
                        held = [holder for holder, held_kind in self._held.items() if held_kind == kind]
                        if held:
                            await self._valkey.run(KEEP, (key,), (HOLD_SECONDS, *held))
            await asyncio.sleep(KEEP_SECONDS)
        self._keeper = None
