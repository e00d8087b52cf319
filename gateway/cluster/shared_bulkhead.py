"""Bound the calls to Airbyte of all gateways together: Airbyte has only so many threads."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from gateway.airbyte import Bulkhead, Caller, Kind, OwnCalls
from gateway.background import Background, BackgroundTask, Progress
from gateway.cluster.scripts import ACQUIRE_PERMIT, RELEASE_PERMIT, RENEW_PERMITS, BackendUnavailable, Runner
from gateway.cluster.timings import PermitTimings
from gateway.errors import UpstreamBusy
from gateway.limiter.waiting_list import WaitingList

KIND_KEYS = {"read": "gateway:permits:read", "trigger": "gateway:permits:trigger"}
KEEPER = "permit renewal"
PERMIT_BYTES = 8


@dataclass
class Permit:
    """A shared permit, held or asked for. `asked`: the last try; its answer may be that the permit is held."""

    name: str
    kind: Kind
    caller: Caller
    is_acquired: bool = False
    asked: "asyncio.Future[bool] | None" = None


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
        wait_seconds: float,
        background: Background,
        timings: PermitTimings | None = None,
    ) -> None:
        """`share` tells how many of so many permits are this gateway's when Valkey cannot be asked.

        `may_trigger` is false while others may take this gateway for dead, and its triggers for theirs.
        """
        super().__init__(size, new_queue=WaitingList, monotonic=monotonic, wait_seconds=wait_seconds)
        self._valkey = valkey
        self._share = share
        self._may_trigger = may_trigger
        self._background = background
        self._timings = timings or PermitTimings()
        self._permits: dict[str, Permit] = {}
        self._renewing = asyncio.Lock()
        self._keeper: BackgroundTask | None = None
        self._releases: set[asyncio.Task[None]] = set()
        self._is_closing = self._is_closed = False

    def open(self) -> None:
        """Begin to renew what is held. A permit that nobody renews is given to another gateway."""
        self._keeper = self._background.start(KEEPER, self._renew, is_vital=True)

    async def close(self) -> None:
        """Wait until each permit is given back, or its release was tried for the last time."""
        self._is_closing = True
        if self._releases:
            await asyncio.wait(self._releases)
        self._is_closed = True
        if self._keeper is not None:
            await self._keeper.stop()

    def may_wait(self, kind: Kind, caller: Caller) -> bool:  # noqa: ARG002 - the same for all
        """Return True: Valkey is asked for each permit."""
        return True

    @asynccontextmanager
    async def permit(self, kind: Kind, caller: Caller) -> AsyncIterator[None]:
        """Hold one permit. Raises UpstreamBusy when none is free in time."""
        async with super().permit(kind, caller):
            permit = self._permit(kind, caller)
            await self._acquire(permit)
            try:
                if kind == "trigger" and not self._may_trigger():
                    raise UpstreamBusy(detail="this gateway stood still: another may be at this trigger by now")
                yield
            finally:
                self._release(permit)

    def occupy(self, kind: Kind, caller: Caller) -> Callable[[], None] | None:
        """Keep a permit as a local one is kept. The cluster's has a new name before the old one is given back."""
        give_back = super().occupy(kind, caller)
        if give_back is None:
            return None
        permit = self._permit(kind, caller)
        permit.is_acquired = True
        keep = (KIND_KEYS[kind],), (self._timings.hold, permit.name)
        permit.asked = asyncio.ensure_future(self._valkey.run(RENEW_PERMITS, *keep))
        self._permits[permit.name] = permit

        def end() -> None:
            self._release(permit)
            give_back()

        return end

    def _permit(self, kind: Kind, caller: Caller) -> Permit:
        # The caller is part of the name: over all gateways nobody takes more than half of the permits.
        return Permit(f"{secrets.token_hex(PERMIT_BYTES)} {caller}", kind, caller)

    async def _acquire(self, permit: Permit) -> None:
        """Hold a shared permit. Until its release it may be held in Valkey: a cancelled caller may have got it."""
        self._permits[permit.name] = permit
        try:
            async with asyncio.timeout(self._wait_seconds):
                while not permit.is_acquired:
                    permit.is_acquired = await self._has_acquired(permit)
                    if not permit.is_acquired:
                        await asyncio.sleep(self._timings.poll)
        except TimeoutError:
            self._release(permit)
            raise UpstreamBusy(
                detail=f"the cluster has no permit for a {permit.kind} within {self._wait_seconds} s"
            ) from None
        except BaseException:
            self._release(permit)
            raise

    async def _has_acquired(self, permit: Permit) -> bool:
        own = KIND_KEYS[permit.kind]
        keys = (own, *(key for key in KIND_KEYS.values() if key != own))
        bounds = (self.size, self._of_kind, self._of_caller, *self._bounds_of_client(permit))
        arguments = (*bounds, self._timings.hold, permit.name)
        # Not cancelled with the caller: what was asked may be done, and is taken back only after its answer.
        permit.asked = asyncio.ensure_future(self._valkey.run(ACQUIRE_PERMIT, keys, arguments))
        try:
            return await asyncio.shield(permit.asked)
        except BackendUnavailable:
            return self._is_in_share(permit)

    def _bounds_of_client(self, permit: Permit) -> tuple[int, int]:
        """Return how many of the permit's kind all clients may hold, and how many one; for own calls what is no bound.

        As in `Bulkhead`: what they leave to the other kind, and to the gateways' own calls, they leave in the cluster.
        """
        if isinstance(permit.caller, OwnCalls):
            return self.size, self.size
        return self._of_clients[permit.kind], self._of_caller_in[permit.kind]

    def _is_in_share(self, permit: Permit) -> bool:
        """Return whether this gateway may give the permit by itself. Raises UpstreamBusy if it never may."""
        share = self._share(self.size)
        if not share:
            raise UpstreamBusy(detail="this gateway has no share of the permits")
        held = [each for each in self._permits.values() if each.is_acquired]
        callers = Counter(each.caller for each in held)
        # Reads end soon and may have the whole share; a trigger may take a minute.
        is_within_kind = permit.kind == "read" or sum(each.kind == "trigger" for each in held) < max(1, share - 1)
        return len(held) < share and callers[permit.caller] < max(1, share // 2) and is_within_kind

    def _release(self, permit: Permit) -> None:
        """Give a permit back without waiting: one that is not given back ends by itself."""
        del self._permits[permit.name]
        if self._is_closed:
            return
        release = asyncio.create_task(self._give_back(permit))
        self._releases.add(release)
        release.add_done_callback(self._releases.discard)

    async def _give_back(self, permit: Permit) -> None:
        if permit.asked is not None:
            with suppress(BackendUnavailable):
                await permit.asked
        # A server that was unavailable for a moment would otherwise count all permits that came free in it as held.
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timings.hold):
                while not await self._has_given_back(permit) and not self._is_closing:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(self._timings.release_retry)

    async def _has_given_back(self, permit: Permit) -> bool:
        try:
            # A renewal that is under way would take the permit again; releases delay each other not.
            async with self._renewing:
                pass
            await self._valkey.run(RELEASE_PERMIT, (KIND_KEYS[permit.kind],), (permit.name,))
        except BackendUnavailable:
            return False
        return True

    async def _renew(self, progress: Progress) -> None:
        while True:
            with suppress(BackendUnavailable):
                # What is given back meanwhile must not be renewed after that.
                async with self._renewing:
                    for kind, key in KIND_KEYS.items():
                        held = [each.name for each in self._permits.values() if each.kind == kind and each.is_acquired]
                        if held:
                            await self._valkey.run(RENEW_PERMITS, (key,), (self._timings.hold, *held))
            progress()
            await asyncio.sleep(self._timings.renew)
