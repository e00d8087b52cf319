"""Work that one gateway does for all of them: whose turn it is."""

from typing import Protocol

from gateway.store import LeaseState, Store


class Leadership(Protocol):
    """By the work's name. Every method raises StorageUnavailable."""

    async def acquire(self, work: str, *, seconds: float, unless_done_within: float = 0.0) -> bool:
        """Whether it is this gateway's turn, for so many seconds; not if somebody has done the work lately."""
        ...

    async def complete(self, work: str, note: str | None = None) -> None: ...

    async def state(self, work: str) -> LeaseState: ...


class SoleLeadership:
    """Of a gateway that is the only one: it is always its turn."""

    async def acquire(self, work: str, *, seconds: float, unless_done_within: float = 0.0) -> bool:  # noqa: ARG002 - as Leadership
        return True

    async def complete(self, work: str, note: str | None = None) -> None:
        """Nobody asks."""

    async def state(self, work: str) -> LeaseState:  # noqa: ARG002 - as Leadership
        return LeaseState(None, None, None)


class LeasedLeadership:
    """Leases in the name of one gateway."""

    def __init__(self, store: Store, holder: str) -> None:
        self._leases = store.leases
        self._holder = holder

    async def acquire(self, work: str, *, seconds: float, unless_done_within: float = 0.0) -> bool:
        return await self._leases.acquire(
            work, holder=self._holder, seconds=seconds, unless_done_within=unless_done_within
        )

    async def complete(self, work: str, note: str | None = None) -> None:
        await self._leases.complete(work, holder=self._holder, note=note)

    async def state(self, work: str) -> LeaseState:
        return await self._leases.state(work)
