"""The rate limit where several gateways count together: the same answers, but from a shared backend."""

from collections.abc import Callable
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import RateLimitExceeded
from gateway.limiter import Decision, rate_limit_headers
from gateway.models import Principal
from gateway.web.key_check import PRINCIPAL_KEY
from gateway.web.request_context import SCOPE_KEY, RequestContext


class AskedLimiter(Protocol):
    """A limiter that looks elsewhere."""

    def look(self, principal: Principal) -> Decision: ...

    async def take(self, principal: Principal) -> Decision: ...


class SharedRateLimitMiddleware:
    """Stands where RateLimitMiddleware stands. Raises RateLimitExceeded."""

    def __init__(self, app: ASGIApp, *, limiter: AskedLimiter, is_free: Callable[[Scope], bool]) -> None:
        """Take no token for a call that `is_free`, and tell what is left as far as this gateway knows."""
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
        decision = await self._limiter.take(principal)
        context.headers += rate_limit_headers(decision)
        if not decision.allowed:
            raise RateLimitExceeded(decision.refusal, retry_after=decision.retry_after)
        await self._app(scope, receive, send)
