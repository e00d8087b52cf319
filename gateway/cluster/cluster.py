"""The gateways that serve one database together, seen from one of them: built from the settings, opened and closed."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from gateway.airbyte import Bulkhead
from gateway.cluster.membership import Membership
from gateway.cluster.scripts import Runner, ServerFacts
from gateway.cluster.shared_bulkhead import SharedBulkhead
from gateway.cluster.shared_limiter import SharedLimiter
from gateway.errors import SettingsError
from gateway.limiter import Limiter
from gateway.models import RatePolicy
from gateway.settings import RateLimitSettings
from gateway.store import Store
from gateway.store.leadership import Leadership, LeasedLeadership, SoleLeadership

if TYPE_CHECKING:
    from gateway.cluster.valkey import Valkey

EXTRA_MISSING = "rate_limit.backend: a shared one needs more libraries: pip install -r requirements-cluster.lock"

Gauge = tuple[str, str, float]


class Cluster:
    """Of a gateway that shares nothing, everything here is its own and costs nothing."""

    def __init__(self, store: Store, rate_limit: RateLimitSettings, monotonic: Callable[[], float]) -> None:
        self.membership = Membership(store, is_alone=not rate_limit.is_shared)
        self.leadership: Leadership = (
            LeasedLeadership(store, self.membership.id) if store.is_shared else SoleLeadership()
        )
        self._has_members = store.is_shared
        self._rate_limit = rate_limit
        self._valkey = _valkey(rate_limit) if rate_limit.is_shared else None
        self._monotonic = monotonic
        self._bulkhead: SharedBulkhead | None = None

    @property
    def runner(self) -> Runner | None:
        """What runs scripts for all gateways, if something does."""
        return self._valkey

    def limiter(self) -> Limiter | SharedLimiter:
        rate = RatePolicy(self._rate_limit.requests, self._rate_limit.per_seconds)
        if self._valkey is None:
            return Limiter(rate)
        return SharedLimiter(rate, self._valkey, peers=lambda: self.membership.count, monotonic=self._monotonic)

    def bulkhead(self, size: int) -> Bulkhead:
        if self._valkey is None:
            return Bulkhead(size, monotonic=self._monotonic)
        member = self.membership
        self._bulkhead = SharedBulkhead(
            size,
            self._valkey,
            share=member.share,
            may_trigger=lambda: member.is_sure or not self._has_members,
            monotonic=self._monotonic,
        )
        return self._bulkhead

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """Between the first and the last request. Raises DatabaseRefused beside a gateway that bears no other."""
        async with AsyncExitStack() as stack:
            if self._valkey is not None:
                await self._valkey.open()
                stack.push_async_callback(self._valkey.close)
            if self._bulkhead is not None:
                stack.push_async_callback(self._bulkhead.close)
            if self._has_members:
                await stack.enter_async_context(self.membership.joined())
            yield

    async def ask_server(self) -> ServerFacts:
        """Of the shared backend, over a connection of its own. Raises BackendUnavailable."""
        valkey = _valkey(self._rate_limit)
        try:
            return await valkey.facts()
        finally:
            await valkey.close()

    def state(self) -> dict[str, object]:
        """What /readyz adds. A backend that is away makes no gateway unready: each counts its share."""
        found: dict[str, object] = {}
        if self._has_members:
            found["gateways"] = self.membership.count
        if self._valkey is not None:
            found["rate_limit"] = "local" if self._valkey.is_away else "shared"
        return found

    def gauges(self) -> Iterator[Gauge]:
        if self._has_members:
            yield "cluster_gateways", "Gateways that serve this database, this one among them.", self.membership.count
        if self._valkey is not None:
            yield (
                "rate_limit_local",
                "1 while rate_limit.backend is away and this gateway counts its share by itself.",
                self._valkey.is_away,
            )


def _valkey(rate_limit: RateLimitSettings) -> "Valkey":
    try:
        from gateway.cluster.valkey import Valkey  # noqa: PLC0415 - of an extra that one gateway alone does not need
    except ModuleNotFoundError:
        raise SettingsError(EXTRA_MISSING) from None
    return Valkey(rate_limit.backend)
