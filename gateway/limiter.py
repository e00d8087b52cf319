"""The rate limit: one token bucket for each key, and how it is put into headers and words. No I/O; `now` is given.

A bucket holds at most `requests` tokens and regains them evenly over `per_seconds`. A call takes one token or
is refused. So a rested key may call `requests` times at once, then once every `per_seconds / requests` seconds.
"""

import math
from collections.abc import Awaitable, Callable
from functools import lru_cache

import msgspec

from gateway.models import RatePolicy

ROUNDING = 1e-6
"""Tokens. Sums of floats miss whole numbers by far less; without it, obeying Retry-After could fail by a last bit."""

SWEEP_PER_INSERT = 2
"""Buckets examined for each new one: with two out for one in, there are about as many as active keys."""


KEPT_POLICIES = 256
SECONDS_IN_WORDS = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}


class Decision(msgspec.Struct, frozen=True):
    """What the limiter says of one call. Times are whole seconds, rounded so that obeying them succeeds."""

    allowed: bool
    policy: RatePolicy
    remaining: int
    next_token_seconds: int


class Reservation(msgspec.Struct, frozen=True):
    """A token that was taken before it is known whether it counts. `forgive` fills its bucket again."""

    decision: Decision
    forgive: Callable[[], Awaitable[None]]


class TokenBucket:
    """Tokens at a moment. Time that stands still adds nothing; time that runs backwards takes nothing."""

    __slots__ = ("policy", "tokens", "updated")

    def __init__(self, policy: RatePolicy, now: float) -> None:
        self.policy = policy
        self.tokens = float(policy.requests)
        self.updated = now

    def advance(self, policy: RatePolicy, now: float) -> None:
        """Bring the bucket to `now`, under `policy`, which may have changed since."""
        if now > self.updated:
            self.tokens += (now - self.updated) * policy.tokens_per_second
        self.tokens = min(self.tokens, float(policy.requests))
        self.policy = policy
        self.updated = now

    def take(self, policy: RatePolicy, now: float) -> Decision:
        self.advance(policy, now)
        tokens = self.tokens
        allowed = tokens >= 1 - ROUNDING
        if allowed:
            tokens -= 1
            self.tokens = tokens
        remaining = int(tokens + ROUNDING)
        missing = min(remaining + 1, policy.requests) - tokens
        seconds = math.ceil((missing - ROUNDING / 2) / policy.tokens_per_second)
        return Decision(allowed, policy, remaining, seconds if allowed else max(seconds, 1))

    def is_full(self, now: float) -> bool:
        return self._tokens_at(now) >= self.policy.requests

    def has_token(self, now: float) -> bool:
        return self._tokens_at(now) >= 1 - ROUNDING

    def _tokens_at(self, now: float) -> float:
        """Return the tokens at `now`, before the cap."""
        return self.tokens + max(0.0, now - self.updated) * self.policy.tokens_per_second


class Limiter:
    """A bucket per key, kept while it is not full. Only full buckets are dropped: forgetting one never refills it.

    For one event loop; not thread-safe.
    """

    def __init__(self, default: RatePolicy) -> None:
        self.default = default
        self._buckets: dict[str, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key_id: str, override: RatePolicy | None, now: float) -> Decision:
        """Take one token from the bucket of an authenticated key; `now` in monotonic seconds."""
        policy = override or self.default
        bucket = self._buckets.get(key_id)
        if bucket is None:
            self._sweep(now)
            bucket = self._buckets[key_id] = TokenBucket(policy, now)
        return bucket.take(policy, now)

    def change_default(self, policy: RatePolicy, now: float) -> None:
        """Refill by the old default until `now`, by `policy` from then on.

        Each bucket keeps its tokens, as far as they fit; a full one is full again.
        """
        for key_id, bucket in list(self._buckets.items()):
            if bucket.policy is not self.default:
                continue
            if bucket.is_full(now):
                del self._buckets[key_id]
            else:
                bucket.advance(self.default, now)
                bucket.advance(policy, now)
        self.default = policy

    def refuses(self, key_id: str, now: float) -> bool:
        """Return whether `take` would be refused. Asking costs no token and leaves no bucket behind."""
        bucket = self._buckets.get(key_id)
        return bucket is not None and not bucket.has_token(now)

    def forget(self, key_id: str) -> None:
        """Fill the bucket up again: nothing is held against this key any more."""
        self._buckets.pop(key_id, None)

    def _sweep(self, now: float) -> None:
        for _ in range(min(SWEEP_PER_INSERT, len(self._buckets))):
            key_id = next(iter(self._buckets))
            bucket = self._buckets.pop(key_id)
            if not bucket.is_full(now):
                self._buckets[key_id] = bucket


def rate_limit_headers(decision: Decision) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """Return the fields of draft-ietf-httpapi-ratelimit-headers: RFC 9651 lists, the policy's name a quoted string."""
    policy = decision.policy
    return (
        _policy_field(policy),
        (b"ratelimit", b'"default";r=%d;t=%d' % (decision.remaining, decision.next_token_seconds)),
    )


@lru_cache(KEPT_POLICIES)
def _policy_field(policy: RatePolicy) -> tuple[bytes, bytes]:
    return b"ratelimit-policy", b'"default";q=%d;w=%d' % (policy.requests, policy.per_seconds)


@lru_cache(KEPT_POLICIES)
def refusal(policy: RatePolicy) -> str:
    """Return the message of a 429."""
    return f"Rate limit exceeded — {in_words(policy)} per API key"


def in_words(policy: RatePolicy) -> str:
    """Return a policy as text: `100 requests per minute`."""
    period = SECONDS_IN_WORDS.get(policy.per_seconds, f"{policy.per_seconds} seconds")
    return f"{policy.requests} request{'' if policy.requests == 1 else 's'} per {period}"
