"""Lets each key call as often as its bucket and its client's allow, and tells it so on every answer."""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import RateLimitExceeded
from gateway.limiter import CallLimiter, rate_limit_headers
from gateway.models import Principal
from gateway.web.key_check import PRINCIPAL_KEY
from gateway.web.request_context import SCOPE_KEY, RequestContext


class RateLimitMiddleware:
    """Stands after authentication: only known keys have buckets. Raises RateLimitExceeded."""

    def __init__(self, app: ASGIApp, *, limiter: CallLimiter, is_free: Callable[[Scope], bool]) -> None:
        """Take no token for a call that `is_free`, and tell what is left."""
        self._app = app
        self._limiter = limiter
        self._is_free = is_free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        principal: Principal = scope[PRINCIPAL_KEY]
        context: RequestContext = scope[SCOPE_KEY]
        if self._is_free(scope):
            context.headers += rate_limit_headers(self._limiter.look(principal))
            await self._app(scope, receive, send)
            return
        decision = self._limiter.take(principal)
        context.headers += rate_limit_headers(decision)
        if not decision.allowed:
            raise RateLimitExceeded(decision.refusal, retry_after=decision.retry_after)
        await self._app(scope, receive, send)
