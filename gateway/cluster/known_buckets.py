"""Remember what one gateway knows of the buckets that all share, and decide by that while Valkey is unavailable."""

import math

from gateway.limiter import ROUNDING, Decision, Limiter, TokenBucket
from gateway.models import RatePolicy


class KnownBuckets(Limiter):
    """Each bucket as it was when this gateway last saw it, refilled since: the truth or more, as others take too.

    Kept while it is not full, as in the limiter of one gateway.
    """

    def tokens(self, key_id: str, policy: RatePolicy, now: float) -> float:
        """Return how many tokens there are at most."""
        bucket = self._buckets.get(key_id)
        if bucket is None:
            return float(policy.requests)
        bucket.advance(policy, now)
        return max(bucket.tokens, 0.0)

    def learn(self, key_id: str, policy: RatePolicy, tokens: float, asked_at: float) -> None:
        """Keep what Valkey answered. Answers may overtake each other: the one with fewer tokens is the later one.

        A debt of `take_share` ends here, for the answer knows nothing of it.
        """
        bucket = self._bucket(key_id, policy, asked_at)
        since = bucket.updated - asked_at
        bucket.tokens = min(max(bucket.tokens, 0.0), tokens + since * policy.tokens_per_second)

    def take_share(self, key_id: str, policy: RatePolicy, gateways: int, now: float) -> Decision:
        """Take one token here, and one for each other gateway, which may be deciding by itself too.

        Where the whole limit is less than a token each, the debt is waited for: each gateway allows some.
        """
        bucket = self._bucket(key_id, policy, now)
        bucket.advance(policy, now)
        enough = min(gateways, policy.requests)
        allowed = bucket.tokens >= enough - ROUNDING
        if allowed:
            bucket.tokens -= gateways
        remaining = max(math.floor((bucket.tokens - enough + ROUNDING) / gateways) + 1, 0)
        missing = min(enough + remaining * gateways, policy.requests) - bucket.tokens
        seconds = math.ceil((missing - ROUNDING / 2) / policy.tokens_per_second)
        return Decision(allowed, policy, remaining, max(seconds, 0 if allowed else 1))

    def _bucket(self, key_id: str, policy: RatePolicy, now: float) -> TokenBucket:
        bucket = self._buckets.get(key_id)
        if bucket is None:
            self._sweep(now)
            bucket = self._buckets[key_id] = TokenBucket(policy, now)
        return bucket
