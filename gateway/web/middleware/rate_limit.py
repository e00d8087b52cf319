"""Lets each key call as often as its bucket allows and tells it so on every answer."""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import RateLimitExceeded
from gateway.limiter import Limiter, rate_limit_headers, refusal
from gateway.models import Principal
from gateway.web.middleware.authentication import PRINCIPAL_KEY
from gateway.web.request_context import SCOPE_KEY, RequestContext


class RateLimitMiddleware:
    """Stands after authentication: only known keys have buckets. Raises RateLimitExceeded."""

    def __init__(self, app: ASGIApp, *, limiter: Limiter, monotonic: Callable[[], float]) -> None:
        self._app = app
        self._limiter = limiter
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        principal: Principal = scope[PRINCIPAL_KEY]
        context: RequestContext = scope[SCOPE_KEY]
        decision = self._limiter.take(principal.key_id, principal.rate, self._monotonic())
        context.headers += rate_limit_headers(decision)
        if not decision.allowed:
            raise RateLimitExceeded(refusal(decision.policy), retry_after=decision.next_token_seconds)
        await self._app(scope, receive, send)
