"""What the limiter says of a call, and how that is put into headers and words."""

from collections.abc import Awaitable, Callable
from functools import lru_cache

import msgspec

from gateway.models import RatePolicy

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
    """A token that was taken before it is known whether it counts.

    `forgive` fills its bucket again; `give_back` gives this token back and leaves those of others taken.
    """

    decision: Decision
    forgive: Callable[[], Awaitable[None]]
    give_back: Callable[[], Awaitable[None]]


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
