"""Lets each key call as often as its bucket allows and tells it so on every answer."""

from collections.abc import Awaitable, Callable
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import RateLimitExceeded
from gateway.limiter import Decision, Limiter
from gateway.middleware.authentication import PRINCIPAL_KEY
from gateway.models import Principal, RatePolicy
from gateway.request_record import SCOPE_KEY, RequestRecord

KEPT_POLICIES = 256
SECONDS_IN_WORDS = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}


class RateLimitMiddleware:
    """Stands after authentication: only known keys have buckets. Raises RateLimitExceeded."""

    def __init__(self, app: ASGIApp, *, limiter: Limiter, monotonic: Callable[[], float]) -> None:
        self._app = app
        self._limiter = limiter
        self._monotonic = monotonic

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        principal: Principal = scope[PRINCIPAL_KEY]
        record: RequestRecord = scope[SCOPE_KEY]
        decision = self._limiter.take(principal.key_id, principal.rate, self._monotonic())
        record.headers += rate_limit_headers(decision)
        if not decision.allowed:
            raise RateLimitExceeded(refusal(decision.policy), retry_after=decision.next_token_seconds)
        return self._app(scope, receive, send)


def rate_limit_headers(decision: Decision) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """The fields of draft-ietf-httpapi-ratelimit-headers: RFC 9651 lists, the policy's name a quoted string."""
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
    return f"Rate limit exceeded — {in_words(policy)} per API key"


def in_words(policy: RatePolicy) -> str:
    """`100 requests per minute`."""
    period = SECONDS_IN_WORDS.get(policy.per_seconds, f"{policy.per_seconds} seconds")
    return f"{policy.requests} request{'' if policy.requests == 1 else 's'} per {period}"
