"""Elect one gateway to do a piece of work for the whole cluster, by a lease in the database."""

from typing import Protocol

from gateway.store import Store
from gateway.store.tables.leases import LeaseState


class Leadership(Protocol):
    """Who does a piece of work, by its name. Every method raises StorageUnavailable."""

    async def acquire(self, work: str, *, seconds: float, unless_done_within: float = 0.0) -> bool:
        """Become the leader for `seconds`; False if another one is, or has done it in the last `unless_done_within`."""
        ...

    async def complete(self, work: str, note: str | None = None) -> None:
        """Note that the work is done, and give the leadership up."""
        ...

    async def state(self, work: str) -> LeaseState:
        """Return who leads, and how the work ended when it was done last."""
        ...


class SoleLeadership:
    """Leadership of a gateway that is the only one: it always leads."""

    async def acquire(self, work: str, *, seconds: float, unless_done_within: float = 0.0) -> bool:  # noqa: ARG002 - as Leadership
        """Return True."""
        return True

    async def complete(self, work: str, note: str | None = None) -> None:
        """Do nothing: a single gateway has nobody to tell."""

    async def state(self, work: str) -> LeaseState:  # noqa: ARG002 - as Leadership
        """Return that nothing is known: nobody competes, and nothing is noted."""
        return LeaseState(None, None, None)


class LeasedLeadership:
    """Leadership by leases, in the name of one gateway."""

    def __init__(self, store: Store, holder: str) -> None:
        self._leases = store.leases
        self._holder = holder

    async def acquire(self, work: str, *, seconds: float, unless_done_within: float = 0.0) -> bool:
        """Become the leader, as `Leadership` says."""
        return await self._leases.acquire(
            work, holder=self._holder, seconds=seconds, unless_done_within=unless_done_within
        )

    async def complete(self, work: str, note: str | None = None) -> None:
        """Note that the work is done, and give the lease up."""
        await self._leases.complete(work, holder=self._holder, note=note)

    async def state(self, work: str) -> LeaseState:
        """Return what the lease says."""
        return await self._leases.state(work)
