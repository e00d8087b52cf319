"""Take a token of the key's and one of its client's for each call, or neither."""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

import msgspec

from gateway.limiter.decision import KEPT_POLICIES, Decision
from gateway.limiter.token_bucket import ENOUGH, Limiter, TokenBucket
from gateway.models import ClientLimit, Principal, RatePolicy

NEW_KEYS = RatePolicy(60, 3600)
"""How many keys a client's members may make: each costs a transaction, and a row for months."""

WEBHOOK_FORMS = RatePolicy(60, 3600)
"""How many forms about webhooks they may send: each costs transactions, and rows for weeks or months; a test also sends
a message to whatever address they chose."""


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
        self._webhook_forms = Limiter(WEBHOOK_FORMS)

    def __len__(self) -> int:
        """Return how many keys' buckets are not full."""
        return len(self._keys)

    def take(self, principal: Principal) -> Decision:
        """Take one token of the key's and one of its client's, or neither."""
        now = self._monotonic()
        policy, key, total, client = self._buckets_of(principal, now)
        if client.tokens < ENOUGH:
            return both(key.look(policy, now), client.look(total, now))
        decision = key.take(policy, now)
        if decision.allowed:
            client.tokens -= 1
        return decision

    def refusal(self, principal: Principal) -> Decision | None:
        """Return what `take` would refuse a call with; None if it would let it through. Nothing is taken."""
        now = self._monotonic()
        policy, key, total, client = self._buckets_of(principal, now)
        decision = key.look(policy, now)
        if client.tokens < ENOUGH:
            decision = both(decision, client.look(total, now))
        return None if decision.allowed else decision

    def _buckets_of(self, principal: Principal, now: float) -> tuple[RatePolicy, TokenBucket, RatePolicy, TokenBucket]:
        """Return rate and bucket of the key, and those of its client, which is brought to `now`."""
        policy = principal.rate or self.default
        total = self.rate_of_client(principal.limit)
        client = self._clients.bucket(principal.client.id, total, now)
        client.advance(total, now)
        return policy, self._keys.bucket(principal.bucket_id or principal.key_id, policy, now), total, client

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

    async def take_webhook_form(self, client_id: int) -> Decision:
        """Take one of the client's tokens for forms about webhooks."""
        return self._webhook_forms.take(client_id, None, self._monotonic())

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
