"""The rate limit: a token bucket for each key and one for each client, and how they are put into headers and words.

A bucket holds at most `requests` tokens and regains them evenly over `per_seconds`. A call takes one token from its
key's bucket and one from its client's, or is refused. So a rested key may call `requests` times at once, then once
every `per_seconds / requests` seconds. What a client does with its keys changes nothing in what all of them may do.
"""

import math
from collections.abc import Awaitable, Callable
from fractions import Fraction
from functools import lru_cache

import msgspec

from gateway.models import ClientLimit, Principal, RatePolicy

ROUNDING = 1e-6
"""Tokens. Sums of floats miss whole numbers by far less; without it, obeying Retry-After could fail by a last bit."""

ENOUGH = 1 - ROUNDING
"""Tokens that a call needs."""

SWEEP_PER_INSERT = 2
"""Buckets examined for each new one: with two out for one in, there are about as many as active keys."""

NEW_KEYS = RatePolicy(60, 3600)
"""How many keys a client's members may make: each costs a transaction, and a row for months."""

KEPT_POLICIES = 256
SECONDS_IN_WORDS = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}


class Decision(msgspec.Struct, frozen=True):
    """What the limiter says of one call. Times are whole seconds, rounded so that obeying them succeeds."""

    allowed: bool
    policy: RatePolicy
    remaining: int
    next_token_seconds: int
    client: "Decision | None" = None
    """What the client's bucket says, if the call has to wait for it."""

    @property
    def retry_after(self) -> int:
        """When a call that was refused may come again: then there is a token for it in both buckets."""
        return self.next_token_seconds if self.client is None else self.client.next_token_seconds

    @property
    def refusal(self) -> str:
        """The message of a 429."""
        return key_refusal(self.policy) if self.client is None else client_refusal(self.client.policy)


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

    def give_back(self, name: str | int) -> None:
        """Give one token back: what it was taken for did not happen."""
        bucket = self._buckets.get(name)
        if bucket is not None:
            bucket.tokens += 1

    def forget(self, name: str | int) -> None:
        """Fill the bucket up again: nothing is held against this name any more."""
        self._buckets.pop(name, None)

    def _sweep(self, now: float) -> None:
        for _ in range(min(SWEEP_PER_INSERT, len(self._buckets))):
            name = next(iter(self._buckets))
            bucket = self._buckets.pop(name)
            if not bucket.is_full(now):
                self._buckets[name] = bucket


class CallLimiter:
    """The buckets of keys and of clients at one gateway."""

    def __init__(self, default: RatePolicy, *, most_active: int, monotonic: Callable[[], float]) -> None:
        """`default` and `most_active`: the rate and the most of working keys where a client has none of its own."""
        self.default = default
        self._most_active = most_active
        self._monotonic = monotonic
        self._keys = Limiter(default)
        self._clients = Limiter(default)
        self._new_keys = Limiter(NEW_KEYS)

    def __len__(self) -> int:
        """Return how many keys' buckets are not full."""
        return len(self._keys)

    def take(self, principal: Principal) -> Decision:
        """Take one token of the key's and one of its client's, or neither."""
        now = self._monotonic()
        policy = principal.rate or self.default
        total = self.rate_of_client(principal.limit)
        key = self._keys.bucket(principal.bucket_id or principal.key_id, policy, now)
        client = self._clients.bucket(principal.client.id, total, now)
        client.advance(total, now)
        if client.tokens < ENOUGH:
            return both(key.look(policy, now), client.look(total, now))
        decision = key.take(policy, now)
        if decision.allowed:
            client.tokens -= 1
        return decision

    def look(self, principal: Principal) -> Decision:
        """Say what is left for the key, and take nothing."""
        now, policy = self._monotonic(), principal.rate or self.default
        return self._keys.bucket(principal.bucket_id or principal.key_id, policy, now).look(policy, now)

    def rate_of_client(self, limit: ClientLimit) -> RatePolicy:
        """Return the rate of all calls of a client."""
        return total_rate(limit, self.default, self._most_active)

    async def take_of_client(self, client_id: int, limit: ClientLimit) -> Decision:
        """Take one token of the client's alone, for what its members do on the pages."""
        return of_client(self._clients.take(client_id, self.rate_of_client(limit), self._monotonic()))

    async def take_new_key(self, client_id: int) -> Decision:
        """Take one of the client's tokens for new keys."""
        return self._new_keys.take(client_id, None, self._monotonic())

    async def give_back_new_key(self, client_id: int) -> None:
        """Give the token for a new key back, because none was made."""
        self._new_keys.give_back(client_id)

    def change_default(self, policy: RatePolicy) -> None:
        """Change the rate of keys without one of their own, and of their clients, from now on."""
        now = self._monotonic()
        self._keys.change_default(policy, now)
        self._clients.bring_to(now)
        self.default = policy


