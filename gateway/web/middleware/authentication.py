"""Finds out whose key a request carries, or refuses it with one and the same 401."""

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.web.credentials import digest_of
from gateway.web.key_check import KeyCheck


class AuthenticationMiddleware:
    """Puts the Principal into the scope. Raises Unauthorized."""

    def __init__(self, app: ASGIApp, *, check: KeyCheck) -> None:
        self._app = app
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            check = self._check
            now = check.now()
            digest = digest_of(scope)
            principal = check.remembered(digest) or await check.look_up(scope, digest)
            check.accept(scope, digest, principal, now)
        await self._app(scope, receive, send)
