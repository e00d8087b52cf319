"""Keep one rate limit for all gateways together, and a share of it in each while Valkey is unavailable."""

from collections.abc import Callable

from gateway.cluster.known_buckets import KnownBuckets
from gateway.cluster.scripts import TAKE_TOKEN, BackendUnavailable, Runner
from gateway.limiter import Decision
from gateway.models import RatePolicy

BUCKET_PREFIX = "gateway:bucket:"
FASTER = 1.001
"""This gateway's clock runs ahead of the server's by more than any two clocks differ, so that what it knows is never
less than what is there: who obeys a Retry-After always succeeds."""


class SharedLimiter:
    """A bucket per key in Valkey; this gateway remembers what it last knew of each that is not full.

    A server that lost a bucket fills none a second time: each gateway allows no more than its own memory of the bucket
    does. Two gateways so allow together twice the limit at most, whatever the server does and however calls are spread.
    """

    def __init__(
        self, default: RatePolicy, valkey: Runner, *, peers: Callable[[], int], monotonic: Callable[[], float]
    ) -> None:
        """`peers` tells how many gateways there are, this one among them."""
        self.default = default
        self._valkey = valkey
        self._peers = peers
        self._monotonic = monotonic
        self._known = KnownBuckets(default)

    def __len__(self) -> int:
        return len(self._known)

    async def take(self, key_id: str, override: RatePolicy | None) -> Decision:
        """Take one token from the bucket of an authenticated key. Never fails, and answers within the patience."""
        policy = override or self.default
        asked_at = self._now()
        known = self._known.tokens(key_id, policy, asked_at)
        try:
            taken = await self._valkey.run(
                TAKE_TOKEN, (BUCKET_PREFIX + key_id,), (policy.requests, policy.per_seconds, known)
            )
        except BackendUnavailable:
            return self._known.take_share(key_id, policy, self._peers(), self._now())
        self._known.learn(key_id, policy, taken.tokens, asked_at)
        return Decision(taken.allowed, policy, taken.remaining, taken.next_token_seconds)

    def change_default(self, policy: RatePolicy, _now: float) -> None:
        """Change the rate of keys without one of their own. A bucket keeps its tokens as far as they fit."""
        self.default = policy

    def _now(self) -> float:
        return self._monotonic() * FASTER
