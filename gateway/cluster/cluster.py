"""Put together what a gateway shares with the others of its database: from the settings, opened and closed."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from gateway.airbyte import Bulkhead
from gateway.background import Background
from gateway.cluster.membership import Membership
from gateway.cluster.scripts import ServerFacts
from gateway.cluster.shared_bulkhead import SharedBulkhead
from gateway.cluster.shared_limiter import SharedLimiter
from gateway.cluster.shared_tries import SharedTries
from gateway.cluster.timings import ClusterTimings
from gateway.errors import SettingsError
from gateway.limiter import CallLimiter
from gateway.limiter.waiting_list import WaitingList
from gateway.models import RatePolicy
from gateway.settings import RateLimitSettings
from gateway.store import Store
from gateway.store.leadership import Leadership, LeasedLeadership, SoleLeadership

if TYPE_CHECKING:
    from gateway.cluster.valkey import Valkey

EXTRA_MISSING = "rate_limit.backend: a shared one needs more libraries: pip install -r requirements-cluster.lock"

Gauge = tuple[str, str, float]


class Cluster:
    """The gateways of one database, seen from one of them. A gateway that shares nothing pays nothing for it."""

    def __init__(
        self,
        store: Store,
        rate_limit: RateLimitSettings,
        monotonic: Callable[[], float],
        *,
        background: Background,
        timings: ClusterTimings | None = None,
    ) -> None:
        self._background = background
        self._timings = timings or ClusterTimings()
        self.membership = Membership(
            store,
            monotonic=monotonic,
            background=background,
            is_alone=not rate_limit.is_shared,
            timings=self._timings.membership,
        )
        self.leadership: Leadership = (
            LeasedLeadership(store, self.membership.id) if store.is_shared else SoleLeadership()
        )
        self._has_members = store.is_shared
        self._rate_limit = rate_limit
        self._valkey = self._connect() if rate_limit.is_shared else None
        self._monotonic = monotonic
        self._bulkhead: SharedBulkhead | None = None

    def limiter(self, *, most_active: int) -> CallLimiter | SharedLimiter:
        """Return the rate limiter: shared with the other gateways if there is a backend."""
        rate = RatePolicy(self._rate_limit.requests, self._rate_limit.per_seconds)
        if self._valkey is None:
            return CallLimiter(rate, most_active=most_active, monotonic=self._monotonic)
        return SharedLimiter(
            rate,
            self._valkey,
            most_active=most_active,
            peers=lambda: self.membership.count,
            monotonic=self._monotonic,
        )

    def tries(self) -> SharedTries | None:
        """Return what counts tries of passwords for all gateways; None for a gateway that shares nothing."""
        if self._valkey is None:
            return None
        return SharedTries(self._valkey, peers=lambda: self.membership.count, monotonic=self._monotonic)

    def bulkhead(self, size: int, *, wait_seconds: float) -> Bulkhead:
        """Return the bulkhead of `size` permits: shared with the other gateways if there is a backend."""
        if self._valkey is None:
            return self.own_bulkhead(size, wait_seconds=wait_seconds)
        member = self.membership
        self._bulkhead = SharedBulkhead(
            size,
            self._valkey,
            share=member.share,
            may_trigger=lambda: member.is_sure or not self._has_members,
            monotonic=self._monotonic,
            wait_seconds=wait_seconds,
            background=self._background,
            timings=self._timings.permits,
        )
        return self._bulkhead

    def own_bulkhead(self, size: int, *, wait_seconds: float) -> Bulkhead:
        """Return a bulkhead for this gateway's calls alone."""
        return Bulkhead(size, new_queue=WaitingList, monotonic=self._monotonic, wait_seconds=wait_seconds)

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """Be one of the gateways, from the first request to the last.

        Raises DatabaseRefused beside a gateway that has to be alone.
        """
        async with AsyncExitStack() as stack:
            if self._valkey is not None:
                await self._valkey.open()
                stack.push_async_callback(self._valkey.close)
            if self._bulkhead is not None:
                self._bulkhead.open()
                stack.push_async_callback(self._bulkhead.close)
            if self._has_members:
                await stack.enter_async_context(self.membership.joined())
            yield

    async def ask_server(self) -> ServerFacts:
        """Ask the shared backend about itself, over a connection of its own. Raises BackendUnavailable."""
        valkey = self._connect()
        try:
            return await valkey.facts()
        finally:
            await valkey.close()

    def _connect(self) -> "Valkey":
        try:
            from gateway.cluster.valkey import Valkey  # noqa: PLC0415 - of an extra that one gateway alone does not need
        except ModuleNotFoundError:
            raise SettingsError(EXTRA_MISSING) from None
        return Valkey(self._rate_limit.backend, background=self._background, timings=self._timings.valkey)

    def state(self) -> dict[str, object]:
        """Return what /readyz adds. An unavailable backend makes no gateway unready: each counts its share."""
        found: dict[str, object] = {}
        if self._has_members:
            found["gateways"] = self.membership.count
        if self._valkey is not None:
            found["rate_limit"] = "local" if self._valkey.is_unavailable else "shared"
        return found

    def gauges(self) -> Iterator[Gauge]:
        """Yield the figures of a cluster; none for a single gateway."""
        if self._has_members:
            yield "cluster_gateways", "Gateways that serve this database, this one among them.", self.membership.count
        if self._valkey is not None:
            yield (
                "rate_limit_local",
                "1 while rate_limit.backend is unavailable and this gateway counts its share by itself.",
                self._valkey.is_unavailable,
            )
