"""Keep one rate limit for all gateways together, and a share of it in each while Valkey is unavailable."""

import math
from collections.abc import Callable

from gateway.cluster.scripts import TAKE_TOKEN, BackendUnavailable, Runner
from gateway.limiter import Decision, Limiter
from gateway.models import RatePolicy

BUCKET_PREFIX = "gateway:bucket:"


class SharedLimiter:
    """A bucket per key in Valkey. The local buckets count only what was decided without it.

    When the server becomes unavailable each gateway begins with a full share: a key may have its limit twice then.
    """

    def __init__(
        self, default: RatePolicy, valkey: Runner, *, peers: Callable[[], int], monotonic: Callable[[], float]
    ) -> None:
        """`peers` tells how many gateways there are, this one among them."""
        self.default = default
        self._valkey = valkey
        self._peers = peers
        self._monotonic = monotonic
        self._local = Limiter(default)

    def __len__(self) -> int:
        return len(self._local)

    async def take(self, key_id: str, override: RatePolicy | None) -> Decision:
        """Take one token from the bucket of an authenticated key. Never fails, and answers within the patience."""
        policy = override or self.default
        try:
            allowed, remaining, seconds = await self._valkey.run(
                TAKE_TOKEN, (BUCKET_PREFIX + key_id,), (policy.requests, policy.per_seconds)
            )
        except BackendUnavailable:
            return self._take_locally(key_id, policy)
        return Decision(bool(allowed), policy, remaining, seconds)

    def change_default(self, policy: RatePolicy, _now: float) -> None:
        """Change the rate of keys without one of their own. A bucket keeps its tokens as far as they fit."""
        self.default = policy

    def _take_locally(self, key_id: str, policy: RatePolicy) -> Decision:
        decision = self._local.take(key_id, share_of(policy, self._peers()), self._monotonic())
        return Decision(decision.allowed, policy, decision.remaining, decision.next_token_seconds)


def share_of(policy: RatePolicy, gateways: int) -> RatePolicy:
    """Return what one of so many gateways may allow: together no more than the policy, but each some."""
    if policy.requests >= gateways:
        return RatePolicy(policy.requests // gateways, policy.per_seconds)
    return RatePolicy(1, math.ceil(policy.per_seconds * gateways / policy.requests))
