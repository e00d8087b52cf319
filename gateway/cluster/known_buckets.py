"""Remember what one gateway knows of the buckets that all share, and decide by that while Valkey is unavailable."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.limiter import ROUNDING, Decision, Limiter, TokenBucket
from gateway.models import RatePolicy


class KnownBuckets(Limiter):
    """Each bucket as it was when this gateway last saw it, refilled since: the truth or more, as others take too.

    Kept while it is not full, as in the limiter of one gateway.
    """

    def tokens(self, name: str, policy: RatePolicy, now: float) -> float:
        """Return how many tokens there are at most."""
        bucket = self._buckets.get(name)
        if bucket is None:
            return float(policy.requests)
        bucket.advance(policy, now)
        return max(bucket.tokens, 0.0)

    def look(self, name: str, policy: RatePolicy, now: float) -> Decision:
        """Say what is left at most. Takes nothing and leaves no bucket behind."""
        bucket = TokenBucket(policy, now)
        bucket.tokens = self.tokens(name, policy, now)
        return bucket.look(policy, now)

    def learn(self, name: str, policy: RatePolicy, tokens: float, asked_at: float) -> None:
        """Keep what Valkey answered. Answers may overtake each other: the one with fewer tokens is the later one.

        A debt of `take_share` ends here, for the answer knows nothing of it.
        """
        bucket = self.bucket(name, policy, asked_at)
        since = bucket.updated - asked_at
        bucket.tokens = min(max(bucket.tokens, 0.0), tokens + since * policy.tokens_per_second)

    def take_share(self, name: str, policy: RatePolicy, gateways: int, now: float) -> Decision:
        """Take one token here, and one for each other gateway, which may be deciding by itself too.

        Where the whole limit is less than a token each, the debt is waited for: each gateway allows some.
        """
        (decision,) = take_shares([KnownBucket(self, name, policy)], gateways, now)
        return decision


@dataclass(frozen=True, slots=True)
class KnownBucket:
    """One bucket by its name, and the policy it is asked under."""

    buckets: KnownBuckets
    name: str
    policy: RatePolicy

    def tokens(self, now: float) -> float:
        """Return how many tokens there are at most."""
        return self.buckets.tokens(self.name, self.policy, now)

    def learn(self, tokens: float, asked_at: float) -> None:
        """Keep what Valkey answered."""
        self.buckets.learn(self.name, self.policy, tokens, asked_at)


def take_shares(asked: Sequence[KnownBucket], gateways: int, now: float) -> list[Decision]:
    """Take as `KnownBuckets.take_share` from each of the buckets or from none; return what each says, in this order."""
    found = []
    for each in asked:
        bucket = each.buckets.bucket(each.name, each.policy, now)
        bucket.advance(each.policy, now)
        found.append((bucket, each.policy, min(gateways, each.policy.requests)))
    allowed = [bucket.tokens >= enough - ROUNDING for bucket, _, enough in found]
    decisions = []
    for is_allowed, (bucket, policy, enough) in zip(allowed, found, strict=True):
        if all(allowed):
            bucket.tokens -= gateways
        remaining = max(math.floor((bucket.tokens - enough + ROUNDING) / gateways) + 1, 0)
        missing = min(enough + remaining * gateways, policy.requests) - bucket.tokens
        seconds = math.ceil((missing - ROUNDING / 2) / policy.tokens_per_second)
        decisions.append(Decision(is_allowed, policy, remaining, max(seconds, 0 if is_allowed else 1)))
    return decisions
