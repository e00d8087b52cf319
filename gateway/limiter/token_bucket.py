"""Token buckets, each under a name: exact over any time, and kept only while they are not full."""

import math

from gateway.limiter.decision import Decision
from gateway.models import RatePolicy

ROUNDING = 1e-6
"""Tokens. Sums of floats miss whole numbers by far less; without it, obeying Retry-After could fail by a last bit."""
ENOUGH = 1 - ROUNDING
"""Tokens that a call needs."""
SWEEP_PER_INSERT = 2
"""Buckets examined for each new one: with two out for one in, there are about as many as active keys."""


class TokenBucket:
    """Tokens at a moment. Time that stands still adds nothing; time that runs backwards takes nothing."""

    __slots__ = ("policy", "tokens", "updated")

    def __init__(self, policy: RatePolicy, now: float) -> None:
        self.policy = policy
        self.tokens = float(policy.requests)
        self.updated = now

    def advance(self, policy: RatePolicy, now: float) -> None:
        """Bring the bucket to `now`, under `policy`, which may have changed since."""
        requests, tokens = policy.requests, self.tokens
        if now > self.updated:
            tokens += (now - self.updated) * (requests / policy.per_seconds)
        self.tokens = tokens if tokens < requests else float(requests)
        self.policy = policy
        self.updated = now

    def take(self, policy: RatePolicy, now: float) -> Decision:
        """Take one token, if there is one."""
        self.advance(policy, now)
        allowed = self.tokens >= ENOUGH
        if allowed:
            self.tokens -= 1
        return self._decision(allowed=allowed)

    def look(self, policy: RatePolicy, now: float) -> Decision:
        """Say what `take` would, and take nothing."""
        self.advance(policy, now)
        return self._decision(allowed=self.tokens >= ENOUGH)

    def _decision(self, *, allowed: bool) -> Decision:
        policy, tokens = self.policy, self.tokens
        requests, remaining = policy.requests, int(tokens + ROUNDING)
        missing = (remaining + 1 if remaining < requests else requests) - tokens
        seconds = math.ceil((missing - ROUNDING / 2) / (requests / policy.per_seconds))
        return Decision(allowed, policy, remaining, seconds if allowed or seconds > 1 else 1)

    def is_full(self, now: float) -> bool:
        """Return whether it holds at `now` all that it can: forgotten, it would be the same."""
        return self.tokens + max(0.0, now - self.updated) * self.policy.tokens_per_second >= self.policy.requests


class Limiter:
    """A bucket per name, kept while it is not full. Only full buckets are dropped: forgetting one never refills it.

    For one event loop; not thread-safe.
    """

    def __init__(self, default: RatePolicy) -> None:
        self.default = default
        self._buckets: dict[str | int, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str | int, override: RatePolicy | None, now: float) -> Decision:
        """Take one token from the bucket of this name; `now` in monotonic seconds."""
        policy = override or self.default
        return self.bucket(name, policy, now).take(policy, now)

    def bucket(self, name: str | int, policy: RatePolicy, now: float) -> TokenBucket:
        """Return the bucket as it was last seen; a new one is full."""
        bucket = self._buckets.get(name)
        if bucket is None:
            self._sweep(now)
            bucket = self._buckets[name] = TokenBucket(policy, now)
        return bucket

    def change_default(self, policy: RatePolicy, now: float) -> None:
        """Refill by the old default until `now`, by `policy` from then on.

        Each bucket keeps its tokens, as far as they fit; a full one is full again.
        """
        for name, bucket in list(self._buckets.items()):
            if bucket.policy is not self.default:
                continue
            if bucket.is_full(now):
                del self._buckets[name]
            else:
                bucket.advance(self.default, now)
                bucket.advance(policy, now)
        self.default = policy

    def bring_to(self, now: float) -> None:
        """Refill each bucket by its own policy until `now`; whatever policy comes next counts from then on."""
        for name, bucket in list(self._buckets.items()):
            if bucket.is_full(now):
                del self._buckets[name]
            else:
                bucket.advance(bucket.policy, now)

    def give_back(self, name: str | int, tokens: int = 1) -> None:
        """Give tokens back: what they were taken for did not happen."""
        bucket = self._buckets.get(name)
        if bucket is not None:
            bucket.tokens += tokens

    def forget(self, name: str | int) -> None:
        """Fill the bucket up again: nothing is held against this name any more."""
        self._buckets.pop(name, None)

    def _sweep(self, now: float) -> None:
        for _ in range(min(SWEEP_PER_INSERT, len(self._buckets))):
            name = next(iter(self._buckets))
            bucket = self._buckets.pop(name)
            if not bucket.is_full(now):
                self._buckets[name] = bucket
