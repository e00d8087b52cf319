"""Refuses, before the application is asked, whoever was refused when last seen and would be refused again.

A program that ignores its 401 or 429 comes back at once and for hours. The application would check the same and give
the same answer, byte for byte but for the id, and take a task, its layers and an exception through all of them.
"""

from datetime import datetime
from time import perf_counter

from cachetools import FIFOCache
from starlette.types import Scope

from gateway.auth import keys
from gateway.errors import ApiError, RateLimitExceeded, Unauthorized
from gateway.limiter import CallLimiter, Decision, rate_limit_headers
from gateway.models import Principal
from gateway.web.credentials import DIGEST_KEY
from gateway.web.key_check import KeyCheck
from gateway.web.middleware.request_log import RequestLog
from gateway.web.request_context import SCOPE_KEY
from gateway.web.responses import Headers, error_answer
from gateway.web.router import ApiRoute, ApiRoutes

MOST_REFUSED = 10_000
REFUSAL_STATUSES = frozenset({Unauthorized.status, RateLimitExceeded.status})


class EarlyRefusals:
    """Makes the answers to calls of our own API that bring no content. For one event loop."""

    def __init__(
        self, *, routes: ApiRoutes, check: KeyCheck, limiter: CallLimiter | None, request_log: RequestLog
    ) -> None:
        """Without a `limiter` only those are refused whose key is none."""
        self._routes = routes
        self._check = check
        self._limiter = limiter
        self._log = request_log
        self._refused: FIFOCache[bytes, None] = FIFOCache(MOST_REFUSED)
        """Digests of keys. No proof, and nobody is refused for being here."""

    def note(self, scope: Scope) -> None:
        """Note how the application answered."""
        context, digest = scope.get(SCOPE_KEY), scope.get(DIGEST_KEY)
        if context is not None and context.status in REFUSAL_STATUSES and digest is not None:
            self._refused[digest] = None

    def is_likely(self, scope: Scope) -> bool:
        """Return whether the key, of which the digest is known, was refused when last seen."""
        return scope.get(DIGEST_KEY) in self._refused

    def answer(self, scope: Scope, default_headers: Headers) -> bytes | None:
        """Return the whole answer to a call whose refusal is likely; None if the application has to decide.

        The call is counted and logged as the application would.
        """
        route, _ = self._routes.find(scope["method"], scope["path"])
        if route is None or route.entrance != "key" or not route.takes_token or route.notes_program:
            return None
        digest: bytes = scope[DIGEST_KEY]
        principal = self._check.remembered(digest)
        if principal is None:
            if self._check.is_refused_unseen(scope, digest):
                return self._refuse(scope, route, default_headers, Unauthorized(credentials_sent=True))
            return None
        decision = self._limiter.refusal(principal) if self._limiter is not None else None
        now = self._check.now()
        if decision is None or keys.is_expired(principal, now):
            self._refused.pop(digest, None)
            return None
        error = RateLimitExceeded(decision.refusal, retry_after=decision.retry_after)
        return self._refuse(scope, route, default_headers, error, known=(principal, decision, now))

    def _refuse(
        self,
        scope: Scope,
        route: ApiRoute,
        default_headers: Headers,
        error: ApiError,
        *,
        known: tuple[Principal, Decision, datetime] | None = None,
    ) -> bytes:
        """Return the answer, and leave behind what a request does. `known`: whose key, what its bucket said, when."""
        started = perf_counter()
        context, span = self._log.begin(scope)
        scope[SCOPE_KEY] = context
        context.route, context.status = route.name, error.status
        if known is not None:
            principal, decision, now = known
            self._check.count(scope, principal, now)
            context.headers += rate_limit_headers(decision)
        answer = error_answer(error).as_bytes(default_headers, context.headers)
        self._log.end(scope, context, span, perf_counter() - started)
        return answer
