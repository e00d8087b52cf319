"""Bound the calls to Airbyte of all gateways together: Airbyte has only so many threads."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from gateway.airbyte import Bulkhead, Kind
from gateway.airbyte.timings import PERMIT_WAIT_SECONDS
from gateway.background import Background, BackgroundTask, Progress
from gateway.cluster.scripts import ACQUIRE_PERMIT, RELEASE_PERMIT, RENEW_PERMITS, BackendUnavailable, Runner
from gateway.cluster.timings import PermitTimings
from gateway.errors import UpstreamBusy

KIND_KEYS = {"read": "gateway:permits:read", "trigger": "gateway:permits:trigger"}
KEEPER = "permit renewal"


class SharedBulkhead(Bulkhead):
    """Limit the cluster's calls to Airbyte: a local permit, fair to callers and kinds, then a shared one."""

    def __init__(
        self,
        size: int,
        valkey: Runner,
        *,
        share: Callable[[int], int],
        may_trigger: Callable[[], bool],
        monotonic: Callable[[], float],
        background: Background,
        timings: PermitTimings | None = None,
    ) -> None:
        """`share` tells how many of so many permits are this gateway's when Valkey cannot be asked.

        `may_trigger` is false while others may take this gateway for dead, and its triggers for theirs.
        """
        super().__init__(size, monotonic=monotonic)
        self._cluster_size = size
        self._cluster_of_kind = size - 1
        self._valkey = valkey
        self._share = share
        self._may_trigger = may_trigger
        self._background = background
        self._timings = timings or PermitTimings()
        self._held: dict[str, Kind] = {}
        self._asked: dict[str, asyncio.Future[object]] = {}
        self._renewing = asyncio.Lock()
        self._keeper: BackgroundTask | None = None
        self._releases: set[asyncio.Task[None]] = set()
        self._is_closing = False

    def open(self) -> None:
        """Begin to renew what is held. A permit that nobody renews is given to another gateway."""
        self._keeper = self._background.start(KEEPER, self._renew, is_vital=True)

    async def close(self) -> None:
        """Wait until each permit is given back, or its release was tried for the last time."""
        self._is_closing = True
        if self._releases:
            await asyncio.wait(self._releases)
        if self._keeper is not None:
            await self._keeper.stop()

    @asynccontextmanager
    async def permit(self, kind: Kind, caller: str) -> AsyncIterator[None]:
        """Hold one permit. Raises UpstreamBusy when none is free in time."""
        async with super().permit(kind, caller):
            holder = secrets.token_hex(8)
            await self._acquire(kind, holder)
            try:
                if kind == "trigger" and not self._may_trigger():
                    raise UpstreamBusy(detail="this gateway stood still: another may be at this trigger by now")
                yield
            finally:
                self._release(holder)

    async def _acquire(self, kind: Kind, holder: str) -> None:
        """Hold a shared permit. It counts as held before it is asked for: a cancelled caller may have got it."""
        self._held[holder] = kind
        try:
            async with asyncio.timeout(PERMIT_WAIT_SECONDS):
                while not await self._has_acquired(kind, holder):  # noqa: ASYNC110 - the event is on another machine
                    await asyncio.sleep(self._timings.poll)
        except TimeoutError:
            self._release(holder)
            raise UpstreamBusy(
                detail=f"the cluster has no permit for a {kind} within {PERMIT_WAIT_SECONDS} s"
            ) from None
        except BaseException:
            self._release(holder)
            raise

    async def _has_acquired(self, kind: Kind, holder: str) -> bool:
        own = KIND_KEYS[kind]
        keys = (own, *(key for key in KIND_KEYS.values() if key != own))
        arguments = (self._cluster_size, self._cluster_of_kind, self._timings.hold, holder)
        # Not cancelled with the caller: what was asked may be done, and is taken back only after its answer.
        self._asked[holder] = asyncio.ensure_future(self._valkey.run(ACQUIRE_PERMIT, keys, arguments))
        try:
            return bool(await asyncio.shield(self._asked[holder]))
        except BackendUnavailable:
            share = self._share(self._cluster_size)
            if not share:
                raise UpstreamBusy(detail="this gateway has no share of the permits") from None
            return list(self._held).index(holder) < share

    def _release(self, holder: str) -> None:
        """Give a permit back without waiting: one that cannot be given back ends by itself."""
        key = KIND_KEYS[self._held.pop(holder)]
        release = asyncio.create_task(self._give_back(key, holder, self._asked.pop(holder)))
        self._releases.add(release)
        release.add_done_callback(self._releases.discard)

    async def _give_back(self, key: str, holder: str, asked: asyncio.Future[object]) -> None:
        with suppress(BackendUnavailable):
            await asked
        # A server that was unavailable for a moment would otherwise count all permits that came free in it as held.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timings.hold):
                while not await self._has_given_back(key, holder) and not self._is_closing:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(self._timings.release_retry)

    async def _has_given_back(self, key: str, holder: str) -> bool:
        try:
            # A renewal that is under way would take the permit again; releases delay each other not.
            async with self._renewing:
                pass
            await self._valkey.run(RELEASE_PERMIT, (key,), (holder,))
        except BackendUnavailable:
            return False
        return True

    async def _renew(self, progress: Progress) -> None:
        while True:
            with suppress(BackendUnavailable):
                # What is given back meanwhile must not be renewed after that.
                async with self._renewing:
                    for kind, key in KIND_KEYS.items():
                        held = [holder for holder, held_kind in self._held.items() if held_kind == kind]
                        if held:
                            await self._valkey.run(RENEW_PERMITS, (key,), (self._timings.hold, *held))
            progress()
            await asyncio.sleep(self._timings.renew)
