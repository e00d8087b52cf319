"""Refuse requests that another site makes a visitor's browser send, without a token in any form.

Browsers say where a request comes from in `Sec-Fetch-Site`, older ones and plain HTTP in `Origin`. A request that
changes something must say that it comes from these pages (the method of Go's http.CrossOriginProtection).
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import CrossOrigin

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = frozenset({"same-origin", "none"})
"""`none`: the visitor typed an address or reloaded."""


class CrossOriginMiddleware:
    """Raises CrossOrigin for a request that changes something and does not come from these pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in SAFE_METHODS and not _is_own(Headers(scope=scope)):
            raise CrossOrigin
        await self._app(scope, receive, send)


def _is_own(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in OWN_SITES
    # Without the scheme: behind a proxy that ends TLS, it differs from the browser's.
    origin = headers.get("origin", "").partition("://")[2]
    return bool(origin) and origin == headers.get("host")