def both(key: Decision, client: Decision) -> Decision:
    """Return what a call is told of its two buckets: the key's figures, and whichever it has to wait for longer."""
    if client.allowed:
        return key
    waits = key.allowed or client.next_token_seconds > key.next_token_seconds
    return Decision(False, key.policy, key.remaining, key.next_token_seconds, client if waits else None)


def of_client(decision: Decision) -> Decision:
    """Return the decision of a client's bucket alone, whose refusal names the client."""
    return decision if decision.allowed else msgspec.structs.replace(decision, client=decision)


@lru_cache(KEPT_POLICIES)
def total_rate(limit: ClientLimit, default: RatePolicy, most_active: int) -> RatePolicy:
    """Return the rate of all calls of a client: its own, or that of the most keys, never below that of those it has.

    Each key that works may then use its whole rate and its whole burst.
    """
    if limit.total is not None:
        return limit.total
    each = limit.rate or default
    whole = [(each, limit.most_keys or most_active)]
    working = [(keys.rate or each, keys.count) for keys in limit.working]
    requests = max(sum(rate.requests * count for rate, count in rates) for rates in (whole, working))
    per_second = max(
        sum(Fraction(rate.requests, rate.per_seconds) * count for rate, count in rates) for rates in (whole, working)
    )
    per_seconds = math.ceil(requests / per_second)
    return RatePolicy(math.ceil(per_second * per_seconds), per_seconds)


def rate_limit_headers(decision: Decision) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """Return the fields of draft-ietf-httpapi-ratelimit-headers: RFC 9651 lists, the policy's name a quoted string.

    They tell of the key's bucket, and of the client's too if that is why the call has to wait.
    """
    client = decision.client
    left = b'"default";r=%d;t=%d' % (decision.remaining, decision.next_token_seconds)
    if client is None:
        return _policy_field(decision.policy, None), (b"ratelimit", left)
    more = b', "client";r=%d;t=%d' % (client.remaining, client.next_token_seconds)
    return _policy_field(decision.policy, client.policy), (b"ratelimit", left + more)


@lru_cache(KEPT_POLICIES)
def _policy_field(policy: RatePolicy, client: RatePolicy | None) -> tuple[bytes, bytes]:
    key = b'"default";q=%d;w=%d' % (policy.requests, policy.per_seconds)
    more = b', "client";q=%d;w=%d' % (client.requests, client.per_seconds) if client else b""
    return b"ratelimit-policy", key + more


@lru_cache(KEPT_POLICIES)
def key_refusal(policy: RatePolicy) -> str:
    """Return the message of a 429 for a key's rate."""
    return f"Rate limit exceeded — {in_words(policy)} per API key"


@lru_cache(KEPT_POLICIES)
def client_refusal(policy: RatePolicy) -> str:
    """Return the message of a 429 for a client's rate."""
    return f"Rate limit exceeded — {in_words(policy)} per client"


def in_words(policy: RatePolicy) -> str:
    """Return a policy as text: `100 requests per minute`."""
    period = SECONDS_IN_WORDS.get(policy.per_seconds, f"{policy.per_seconds} seconds")
    return f"{policy.requests} request{'' if policy.requests == 1 else 's'} per {period}"
